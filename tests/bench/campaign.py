"""A check-up campaign of 10,000 routine ECGs in the queue, and one chest pain after them: how long its page takes."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import cycle, islice
from uuid import uuid4

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from contracts.envelope import seal
from contracts.ids import UploadId, event_id
from contracts.intake import EcgUploaded
from contracts.topics import ASSESSMENTS_ROUTINE, INTAKE_ROUTINE, PARTITIONS, Topic
from contracts.vocabulary import Blob, Lane
from services.ops.synthetic_patient import Pattern
from services.runtime.archive import SINGLE_FILE
from services.runtime.blobs import claim, open_blobs
from tests.bench.figures import Figure, Lost, percentile, spread
from tests.bench.journeys import assessments, read_back
from tests.bench.patients import AGE_Y, SEX, patients
from tests.bench.sending import Sent, acknowledge, connected, kafka_of, pages_of, send
from tests.e2e.centre import Centre

PART = "campaign"
QUEUED, QUEUED_QUICK = 10_000, 600
DISTINCT = 300  # recordings that the campaign's uploads share among them
IDLE_REDS, IDLE_REDS_QUICK = 100, 20  # of fewer than 100, one odd one would be the p99, and make the aim easy
REDS = 30
ROUTINE_ALONE = 8
GAP_S = 0.5  # from a page to the next red
STALLED_AFTER_S = 120.0
STOPPED = ("cases", "notify")
AIM = 2.0  # times the idle p99, and one routine assessment on top


@dataclass(frozen=True)
class _Desk:
    centre: Centre
    clinic: httpx.AsyncClient
    person: httpx.AsyncClient
    reds: Iterator[bytes]
    counts: "_Counts"

    async def red(self) -> tuple[Sent, float]:
        """Send one red, acknowledge it once it is paged for, and return how long the page took from its receipt, in s."""
        sent = await send(self.clinic, next(self.reds), Lane.EMERGENCY)
        page_s = (await pages_of(self.centre, [sent]))[sent.case_id] - sent.received_at_s
        await acknowledge(self.person, [sent])
        return sent, page_s

    async def spaced_reds(self, count: int) -> list[float]:
        times: list[float] = []
        for _ in range(count):
            times.append((await self.red())[1])
            await asyncio.sleep(GAP_S)
        return times


class _Counts:
    """How far the stages are, asked of Kafka."""

    def __init__(self, kafka: str) -> None:
        self._consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
        self._admin = AIOKafkaAdminClient(bootstrap_servers=kafka)

    async def start(self) -> None:
        await self._consumer.start()
        await self._admin.start()

    async def stop(self) -> None:
        await self._admin.close()
        await self._consumer.stop()

    async def written(self, topic: Topic) -> int:
        return sum((await self._consumer.end_offsets([TopicPartition(topic.name, number) for number in range(PARTITIONS)])).values())

    async def behind(self, group: str, topic: Topic) -> int:
        """Return how many messages of the topic the group has not committed."""
        committed = await self._admin.list_consumer_group_offsets(group)
        return await self.written(topic) - sum(at.offset for partition, at in committed.items() if partition.topic == topic.name and at.offset > 0)


async def campaign(centre: Centre, *, quick: bool) -> list[Figure]:
    """Measure on a centre that is ready and has nothing to do. Raises Lost."""
    queued = QUEUED_QUICK if quick else QUEUED
    idle_reds = IDLE_REDS_QUICK if quick else IDLE_REDS
    normals = list(islice(patients(Pattern.NORMAL), DISTINCT + ROUTINE_ALONE))
    reds = iter(list(islice(patients(Pattern.ANTERIOR), idle_reds + 2 * (REDS + 1) + 2)))
    counts = _Counts(kafka_of(centre))
    await counts.start()
    try:
        async with connected(centre, "clinic_token") as clinic, connected(centre, "person_token") as person:
            desk = _Desk(centre, clinic, person, reds, counts)
            await desk.spaced_reds(2)  # warm
            one_routine_s = await _routine_alone(desk, normals[DISTINCT:])
            idle_s = await desk.spaced_reds(idle_reds)
            allowed_s = AIM * percentile(idle_s, 99) + one_routine_s
            figures = spread(PART, "idle: received_at -> page", idle_s, note=f"{idle_reds} reds, one after another")
            figures.append(Figure(PART, "one routine assessment, p50", one_routine_s * 1000, "ms", note="took_ms, with nothing else to do"))
            blobs = await _stored(centre, normals[:DISTINCT])
            figures += await _behind_the_queue(desk, blobs, queued, allowed_s)
            figures += await _with_cases_and_notify_stopped(desk, blobs, queued, allowed_s)
        return figures
    finally:
        await counts.stop()


async def _routine_alone(desk: _Desk, normals: Sequence[bytes]) -> float:
    """Return p50 of triage's own time for a routine upload when it has nothing else to do, in s."""
    sent = set()
    for recording in normals:
        sent.add((await send(desk.clinic, recording, Lane.ROUTINE)).upload_id)
        await _until_assessed(desk.counts, len(sent))
    found = assessments(await read_back(kafka_of(desk.centre), [ASSESSMENTS_ROUTINE]))
    return percentile([found[upload_id].took_ms / 1000 for upload_id in sent], 50)


async def _stored(centre: Centre, recordings: Sequence[bytes]) -> list[Blob]:
    blobs = open_blobs((centre.data / "blobs").as_uri())
    claims = [claim("raw", recording, SINGLE_FILE) for recording in recordings]
    for blob, recording in zip(claims, recordings, strict=True):
        await blobs.put(blob, recording)
    return claims


