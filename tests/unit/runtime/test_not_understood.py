"""What is wrong with a request is told in a person's words: no library's, and without what was sent."""

from typing import Annotated, Any
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Query

from services.console.asking import Asked
from services.runtime.http import ProblemRoute

CASE = "5f4a9f0e-8a70-5b51-9c1e-6d2f3b7c1a44"


async def told(path: str = CASE, **request: Any) -> str:
    """Return the detail of the 422 that a command to a case is answered with."""
    routes, app = APIRouter(route_class=ProblemRoute), FastAPI()

    @routes.post("/{case_id}")
    async def ask(case_id: UUID, asked: Asked, wait: Annotated[float, Query(ge=0, le=10)] = 0) -> None: ...

    app.include_router(routes)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://console") as http:
        answer = await http.post(f"/{path}", **request)
    assert (answer.status_code, answer.json()["title"]) == (422, "Not understood")
    return str(answer.json()["detail"])


@pytest.mark.parametrize(
    ("asked", "detail"),
    [
        ({}, "command: is missing"),
        ({"command": "say"}, "text: is missing"),
        ({"command": "say", "text": ""}, "text: is too short: at least 1 character(s)"),
        ({"command": "say", "text": "Wang" * 1000}, "text: is too long: at most 400 characters"),
        ({"command": "say", "text": 5}, "text: is to be text"),
        ({"command": "say", "text": "x", "say": "Wang"}, "say: is not known here"),
        ({"command": "offer_hand_over"}, "name one of to_person and to_centre"),
        ({"command": "confirm", "diagnosis": "Wang"}, "diagnosis: is to be one of "),
        ({"command": "link", "other_case_id": "Wang"}, "other_case_id: is to be a whole id, as it was shown"),
        ({"command": "record_departure", "happened_at": "Wang"}, "happened_at: is to be a time with its offset"),
        ({"command": "record_departure", "happened_at": "2026-03-01T12:00:00"}, "happened_at: lacks the time's offset"),
        ({"command": "acknowledge", "seen": 0}, "seen: is to be at least 1"),
        (["Wang"], "is to be a JSON object"),
    ],
)
async def test_each_mistake_is_a_sentence_that_names_the_field_as_it_was_sent(asked: object, detail: str) -> None:
    said = await told(json=asked)
    assert said.startswith(detail)
    assert "Wang" not in said
    assert not any(word in said.lower() for word in ("string", "input", "should", "valid", "instance", "dictionary", "body", "discriminator"))


async def test_a_command_that_there_is_not_is_answered_with_those_that_there_are() -> None:
    said = await told(json={"command": "dance"})
    assert "'acknowledge'" in said
    assert "dance" not in said


async def test_a_body_that_is_none_and_a_path_and_a_query_that_cannot_be_are_told_too() -> None:
    assert await told(content=b"{x", headers={"content-type": "application/json"}) == "the body is not JSON"
    assert await told("Wang", json={"command": "acknowledge"}) == "case_id: is to be a whole id, as it was shown"
    assert await told(json={"command": "acknowledge"}, params={"wait": "100"}) == "wait: is to be at most 10.0"
    assert await told(json={"command": "acknowledge"}, params={"wait": "Wang"}) == "wait: is to be a number"
