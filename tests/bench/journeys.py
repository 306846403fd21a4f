"""The road of an upload, hop by hop, read back from the topics: every event says when it happened and when it was written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from contracts import topics
from contracts.assessments import Assessed
from contracts.cases import PageRequested
from contracts.deliveries import NoticeEvent
from contracts.envelope import Envelope, open_envelope
from contracts.ids import CaseId, UploadId
from contracts.intake import EcgUploaded
from contracts.topics import PARTITIONS, Topic, read_event
from contracts.vocabulary import Frozen
from tests.bench.figures import Figure, Lost, spread
from tests.bench.sending import Sent

ROAD = (topics.INTAKE_EMERGENCY, topics.ASSESSMENTS_EMERGENCY, topics.CASES, topics.DELIVERIES)


@dataclass(frozen=True)
class Written:
    """An event as it lies in its topic. put_at_s, in s since 1970: when its writer put it into a batch, which is then sent at once."""

    envelope: Envelope
    event: Frozen
    put_at_s: float


async def read_back(kafka: str, wanted: Iterable[Topic] = ROAD) -> list[Written]:
    """Return all that lies in the topics now."""
    of_name = {topic.name: topic for topic in wanted}
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(name, number) for name in of_name for number in range(PARTITIONS)]
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        found: list[Written] = []
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [_written(of_name[record.topic], record) for record in records]
        return found
    finally:
        await consumer.stop()


def _written(topic: Topic, record: ConsumerRecord[Any, Any]) -> Written:
    envelope = open_envelope(record.headers)
    return Written(envelope, read_event(topic, envelope.type, record.value or b""), record.timestamp / 1000)


def assessments(written: Iterable[Written]) -> dict[UploadId, Assessed]:
    return {each.event.upload_id: each.event for each in written if isinstance(each.event, Assessed)}


def hops(part: str, sent: Sequence[Sent], pages: Mapping[CaseId, float], written: Iterable[Written]) -> list[Figure]:
    """Return what each hop of the uploads' road took; the hops are those between these moments.

    Lost where an upload that was paged for lacks one of its events."""
    moments: dict[UploadId, dict[str, float]] = {
        each.upload_id: {"received": each.received_at_s, "handed over": pages[each.case_id], "202": each.answered_at_s} for each in sent
    }
    for each in written:
        of_upload = moments.get(each.envelope.correlationid)
        if of_upload is not None:
            _note(of_upload, each)
    names = ("received", "stored", "taken by triage", "assessed", "decided", "put", "handed over", "delivery known")
    lacking = [(upload, name) for upload, found in moments.items() for name in names if name not in found]
    if lacking:
        raise Lost(f"of upload {lacking[0][0]} there is no event for: {lacking[0][1]}")
    figures = spread(part, "received -> 202 at the clinic", [found["202"] - found["received"] for found in moments.values()])
    for before, after in pairwise(names):
        figures += spread(part, f"{before} -> {after}", [found[after] - found[before] for found in moments.values()], note=NOTES[after])
    return figures


NOTES = {
    "stored": "raw file and note fsynced; to ms only",
    "taken by triage": "produce, fetch, inbox",
    "assessed": "triage's own: blob, worker, decoded blob",
    "decided": "produce, fetch, inbox, load",
    "put": "step in Redis; to ms only",
    "handed over": "produce, fetch, inbox",
    "delivery known": "pager's file fsynced",
}


def _note(found: dict[str, float], written: Written) -> None:
    match written.event:
        case EcgUploaded():
            found["stored"] = written.put_at_s
        case Assessed():
            found["assessed"] = written.event.at.timestamp()
            found["taken by triage"] = found["assessed"] - written.event.took_ms / 1000
        case PageRequested(round=1):
            found["decided"] = written.envelope.recordedtime.timestamp()
            found["put"] = written.put_at_s
        case NoticeEvent(round=1):
            found["delivery known"] = written.event.at.timestamp()
        case _:
            pass  # beside the road
