"""Two processes of cases on one Redis and Kafka: what each remembers of a case may be old, and nothing comes of that."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

from redis.asyncio import Redis

from contracts import topics
from contracts.cases import Acknowledged, PageRequested
from contracts.envelope import Envelope, open_envelope, seal
from contracts.ids import CaseId, EventId, UploadId, case_id
from contracts.vocabulary import Frozen, Priority
from services.cases.decision import Told
from services.cases.desk import Desk
from services.cases.outbox import Loaded, Route
from services.cases.redis_store import RedisStore
from services.runtime.messages import Message
from services.runtime.redis_link import connect
from tests.conftest import Stack
from tests.integration.cases.valkeys import have_folded
from tests.integration.notify.running import read_until, writing
from tests.unit.cases.case_world import DIRECTORY, KEY, acknowledge, assessed, sent, uploaded


def message(told: Told, upload: UploadId, *, is_new: bool = False) -> Message:
    now = datetime.now(UTC)
    sealed = seal(
        told,
        event_id=EventId(uuid4()),
        source="test",
        subject=upload,
        key=KEY,
        time=now,
        recorded=now,
        correlation=upload,
        causation=upload,
    )
    return Message(open_envelope(sealed.headers), told, topics.COMMANDS, partition=0, offset=0, beginnings=(uuid4().hex,), is_new=is_new)


def _now() -> datetime:
    return datetime.now(UTC)


class Loads(RedisStore):
    """A store that notes with how many beginnings it was asked for a case."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self.beginnings: list[int] = []

    async def load(self, message_id: UUID, route: Route, *, beginnings: Sequence[str] = ()) -> Loaded:
        self.beginnings.append(len(beginnings))
        return await super().load(message_id, route, beginnings=beginnings)


@asynccontextmanager
async def two_desks(stack: Stack) -> AsyncIterator[tuple[Desk, Desk, Loads]]:
    redis = connect(stack.redis)
    await redis.flushdb()
    await have_folded(redis)
    async with writing(stack) as producer:
        store = Loads(redis)
        yield Desk(store, producer, lambda: DIRECTORY, _now), Desk(store, producer, lambda: DIRECTORY, _now), store
    await redis.aclose()


async def log_of(stack: Stack, case: CaseId, events: int) -> list[tuple[Envelope, Frozen]]:
    return await read_until(
        stack, topics.CASES, lambda found: len({each.sequence for each, _ in found}) >= events, lambda each: each.subject == str(case)
    )


async def test_two_that_remember_a_case_as_it_was_keep_every_message_of_it_and_leave_no_gap(stack: Stack):
    upload = UploadId(uuid4())
    case = case_id(upload)
    async with two_desks(stack) as (one, other, store):
        await one.hear(message(uploaded(upload, datetime.now(UTC)), upload))
        await other.hear(message(assessed(Priority.RED, upload, at=datetime.now(UTC)), upload))  # `one` remembers it without this
        route = Route(patient_key=KEY, case_id=case)
        opened = (await store.load(EventId(uuid4()), route)).case
        pages = [event for _, event in await log_of(stack, case, opened.sequence) if isinstance(event, PageRequested)]
        reports = [message(sent(page).model_copy(update={"case_id": case}), upload) for page in pages]
        acknowledgement = message(acknowledge(at=datetime.now(UTC)).model_copy(update={"case_id": case}), upload)
        for desk, heard in ((one, reports[0]), (other, reports[1]), (one, acknowledgement)):
            await desk.hear(heard)
        once = (await store.load(EventId(uuid4()), route)).case
        for desk, heard in ((other, reports[0]), (one, reports[1]), (other, acknowledgement)):
            await desk.hear(heard)
        loaded = await store.load(EventId(uuid4()), route)
    assert once.sequence == opened.sequence + 4  # who else was called is told who has it
    assert loaded.case == once
    assert (loaded.case.owner, loaded.outbox) == ("ann", ())
    log = await log_of(stack, case, loaded.case.sequence)
    assert sorted({each.sequence for each, _ in log}) == list(range(1, loaded.case.sequence + 1))
    assert len({each.id for each, _ in log}) == loaded.case.sequence  # a report heard at both is told once
    assert [type(event) for _, event in log].count(Acknowledged) == 1


async def test_a_new_upload_begins_a_case_in_one_trip_and_joins_the_one_that_the_patient_has(stack: Stack):
    first, repeat = UploadId(uuid4()), UploadId(uuid4())
    async with two_desks(stack) as (one, other, store):
        begun = message(uploaded(first, datetime.now(UTC)), first, is_new=True)
        await one.hear(begun)
        assert store.beginnings == []
        await other.hear(message(uploaded(repeat, datetime.now(UTC)), repeat, is_new=True))
        await other.hear(begun)
        joined = (await store.load(EventId(uuid4()), Route(patient_key=KEY, upload_id=repeat, fresh=case_id(repeat)))).case
    assert joined.case_id == case_id(first)
    assert ([upload.upload_id for upload in joined.uploads], joined.sequence) == ([first, repeat], 2)


async def test_a_message_is_counted_where_it_may_have_been_begun_before(stack: Stack):
    upload = UploadId(uuid4())
    async with two_desks(stack) as (one, other, store):
        await one.hear(message(uploaded(upload, datetime.now(UTC)), upload, is_new=True))
        told = assessed(Priority.YELLOW, upload, at=datetime.now(UTC))
        await other.hear(message(told, upload, is_new=True))
        await one.hear(message(told, upload))  # it remembers the case as it was before
        await other.hear(replace(message(told, upload, is_new=True), beginnings=("first", "second")))
    assert store.beginnings == [0, 1, 2]