async def _queue(kafka: str, blobs: Sequence[Blob], count: int) -> None:
    """Put so many routine uploads into their topic as the gateway would, each of a patient of its own."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        sends = []
        for blob in islice(cycle(blobs), count):
            now, upload_id, key = datetime.now(UTC), UploadId(uuid4()), str(uuid4())
            event = EcgUploaded(
                at=now, upload_id=upload_id, clinic_id="demo-clinic", patient_key=key, lane=Lane.ROUTINE, recording=blob, age_y=AGE_Y, sex=SEX
            )
            of_event = {"event_id": event_id(upload_id, "EcgUploaded"), "source": "gateway", "subject": upload_id, "key": key}
            record = seal(event, **of_event, time=now, recorded=now, correlation=upload_id, causation=upload_id)  # type: ignore[arg-type] # by name
            sends.append(await producer.send(INTAKE_ROUTINE.name, record.value, key=record.key.encode(), headers=list(record.headers)))
        await asyncio.gather(*sends)
    finally:
        await producer.stop()


async def _behind_the_queue(desk: _Desk, blobs: Sequence[Blob], queued: int, allowed_s: float) -> list[Figure]:
    before = await desk.counts.written(ASSESSMENTS_ROUTINE)
    begun_at = time.monotonic()
    await _queue(kafka_of(desk.centre), blobs, queued)
    _, first_s = await desk.red()
    done = await desk.counts.written(ASSESSMENTS_ROUTINE) - before
    spaced_s = await desk.spaced_reds(REDS)
    done_after = await desk.counts.written(ASSESSMENTS_ROUTINE) - before
    per_s = done_after / (time.monotonic() - begun_at)
    note = f"{done} of {queued:,} were assessed by then"
    return [
        Figure(PART, f"{queued:,} queued: the red sent after them", first_s * 1000, "ms", aim=allowed_s * 1000, note=note),
        *_against(f"{queued:,} queued: reds spaced", spaced_s, allowed_s, f"{REDS} reds; {done_after} of {queued:,} were assessed at their end"),
        Figure(PART, "routine assessed meanwhile", per_s, "/s"),
    ]


async def _with_cases_and_notify_stopped(desk: _Desk, blobs: Sequence[Blob], queued: int, allowed_s: float) -> list[Figure]:
    """SIGSTOP cases and notify until all of the queue is assessed, kill them, and send reds as soon as those that follow them are ready."""
    stopped = {name: desk.centre.child(name) for name in STOPPED}
    for pid in stopped.values():
        os.kill(pid, signal.SIGSTOP)
    try:
        begun_at, begun = time.monotonic(), await desk.counts.written(ASSESSMENTS_ROUTINE)
        left = await desk.counts.written(INTAKE_ROUTINE) - begun
        await _queue(kafka_of(desk.centre), blobs, max(0, queued - left))
        total = await desk.counts.written(INTAKE_ROUTINE)
        await _until_assessed(desk.counts, total)
        per_s = (total - begun) / (time.monotonic() - begun_at)
    finally:
        for pid in stopped.values():
            os.kill(pid, signal.SIGKILL)
    let_go_at = time.monotonic()
    await _until_restarted(desk.centre, stopped)
    ready_s = time.monotonic() - let_go_at
    behind = partial(desk.counts.behind, f"cases.{ASSESSMENTS_ROUTINE.name}", ASSESSMENTS_ROUTINE)
    behind_then = await behind()
    _, first_s = await desk.red()
    spaced_s = await desk.spaced_reds(REDS)
    behind_after = await behind()
    note = f"cases had {behind_then:,} still to hear when it was sent"
    name = f"{queued:,} assessed while cases and notify were stopped"
    return [
        Figure(PART, f"{name}: the red sent after them", first_s * 1000, "ms", aim=allowed_s * 1000, note=note),
        *_against(f"{name}: reds spaced", spaced_s, allowed_s, f"{REDS} reds; {behind_after:,} still to hear at their end"),
        Figure(PART, "cases and notify killed -> both ready", ready_s, "s", note="the reds are sent from then on"),
        Figure(PART, "routine assessed with cases and notify stopped", per_s, "/s", note=f"{total - begun:,} of them"),
    ]


async def _until_assessed(counts: _Counts, total: int) -> None:
    """Return once there are so many routine assessments; Lost where they do not become more for a long time."""
    seen, moved_at = -1, time.monotonic()
    while (now := await counts.written(ASSESSMENTS_ROUTINE)) < total:
        if now != seen:
            seen, moved_at = now, time.monotonic()
        elif time.monotonic() - moved_at > STALLED_AFTER_S:
            raise Lost(f"{total - now} routine uploads were not assessed; the last {STALLED_AFTER_S:.0f} s brought none")
        await asyncio.sleep(0.25)


async def _until_restarted(centre: Centre, old: dict[str, int]) -> None:
    give_up_at = time.monotonic() + STALLED_AFTER_S
    while any(centre.child(name) == pid for name, pid in old.items()) or not await asyncio.to_thread(centre.is_ready):
        if time.monotonic() > give_up_at:
            raise Lost("cases and notify were killed and did not come back")
        await asyncio.sleep(0.1)


def _against(name: str, values_s: Sequence[float], allowed_s: float, note: str) -> list[Figure]:
    p50, p99 = spread(PART, name, values_s, note=note)
    return [p50, replace(p99, aim=allowed_s * 1000)]
