"""Wiring of cases: its topics to the desk, the desk to Redis and Kafka. Nothing here decides."""

from datetime import UTC, datetime
from uuid import UUID

from contracts import topics
from services.cases.desk import Desk
from services.cases.keeper import Keeper
from services.cases.redis_folding import RedisFolding
from services.cases.redis_store import RedisStore
from services.cases.snapshots import BlobSnapshots
from services.runtime.fence import Lease
from services.runtime.kafka_log import KafkaLog
from services.runtime.reader import Reader
from services.runtime.service import Links, Plan, Service

READS = (topics.INTAKE_EMERGENCY, topics.ASSESSMENTS_EMERGENCY, topics.ASSESSMENTS_ROUTINE, topics.COMMANDS, topics.DELIVERIES)
FOLLOWS = (topics.DIRECTORY,)
WRITES = (topics.CASES, topics.COMMANDS)


def build(links: Links) -> Service:
    store = RedisStore(links.redis)
    desk = Desk(store, links.producer, links.directory.current, _now)
    readers = [
        Reader(topic, f"cases.{topic.name}", desk.hear, inbox=_CountedByLoad(store), dead_letters=links.producer, at_once=16) for topic in READS
    ]
    log, folding = KafkaLog(links.settings.kafka, topics.CASES, f"cases-log-{links.settings.instance}"), RedisFolding(links.redis)
    snapshots = BlobSnapshots(links.blobs)
    keeper = Keeper(folding, log, snapshots, Lease(links.redis, "cases"), store.refused, store.unreadable, desk.in_hand.ended, _now)
    return Service(readers=readers, background=(desk.watch, keeper.keep), on_stop=(log.close,))


PLAN = Plan(name="cases", writes=WRITES, build=build, dead_letters_of=READS)


def _now() -> datetime:
    return datetime.now(UTC)


class _CountedByLoad:
    """The inbox of cases lies with the case: loading counts a beginning, the step that handles a message knows it for good."""

    def __init__(self, store: RedisStore) -> None:
        self.pardon = store.pardon

    async def begin(self, message_id: UUID | str, key: str, beginning: str) -> int:
        return 1

    async def handled(self, message_id: UUID | str, key: str) -> None: ...
