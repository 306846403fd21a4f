"""A store, the log and who keeps the one to the other, on a real Valkey and Kafka; and patients whose decisions go all the way."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from contracts import topics
from contracts.cases import CaseEvents
from contracts.ids import CaseId, EventId, UploadId
from services.cases.comparing import Comparison, compare
from services.cases.desk import InHand
from services.cases.fold import decisions
from services.cases.folding import Log
from services.cases.keeper import Keeper
from services.cases.outbox import Route
from services.cases.redis_folding import RedisFolding
from services.cases.redis_store import RedisStore
from services.cases.snapshots import BlobSnapshots
from services.cases.state import Case
from services.runtime.blobs import open_blobs
from services.runtime.buckets import bucket_of
from services.runtime.errors import Away
from services.runtime.fence import Lease
from services.runtime.kafka_log import KafkaLog
from services.runtime.producer import Producer
from services.runtime.redis_link import connect
from tests.integration.cases.store_suite import Patient
from tests.integration.notify.running import writing


class FoldedWorld:
    """`patient.hear` steps; `relay` brings what it stepped to the log."""

    def __init__(self, redis_url: str, kafka: str, producer: Producer, blobs: Path) -> None:
        self.kafka, self.producer = kafka, producer
        self.redis = connect(redis_url)
        self.store, self.folding, self.log = RedisStore(self.redis), RedisFolding(self.redis), KafkaLog(kafka, topics.CASES, "test")
        self.snapshots = BlobSnapshots(open_blobs(blobs.as_uri()))
        self.in_hand = InHand()
        self.keeper = self.another_keeper(self.log)

    def another_keeper(self, log: Log) -> Keeper:
        turn, store = Lease(self.redis, "cases"), self.store
        return Keeper(self.folding, log, self.snapshots, turn, store.refused, store.unreadable, self.in_hand.ended, self.now)

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def wait(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())

    async def lose_everything(self) -> None:
        await self.redis.flushall()

    async def come_back_elsewhere(self) -> None:
        raise NotImplementedError("stop the server and start it")

    async def fold(self) -> None:
        """What the keeper does at the service's start: it has its turn and looks, once."""
        await self.keeper.look()

    async def relay(self, patient: Patient, case: CaseId | None = None) -> None:
        outbox = await self.store.outbox_in(bucket_of(patient.key), case or patient.case)
        for decision in outbox:
            await self.producer.publish(topics.CASES, decision.records)
            await self.store.sent(patient.key, decision)

    async def hear(self, patient: Patient, *told: Callable[[Case], list[CaseEvents]], route: Route | None = None) -> Case:
        """Hear messages as a desk does: each in the log before the next."""
        for each in told:
            case = await patient.hear(each, route=route)
            await self.relay(patient, case.case_id)
        return case

    async def compared(self) -> Comparison:
        """Compare the whole store with the whole log."""
        return await compare(self.folding, self.log, self.now, lambda done, of: None)

    async def logged(self, patients: Iterable[Patient]) -> dict[str, list[tuple[str, int, tuple[bytes, ...]]]]:
        """Return what the log holds of each patient's decisions, repeats too: cause, sequence, values."""
        found: dict[str, list[tuple[str, int, tuple[bytes, ...]]]] = {patient.key: [] for patient in patients}
        async for chunk in self.log.read({}, await self.log.ends()):
            for each in decisions(chunk):
                if each.key in found:
                    found[each.key].append((each.cause, each.sequence, tuple(value for _, value in each.events)))
        return found

    async def a_few_patients(self) -> list[Patient]:
        """One who waits, one whose upload was assessed, one with a repeat, one who came back after the end of the first case."""
        patients = [Patient(self) for _ in range(4)]
        repeat, later = UploadId(uuid4()), UploadId(uuid4())
        await self.hear(patients[0], patients[0].received())
        await self.hear(patients[1], patients[1].received(), patients[1].refused(3), patients[1].assessed_green())
        await self.hear(patients[2], patients[2].received())
        await self.hear(patients[2], patients[2].received(repeat), patients[2].refused(), route=patients[2].by_upload(repeat))
        await self.hear(patients[3], patients[3].received(), patients[3].assessed_green())
        await self.hear(patients[3], patients[3].received(later), route=patients[3].by_upload(later))
        return patients


@asynccontextmanager
async def folded_world(redis_url: str, kafka: str, stack: object, folder: Path) -> AsyncIterator[FoldedWorld]:
    async with writing(stack) as producer:  # type: ignore[arg-type]
        world = FoldedWorld(redis_url, kafka, producer, folder / "blobs")
        try:
            await world.fold()
            yield world
        finally:
            await world.log.close()
            await world.redis.aclose()


async def until_heard(world: FoldedWorld, patient: Patient, told: Callable[[Case], list[CaseEvents]], message: EventId) -> None:
    """Hear one message to its end as a reader does: again for as long as something is away."""
    while True:
        try:
            with world.in_hand.one():
                await patient.hear(told, message, patient.by_upload())
                await world.relay(patient)
            return
        except Away:
            await asyncio.sleep(0.02)
