"""A provider's word about a notice: taken where it is signed, and nothing else makes a notice delivered."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from contracts import topics
from contracts.deliveries import Failure, NoticeDelivered, NoticeFailed, NoticeOpened, NoticeSent
from contracts.envelope import open_envelope
from contracts.vocabulary import Priority
from services.notify.callbacks import MAX_BODY_BYTES
from services.notify.signatures import signature
from services.runtime.http import answer_errors
from services.runtime.redis_link import connect
from services.runtime.service import Service
from tests.conftest import Stack
from tests.integration.notify.centre import a_page, deliveries, notify
from tests.integration.notify.running import publish, read_until, until, writing
from tests.unit.notify.pages import sealed

SECRET = b"k" * 32


@pytest.fixture
def secrets(tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "hub").write_bytes(SECRET)
    return folder


def word(notice_id, status: str = "delivered", at: datetime | None = None, **more: str) -> bytes:
    return json.dumps({"notice_id": str(notice_id), "status": status, "at": (at or datetime.now(UTC)).isoformat()} | more).encode()


async def call(service: Service, body: bytes, provider: str = "hub", secret: bytes = SECRET, late_s: int = 0) -> httpx.Response:
    app = FastAPI()
    answer_errors(app)
    assert service.router is not None
    app.include_router(service.router)
    stamp = str(int(datetime.now(UTC).timestamp()) - late_s)
    headers = {"Greenchannel-Timestamp": stamp, "Greenchannel-Signature": signature(secret, stamp, body)}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://notify") as client:
        return await client.post(f"/v1/callbacks/{provider}", content=body, headers=headers)


async def told_of(stack: Stack, asked, number: int):
    """Return the first so many kinds of what was told of a page, each with its envelope."""
    found = await read_until(
        stack, topics.DELIVERIES, lambda found: len({type(event) for _, event in found}) >= number, lambda it: it.subject == str(asked.case_id)
    )
    return {type(event): (envelope, event) for envelope, event in found}


async def test_what_a_provider_signs_is_told_once_and_names_the_page(stack, tmp_path, provider, secrets):
    hook, address = provider
    asked = a_page(method="hub")
    at = datetime.now(UTC) - timedelta(seconds=2)
    async with notify(stack, tmp_path, address, callback_secrets=secrets) as service, writing(stack) as producer:
        await publish(producer, topics.CASES, sealed(asked))
        await deliveries(stack, asked)
        assert json.loads(hook.bodies[0])["notice"] == str(asked.notice_id)  # how the provider knows it
        for status in ("delivered", "delivered", "opened", "failed"):
            assert (await call(service, word(asked.notice_id, status, at))).status_code == 204
        told = await told_of(stack, asked, 4)
        assert (await call(service, word(asked.notice_id, "opened", at))).status_code == 204
    assert set(told) == {NoticeSent, NoticeDelivered, NoticeOpened, NoticeFailed}
    assert told[NoticeFailed][1].failure is Failure.PERMANENT
    for envelope, event in told.values():
        assert (event.notice_id, event.person_id, event.method, event.round) == (asked.notice_id, "ann", "hub", 1)
        assert envelope.causationid == open_envelope(sealed(asked).headers).id
        assert (envelope.correlationid, envelope.partitionkey) == (asked.upload_id, asked.patient_key)
    assert told[NoticeDelivered][1].at == at
    assert len({envelope.id for envelope, _ in told.values()}) == 4


async def test_a_word_sent_twice_is_one_event(stack, tmp_path, provider, secrets):
    asked = a_page(method="yes")
    async with notify(stack, tmp_path, provider[1], callback_secrets=secrets) as service, writing(stack) as producer:
        await publish(producer, topics.CASES, sealed(asked))
        await deliveries(stack, asked)
        for _ in range(2):
            await call(service, word(asked.notice_id))
        found = await read_until(stack, topics.DELIVERIES, lambda found: len(found) >= 3, lambda it: it.subject == str(asked.case_id))
    assert len({envelope.id for envelope, event in found if isinstance(event, NoticeDelivered)}) == 1


async def test_whoever_has_not_the_secret_or_says_what_is_not_understood_is_refused(stack, tmp_path, provider, secrets):
    asked = a_page(method="yes")
    told = word(asked.notice_id)
    async with notify(stack, tmp_path, provider[1], callback_secrets=secrets) as service, writing(stack) as producer:
        await publish(producer, topics.CASES, sealed(asked))
        await deliveries(stack, asked)
        answers = [
            (await call(service, told, secret=b"x" * 32), 401),
            (await call(service, told, late_s=301), 401),
            (await call(service, told, provider="nobody"), 404),
            (await call(service, told, provider="..%2Fsecrets%2Fhub"), 404),
            (await call(service, word(uuid4())), 404),
            (await call(service, word(asked.notice_id, "read")), 422),
            (await call(service, word(asked.notice_id, number="13800000000")), 422),
            (await call(service, word(asked.notice_id, at=datetime.now(UTC) + timedelta(hours=1))), 422),
            (await call(service, b"{"), 422),
            (await call(service, b" " * (MAX_BODY_BYTES + 1)), 413),
        ]
        later = a_page(method="yes", patient_key=asked.patient_key)  # behind it, in the same partition
        await publish(producer, topics.CASES, sealed(later))
        found = await read_until(
            stack,
            topics.DELIVERIES,
            lambda found: later.notice_id in {event.notice_id for _, event in found},
            lambda it: it.partitionkey == asked.patient_key,
        )
    assert [answer.status_code for answer, _ in answers] == [status for _, status in answers]
    assert all(answer.headers["content-type"] == "application/problem+json" for answer, _ in answers)
    assert "13800000000" not in "".join(answer.text for answer, _ in answers)
    assert [type(event) for _, event in found] == [NoticeSent, NoticeSent]


async def test_without_secrets_nobody_can_call_back_and_no_link_makes_a_notice_opened(stack, tmp_path, provider):
    async with notify(stack, tmp_path, provider[1]) as service:
        assert (await call(service, word(uuid4()))).status_code == 404
        methods = {method for route in service.router.routes for method in route.methods}
    assert methods == {"POST"}


async def test_a_word_that_comes_before_the_providers_own_answer_is_taken(stack, tmp_path, provider, secrets):
    hook, address = provider
    asked = a_page(method="hang")
    async with notify(stack, tmp_path, address, callback_secrets=secrets) as service, writing(stack) as producer:
        await publish(producer, topics.CASES, sealed(asked))
        await asyncio.wait_for(hook.hung.wait(), 30)
        assert (await call(service, word(asked.notice_id))).status_code == 204
        hook.let_go.set()
        assert set(await told_of(stack, asked, 2)) >= {NoticeDelivered}


async def test_a_word_about_a_notice_is_taken_though_redis_was_emptied_since(stack, tmp_path, provider, secrets):
    asked = a_page(method="yes")
    redis = connect(stack.redis)
    async with notify(stack, tmp_path, provider[1], callback_secrets=secrets) as service, writing(stack) as producer:
        await publish(producer, topics.CASES, sealed(asked))
        await deliveries(stack, asked)
        await redis.flushall()
        answers = {notice_id: [(await call(service, word(notice_id))).status_code] for notice_id in (asked.notice_id, uuid4())}

        async def taken() -> bool:
            for notice_id, heard in answers.items():
                heard.append((await call(service, word(notice_id))).status_code)
            return not any(heard[-1] == 503 for heard in answers.values())

        await until(taken)
        told = await told_of(stack, asked, 2)
    await redis.aclose()
    assert [(heard[0], heard[-1]) for heard in answers.values()] == [(503, 204), (503, 404)]
    (sent, _), (said, event) = told[NoticeSent], told[NoticeDelivered]
    assert (event.notice_id, event.person_id, event.method, event.round) == (asked.notice_id, "ann", "yes", 1)
    names = ("subject", "partitionkey", "correlationid", "causationid", "priority", "traceparent")
    assert [getattr(said, each) for each in names] == [getattr(sent, each) for each in names]


@pytest.mark.parametrize("emptied", [False, True])
async def test_where_a_notice_failed_so_did_those_for_which_it_spoke_and_the_next_rings(stack, tmp_path, provider, secrets, emptied):
    hook, address = provider
    spoke, said, late = (a_page(method="yes", person_id="ann", priority=Priority.YELLOW) for _ in range(3))
    redis = connect(stack.redis)
    async with notify(stack, tmp_path, address, callback_secrets=secrets) as service, writing(stack) as producer:
        for each in (spoke, said):
            await publish(producer, topics.CASES, sealed(each))
            await deliveries(stack, each)
        if emptied:
            await redis.flushall()

        async def taken() -> bool:
            return (await call(service, word(spoke.notice_id, "failed"))).status_code == 204

        await until(taken)
        for each in (spoke, said):
            assert set(await told_of(stack, each, 2)) == {NoticeSent, NoticeFailed}
        await publish(producer, topics.CASES, sealed(late))
        _, event = (await deliveries(stack, late))[late.notice_id]
    await redis.aclose()
    assert isinstance(event, NoticeSent)
    assert event.said_by is None
    assert len(hook.heard) == 2


async def test_the_next_round_of_a_red_that_failed_by_its_providers_word_is_handed_over_at_once(stack, tmp_path, provider, secrets):
    hook, address = provider
    first = a_page(method="yes")
    again = first.model_copy(update={"notice_id": uuid4(), "round": 2})
    async with notify(stack, tmp_path, address, callback_secrets=secrets) as service, writing(stack) as producer:
        await publish(producer, topics.CASES, sealed(first))
        await deliveries(stack, first)
        assert (await call(service, word(first.notice_id, "failed"))).status_code == 204
        await publish(producer, topics.CASES, sealed(again))
        _, event = (await deliveries(stack, again))[again.notice_id]
    assert isinstance(event, NoticeSent)
    assert event.said_by is None
    assert len(hook.heard) == 2
