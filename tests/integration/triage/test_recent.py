"""A repeat that follows an upload, on the real Kafka and Redis: it is compared with it, and never held up where it cannot be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from contracts import topics
from contracts.assessments import Assessed, Finding
from contracts.envelope import Record, open_envelope, seal
from contracts.ids import UploadId
from contracts.intake import EcgUploaded
from contracts.topics import Topic
from contracts.vocabulary import Lane, Priority
from services.runtime.archive import UploadedFile, pack
from services.runtime.blobs import claim, open_blobs
from services.runtime.messages import Message
from services.runtime.producer import Producer
from services.runtime.redis_link import connect
from services.runtime.service import Links
from services.triage.app import PLANS, Desk, answer, rulebook_for
from services.triage.decode import decode
from services.triage.earlier import KEPT
from services.triage.nursery import Limits
from services.triage.reading import read_recording
from services.triage.recent import AT_MOST, RecentEcgs, _keys
from services.triage.recording import Recording
from services.triage.workers import Workers
from tests.conftest import Stack
from tests.integration.notify.running import publish, read_until, running, settings_for, until, writing
from tests.unit.triage.cart_files import mfer
from tests.unit.triage.raised_st import halves, with_st_raised

QUIET = "challenge/E00002"


@dataclass
class Clinic:
    """A clinic with one patient; what it sends is stored and told as the gateway does it."""

    stack: Stack
    producer: Producer
    redis: Redis
    key: str

    async def stored(self, recording: Recording, lane: Lane, follows: UploadId | None) -> EcgUploaded:
        content, media_type = pack([UploadedFile("recording.mwf", mfer(recording))])
        blob = claim("raw", content, media_type)
        await open_blobs(self.stack.blobs).put(blob, content)
        of_upload = {"upload_id": UploadId(uuid4()), "clinic_id": "clinic", "patient_key": self.key, "lane": lane}
        return EcgUploaded(at=datetime.now(UTC), **of_upload, recording=blob, follows=follows)

    async def send(self, recording: Recording, *, lane: Lane = Lane.EMERGENCY, follows: UploadId | None = None, times: int = 1) -> UploadId:
        uploaded = await self.stored(recording, lane, follows)
        await publish(self.producer, topics.INTAKE[lane], *[sealed(uploaded, uploaded.upload_id, self.key, uploaded.at)] * times)
        return uploaded.upload_id

    async def assessment_of(self, *uploads: UploadId, topic: Topic = topics.ASSESSMENTS_EMERGENCY) -> list[Assessed]:
        """Return the assessments of uploads, in the order of the uploads, as soon as all are there."""
        wanted = {str(upload) for upload in uploads}
        heard = await read_until(self.stack, topic, lambda found: {each.subject for each, _ in found} == wanted, lambda each: each.subject in wanted)
        by_subject = {envelope.subject: event for envelope, event in heard}
        return [by_subject[str(upload)] for upload in uploads]  # type: ignore[misc] # the topic holds nothing else

    async def until_kept(self, *uploads: UploadId) -> None:
        """Return when these, and no others, are kept for the patient's next ECG."""
        recent = RecentEcgs(self.redis)

        async def there() -> bool:
            return sorted(each.upload_id for each in await recent.of(self.key)) == sorted(uploads)

        await until(there)


def sealed(event: EcgUploaded | Assessed, upload_id: UploadId, key: str, now: datetime) -> Record:
    return seal(
        event, event_id=uuid4(), source="test", subject=upload_id, key=key, time=now, recorded=now, correlation=upload_id, causation=upload_id
    )


@pytest.fixture(scope="module")
def parts(recordings) -> tuple[Recording, Recording]:
    """A quiet recording of five seconds, and one of the same patient in which ST has risen by 0.08 mV, which is below every limit."""
    files = [recordings / f"{QUIET}{suffix}" for suffix in (".hea", ".mat")]
    before, after = halves(decode([UploadedFile(file.name, file.read_bytes()) for file in files]))
    return before, with_st_raised(after, ("V3", "V4", "V5"), 0.08)


@asynccontextmanager
async def triage(stack: Stack, folder, *lanes: Lane) -> AsyncIterator[Clinic]:
    redis = connect(stack.redis)
    settings = settings_for(stack, folder)
    async with running(settings, *(PLANS[lane] for lane in lanes)), writing(stack) as producer:
        yield Clinic(stack, producer, redis, key=uuid4().hex * 2)
    await redis.aclose()


def changes(assessed: Assessed) -> list[Finding]:
    return [finding for finding in assessed.findings if finding.rule == "dynamic_change"]


def said(assessed: Assessed) -> list[str]:
    return [problem.text for problem in assessed.quality.problems if problem.code == "not_compared"]


async def test_a_repeat_in_which_st_has_risen_is_found_and_names_the_upload_that_it_was_compared_with(stack, tmp_path, parts):
    async with triage(stack, tmp_path, Lane.EMERGENCY) as clinic:
        first = await clinic.send(parts[0])
        await clinic.until_kept(first)
        repeat = await clinic.send(parts[1], follows=first, times=2)
        before, after = await clinic.assessment_of(first, repeat)
        third = await clinic.send(parts[0])  # the repeat was told of twice
        await clinic.assessment_of(third)
        await clinic.until_kept(first, repeat, third)
    assert (before.compared_with, changes(before)) == (None, [])
    assert after.compared_with == first
    assert after.priority is Priority.YELLOW
    (finding,) = changes(after)
    assert finding.leads == ("V3", "V4", "V5")
    assert all(value.measured >= value.threshold for value in finding.values if value.name == "risen_st_j_mv")


