"""The inboxes and the notices come back from deliveries.v1, which names each notice that was told of, and its message: at every start, and whenever
Redis was lost.

Until that is done pages wait: a Redis that forgot would have everybody rung again for what they were rung for. And a provider's word is not
refused: one that hears that there is no such notice does not say it again."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from redis.asyncio import Redis
from structlog import get_logger

from contracts.deliveries import NoticeEvent
from contracts.envelope import EnvelopeUnreadable, header, open_envelope
from contracts.topics import DELIVERIES, EventUnreadable, Topic, read_event
from services.notify.folded_inbox import WHAT, FoldedInbox
from services.notify.groups import RED_GROUP, REST_GROUP, Headers, group_told_of
from services.notify.notice import Origin, origin_told
from services.notify.sent_notices import SentNotices
from services.runtime.fence import Fence, Reflects
from services.runtime.folded import Folded
from services.runtime.inbox import KEPT
from services.runtime.kafka_log import Chunk, KafkaLog

READS_BACK = KEPT + timedelta(days=1)

log = get_logger()


class Refolding:
    """Folds both groups' inboxes, and the notices. Raises Away where Kafka or Redis cannot be reached."""

    def __init__(self, kafka: str, redis: Redis, now: Callable[[], datetime]) -> None:
        log_of_deliveries = KafkaLog(kafka, DELIVERIES, "notify-log")
        self._folded = Folded(Fence(redis, WHAT), [log_of_deliveries], [READS_BACK], self._mark, _nothing, now)
        self._has_caught_up = False
        lost = self._folded.lost
        self.inboxes = {group: FoldedInbox(redis, group, has_caught_up=self._is_caught_up, lost=lost) for group in (RED_GROUP, REST_GROUP)}
        self.notices = SentNotices(redis, has_caught_up=self._is_caught_up, lost=lost)

    def _is_caught_up(self) -> bool:
        return self._has_caught_up

    async def run(self) -> None:
        """Fold, and fold again whenever Redis was lost; until cancelled."""
        await self.fold()
        await self._folded.keep()

    async def fold(self) -> int:
        """Mark handled each message whose delivery is in the log, keep whose notice it was, and return how many deliveries were read."""
        read = await self._folded.catch_up()
        self._has_caught_up = True
        return read

    async def _mark(self, _: Topic, records: Chunk) -> None:
        handled: dict[str, list[tuple[UUID, str]]] = {group: [] for group in self.inboxes}
        told = list[tuple[Origin, NoticeEvent]]()
        for record in records:
            headers = [(name, value or b"") for name, value in record.headers]
            try:
                message = UUID((header(headers, "ce_causationid") or b"").decode()), (record.key or b"").decode()
            except ValueError:  # UnicodeDecodeError too
                log.error("a delivery cannot be read: its page may be sent again", partition=record.partition, offset=record.offset)
                continue
            handled[group_told_of(headers)].append(message)
            try:
                told.append(_told(headers, record.value or b""))
            except (EnvelopeUnreadable, EventUnreadable) as error:
                log.error("a delivery cannot be read: a provider's word about its notice is refused", cause=str(error), offset=record.offset)
        for group, messages in handled.items():
            await self.inboxes[group].handled_all(messages)
        await self.notices.fold(told)


def _told(headers: Headers, value: bytes) -> tuple[Origin, NoticeEvent]:
    envelope = open_envelope(headers)
    event = read_event(DELIVERIES, envelope.type, value)
    if not isinstance(event, NoticeEvent):
        raise TypeError(f"{envelope.type} tells of no notice")
    return origin_told(event, envelope), event


async def _nothing() -> Reflects:
    """What was delivered since the last folding is not counted: it is read once more then."""
    return {}
