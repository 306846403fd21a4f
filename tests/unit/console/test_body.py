"""A command's body: the token first, then its bytes counted, then read; and OpenAPI says of it what is read."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI
from pydantic import TypeAdapter

from contracts.envelope import Record
from services.console.api import Api
from services.console.asking import COMMANDS, Asked
from services.console.body import MAX_BODY_BYTES
from services.console.redis_projection import Known, RedisProjection
from services.runtime.http import answer_errors
from tests.integration.console.asking import DIRECTORY, TOKENS, access
from tests.unit.console.story import Story

STORY = Story()
FACTS = {fact.event_id: fact for fact, _ in STORY.heard() if fact.topic == "cases.v1"}
SAY = b'{"command": "say", "text": "%s"}'


async def _so_far(*_: object, **__: object) -> Known:
    return Known(FACTS, False, frozenset(), True)


def app(published: list[Record]) -> FastAPI:
    async def publish(command: Record) -> None:
        published.append(command)

    projection, tokens, made = cast(RedisProjection, SimpleNamespace(case_so_far=_so_far)), access(), FastAPI()
    answer_errors(made)
    made.include_router(Api(projection, publish, lambda: DIRECTORY, lambda: tokens, lambda: datetime.now(UTC)).router())
    return made


class Press:
    """Sends a body in pieces, and notes how many were taken."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http, self.pieces = http, 0

    async def __call__(self, *pieces: bytes, token: str | None = "ann-token") -> httpx.Response:
        self.pieces = 0

        async def body() -> AsyncIterator[bytes]:
            for piece in pieces:
                self.pieces += 1
                yield piece

        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        return await self._http.post(f"/v1/cases/{STORY.case}/commands", content=body(), headers=headers)


@asynccontextmanager
async def pressing() -> AsyncIterator[tuple[Press, list[Record]]]:
    published = list[Record]()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app(published)), base_url="http://console") as http:
        yield Press(http), published


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("nobody", 401), (TOKENS["guest"], 403), (TOKENS["quality"], 403)])
async def test_of_who_may_not_command_no_byte_is_read(token: str | None, status: int):
    async with pressing() as (press, published):
        answer = await press(b"{", b"x" * 2**20, token=token)
        assert (answer.status_code, press.pieces, published) == (status, 0, [])


async def test_of_a_body_that_is_too_long_no_more_is_read_than_a_command_may_have_and_nothing_is_asked():
    async with pressing() as (press, published):
        answer = await press(b'{"command": "say", "text": "', *[b"x" * 4096] * 100, b'"}')
        assert (answer.status_code, answer.json()["title"], press.pieces, published) == (413, "Too large", 3, [])
        assert str(MAX_BODY_BYTES) in answer.json()["detail"]


async def test_the_longest_words_are_heard_however_they_are_escaped():
    text = "\N{ANATOMICAL HEART}" * 400
    async with pressing() as (press, published):
        answer = await press(json.dumps({"command": "say", "text": text}).encode())
        assert answer.status_code == 202
    assert json.loads(published[0].value)["text"] == text


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "the body is not JSON"),
        (b"[" * 8000, "the body is not JSON"),
        (b"\xff\xfe{", "the body is not JSON"),
        (b"null", "is to be a JSON object"),
        (SAY % b"\\ud800", "the body is not JSON"),
        (b'{"command": "acknowledge", "seen": ' + b"9" * 5000 + b"}", "the body is not JSON"),
        (b'{"command": "acknowledge",' + b",".join(b'"k%d":1' % each for each in range(900)) + b"}", "k0"),
        (b'{"command": "acknowledge", "seen": NaN}', "seen"),
        (b'{"command": "dance"}', "command: is to be one of"),
        (SAY % b"x" + b"{}", "the body is not JSON"),
    ],
)
async def test_what_is_not_understood_is_a_problem_that_says_where_and_nothing_is_asked(body: bytes, where: str):
    async with pressing() as (press, published):
        answer = await press(body)
        assert (answer.status_code, answer.headers["content-type"], published) == (422, "application/problem+json", [])
        assert where in answer.json()["detail"]


def test_openapi_describes_every_command_without_naming_what_is_not_there():
    post = app([]).openapi()["paths"]["/v1/cases/{case_id}/commands"]["post"]
    body: dict[str, Any] = post["requestBody"]
    forms = body["content"]["application/json"]["schema"]["oneOf"]
    assert body["required"]
    assert {form["properties"]["command"]["const"] for form in forms} == set(COMMANDS)
    assert not {'"$ref"', '"$defs"'} & set(re.findall(r'"\$\w+"', json.dumps(body)))
    made = {each["title"]: each for each in TypeAdapter(Asked).json_schema()["$defs"].values()}
    for form in forms:
        assert form["additionalProperties"] is False
        assert (form["required"], set(form["properties"])) == (made[form["title"]]["required"], set(made[form["title"]]["properties"]))
    confirm = next(form for form in forms if form["title"] == "AskConfirm")
    assert "stemi" in confirm["properties"]["diagnosis"]["enum"]
    assert "counts as not seen" in confirm["properties"]["seen"]["description"]
