"""A console on the real Kafka and Redis, its directory and accounts given, and the questions that tests ask it over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
from fastapi import FastAPI
from redis.asyncio import Redis

from contracts import topics
from contracts.access import Access, AccountAdded, ClinicTokenAdded, Role, digest_of
from contracts.directory import Directory
from contracts.envelope import Record
from services.console.api import Api
from services.console.app import HTTP_PLAN, PROJECTOR_PLAN
from services.console.redis_projection import WHAT, RedisProjection
from services.runtime.fence import Fence
from services.runtime.producer import Producer
from services.runtime.redis_link import connect
from services.runtime.settings import Settings
from services.runtime.topics_admin import ensure_topics
from tests.conftest import Stack
from tests.integration.notify.running import running, until
from tests.unit.console.story import Story

TOKENS = {name: f"{name}-token" for name in ("clinic", "other", "ann", "eve", "zoe", "guest", "quality", "lee")}


def _centre(name: str) -> dict[str, object]:
    return {"name": name.title(), "network": "county", "standing_number": "555-0100", "capabilities": ["pci"], "policy": name}


DIRECTORY = Directory.model_validate(
    {
        "version": "test-1",
        "centres": {name: _centre(name) for name in ("centre", "elsewhere")},
        "clinics": {name: {"name": name.title(), "network": "county", "travel_min": {"centre": 14}} for name in ("clinic", "other")},
        "people": {name: {"name": name.title(), "methods": {"local": True}} for name in ("ann", "eve", "zoe", "quality", "lee")},
        "policies": {
            "centre": {"steps": [{"page": ["person:ann", "person:zoe", "person:quality"]}]},
            "elsewhere": {"steps": [{"page": ["person:eve", "person:zoe"]}]},
        },
    }
)
T0 = datetime(2026, 1, 1, tzinfo=UTC)


def access() -> Access:
    held = Access()
    for name in ("clinic", "other"):
        held.hear(ClinicTokenAdded(at=T0, token_sha256=digest_of(TOKENS[name]), clinic_id=name))
    for name in ("ann", "eve", "zoe", "guest", "quality", "lee"):
        role = Role.QUALITY if name == "quality" else Role.CLINICIAN
        held.hear(AccountAdded(at=T0, token_sha256=digest_of(TOKENS[name]), person_id=name, roles=(role,)))
    return held


class Asking:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def get(self, path: str, who: str = "ann", **params: object) -> httpx.Response:
        return await self._http.get(path, params=params, headers={"Authorization": f"Bearer {TOKENS.get(who, who)}"})

    async def press(
        self, case: object, who: str = "ann", key: str | None = None, command: str = "acknowledge", wait: float | None = None, **fields: object
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {TOKENS[who]}"} | ({"Idempotency-Key": key} if key else {})
        params = {} if wait is None else {"wait": wait}
        return await self._http.post(f"/v1/cases/{case}/commands", json={"command": command} | fields, headers=headers, params=params)


@asynccontextmanager
async def api(stack: Stack, kafka: str | None = None) -> AsyncIterator[Asking]:
    """The console's HTTP side alone; with its Kafka elsewhere, where one is named."""
    await ensure_topics(stack.kafka)
    redis, producer = connect(stack.redis), Producer(kafka or stack.kafka, "test-console", HTTP_PLAN.may_write())

    async def publish(command: Record) -> None:
        await producer.publish(topics.COMMANDS, [command])

    tokens, app = access(), FastAPI()
    app.include_router(Api(RedisProjection(redis), publish, lambda: DIRECTORY, lambda: tokens, lambda: datetime.now(UTC)).router())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://console") as http:
        yield Asking(http)
    await producer.stop()
    await redis.aclose()


@asynccontextmanager
async def console(stack: Stack) -> AsyncIterator[Asking]:
    """The console whole: the projector reads the topics, the HTTP side answers."""
    settings = Settings.model_construct(kafka=stack.kafka, redis=stack.redis, blobs=stack.blobs, instance="test")
    async with running(settings, PROJECTOR_PLAN), api(stack) as asking:
        yield asking


async def say_folded(redis: Redis) -> None:
    """Have every bucket say that what lies there is all that the log says, as the projector does once it is so."""
    fence = Fence(redis, WHAT)
    lacking = [each.number for each in await fence.survey() if not each.is_folded]
    begun = {each.number: (each.server, each.says or "") for each in await fence.join(lacking)}
    assert await fence.finish(begun, {}) == []


def a_story(kind: type[Story] = Story) -> Story:
    return kind(str(uuid4()), datetime.now(UTC) - timedelta(minutes=5))


async def tell(producer: Producer, story: Story, *kinds: str) -> None:
    """Write a story's events; all, or those of some kinds."""
    for topic, record in story.told:
        if not kinds or dict(record.headers)["ce_type"].decode() in kinds:
            await producer.publish(topic, [record])


async def tell_until_shown(ask: Asking, producer: Producer, story: Story, *kinds: str) -> None:
    """Write some of a story's events, and return when its case is shown to people; where it is not opened, its upload to the clinic."""
    await tell(producer, story, *kinds)
    path, who = (f"/v1/cases/{story.case}", "ann") if not kinds or "CaseOpened" in kinds else (f"/v1/uploads/{story.first}", "clinic")

    async def shown() -> bool:
        return (await ask.get(path, who)).status_code == 200

    await until(shown)


async def soon(asked: asyncio.Task[httpx.Response]) -> httpx.Response:
    async with asyncio.timeout(30):
        return await asked