async def test_with_redis_emptied_it_is_judged_without_comparison(stack, tmp_path, parts):
    async with triage(stack, tmp_path, Lane.EMERGENCY) as clinic:
        first = await clinic.send(parts[0])
        await clinic.until_kept(first)
        await clinic.redis.flushdb()
        repeat = await clinic.send(parts[1], follows=first)
        (after,) = await clinic.assessment_of(repeat)
    assert (after.compared_with, after.priority) == (None, Priority.GREEN)
    assert said(after) == []  # nobody knows of an earlier one: there is nothing to say


async def test_a_redis_that_says_nothing_holds_up_no_verdict_and_it_is_said(stack, tmp_path, parts):
    """Only the earlier ECGs are asked of it here: what counts attempts answers."""
    settings = settings_for(stack, tmp_path)
    redis = connect(stack.redis)
    async with _silent() as address, writing(stack) as producer:
        silent = Redis.from_url(address, socket_timeout=None, socket_connect_timeout=None)  # which waits for ever: nothing but the desk bounds it
        clinic = Clinic(stack, producer, redis, key=uuid4().hex * 2)
        rulebook = rulebook_for(settings)
        workers = Workers(partial(answer, rulebook), count=1, limits=Limits())
        desk = Desk(Links(settings, redis, producer, open_blobs(stack.blobs)), workers, RecentEcgs(silent), rulebook)
        uploaded = await clinic.stored(parts[0], Lane.EMERGENCY, follows=None)
        record = sealed(uploaded, uploaded.upload_id, clinic.key, uploaded.at)
        await desk.hear(Message(open_envelope(record.headers), uploaded, topics.INTAKE_EMERGENCY, partition=0, offset=0))
        (assessed,) = await clinic.assessment_of(uploaded.upload_id)
        await workers.stop()
        await silent.aclose()
    await redis.aclose()
    assert assessed.priority is Priority.GREEN
    assert len(said(assessed)) == 1


async def test_what_an_assessment_leaves_is_kept_from_either_topic_and_the_same_again_changes_nothing(stack, tmp_path, parts):
    """Nobody but the readers of the assessments is told of these: the desk of another replica fell before it had kept them."""
    async with triage(stack, tmp_path, Lane.ROUTINE) as clinic:
        at = datetime.now(UTC)
        told = [assessed_of(parts[0], clinic.key, at - timedelta(minutes=minutes)) for minutes in (30, 20)]
        for assessed, topic in zip(told, (topics.ASSESSMENTS_EMERGENCY, topics.ASSESSMENTS_ROUTINE), strict=True):
            await publish(clinic.producer, topic, *[sealed(assessed, assessed.upload_id, clinic.key, at)] * 2)
        await clinic.until_kept(*(each.upload_id for each in told))
        repeat = await clinic.send(parts[1], lane=Lane.ROUTINE)
        (after,) = await clinic.assessment_of(repeat, topic=topics.ASSESSMENTS_ROUTINE)
    assert after.compared_with == told[1].upload_id
    assert changes(after)


async def test_the_newest_few_stay_whatever_their_order_and_how_often_and_none_beyond_its_time(stack, parts):
    redis, key, now = connect(stack.redis), uuid4().hex * 2, datetime.now(UTC)
    kept = RecentEcgs(redis)
    every = [assessed_of(parts[0], key, now - timedelta(hours=hours)) for hours in range(1, AT_MOST + 4)]
    for assessed in (*every[3:], *every[:3], *reversed(every), *every):
        await kept.add(assessed)
    found = await kept.of(key)
    assert sorted(each.received_at for each in found) == sorted(each.received_at for each in every[:AT_MOST])
    changed = every[0].model_copy(update={"measurements": every[0].measurements.model_copy(update={"qrs_ms": 101.0})})
    await kept.add(changed)
    assert sorted(await kept.of(key), key=str) == sorted(found, key=str)  # the first of an upload stands
    forget_at = [await redis.pexpiretime(name) for name in _keys(key)]
    assert forget_at == [int((every[0].received_at + KEPT).timestamp() * 1000)] * 2
    another = uuid4().hex * 2
    assert await kept.of(another) == ()
    await kept.add(assessed_of(parts[0], another, now - KEPT - timedelta(minutes=1)))
    assert await kept.of(another) == ()
    assert await redis.exists(*_keys(another)) == 0
    await redis.aclose()


async def test_what_cannot_be_read_is_left_out_and_the_rest_is_compared_with(stack, parts):
    redis, key, now = connect(stack.redis), uuid4().hex * 2, datetime.now(UTC)
    kept, assessed = RecentEcgs(redis), assessed_of(parts[0], key, now)
    await kept.add(assessed)
    await redis.hset(_keys(key)[1], str(uuid4()), b"of another version")
    assert [each.upload_id for each in await kept.of(key)] == [assessed.upload_id]
    await redis.aclose()


def assessed_of(recording: Recording, key: str, at: datetime) -> Assessed:
    reading = read_recording(recording, age_y=None, sex=None)
    of_upload = {"upload_id": UploadId(uuid4()), "clinic_id": "clinic", "patient_key": key, "lane": Lane.EMERGENCY}
    return Assessed(**reading.model_dump(), **of_upload, at=at, received_at=at)


@asynccontextmanager
async def _silent() -> AsyncIterator[str]:
    """The address of a Redis that takes connections and never answers."""
    leaving = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, line: asyncio.StreamWriter) -> None:
        await leaving.wait()
        line.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        leaving.set()
        server.close()
