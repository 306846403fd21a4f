"""A log of many cases, as cases writes it: one case is decided and sealed, and the others are made of it with ids of their own."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from contracts import topics
from contracts.cases import (
    Acknowledged,
    CaseEvents,
    CaseOpened,
    ClinicAnswered,
    CommandRefused,
    NoticeOutcome,
    NoticeReported,
    PageRequested,
    UploadAssessed,
    UploadReceived,
)
from contracts.envelope import Record, seal
from contracts.ids import EventId, NoticeId, UploadId, case_id, event_id
from contracts.vocabulary import Lane, Priority, Sex
from services.cases.evolve import evolve
from services.cases.state import Case

HEADLINE = "anterior STEMI: ST elevation V3 0.58 mV, threshold 0.20 mV"
OPEN_AT_ONCE = 1000  # of whom the log tells in turn
BATCH_BYTES = 900_000

Change = tuple[EventId, Case, Case, list[Record]]  # a message, the case before and after it, and what it led to


def changes(upload: UploadId, key: str, at: datetime, messages: list[EventId]) -> Iterator[Change]:
    """Return the five decisions, of eight events, by which a red case is opened, paged and taken in hand."""
    case = Case(case_id=case_id(upload), patient_key=key)
    for message, events in zip(messages, _told(case, upload, at), strict=True):
        before, records = case, []
        for place, event in enumerate(events):
            case = evolve(case, event)
            records.append(
                seal(
                    event,
                    event_id=event_id(message, type(event).__name__, place),
                    source="cases",
                    subject=case.case_id,
                    key=key,
                    time=at,
                    recorded=at,
                    correlation=upload,
                    causation=message,
                    sequence=case.sequence,
                    priority=Priority.RED,
                )
            )
        yield message, before, case, records


def _told(case: Case, upload: UploadId, at: datetime) -> list[list[CaseEvents]]:
    of_case = {"at": at, "case_id": case.case_id, "patient_key": case.patient_key}
    of_upload = {"upload_id": upload, "clinic_id": "clinic-of-the-township", "received_at": at, "age_y": 61, "sex": Sex.MALE}
    clinic = {"upload_id": upload, "clinic_id": "clinic-of-the-township"}
    notice = {"notice_id": NoticeId(uuid.uuid4()), "person_id": "cardiologist-on-call", "method": "telephone", "round": 1}
    opened = {**of_case, **clinic, "received_at": at, "priority": Priority.RED, "headline": HEADLINE}
    assessed = UploadAssessed(
        **of_case, **of_upload, lane=Lane.EMERGENCY, priority=Priority.RED, headline=HEADLINE, assessed_event=EventId(uuid.uuid4())
    )
    return [
        [UploadReceived(**of_case, **of_upload, due_at=at + timedelta(minutes=1))],
        [
            assessed,
            CaseOpened(**opened, centre_id="chest-pain-centre", centre_number="555-0100"),
            PageRequested(**of_case, **of_upload, **notice, priority=Priority.RED, headline=HEADLINE, centre_id="chest-pain-centre"),
            ClinicAnswered(**of_case, **clinic, priority=Priority.RED, text=HEADLINE),
        ],
        [NoticeReported(**of_case, **notice, outcome=NoticeOutcome.SENT)],
        [Acknowledged(**of_case, by="cardiologist-on-call", round=1)],
        [CommandRefused(**of_case, command="Acknowledge", command_id=EventId(uuid.uuid4()), reason="it is in hand already")],
    ]


def many(count: int, seed: int, at: datetime | None = None) -> Iterator[list[Record]]:
    """Return the decisions of so many cases, of OPEN_AT_ONCE in turn, each case's in its order."""
    random = Random(seed)
    upload, key, messages = UploadId(uuid.uuid4()), str(uuid.uuid4()), [EventId(uuid.uuid4()) for _ in range(5)]
    pattern = [records for *_, records in changes(upload, key, at or datetime.now(UTC), messages)]
    texts = [[(tuple((name, held.decode()) for name, held in each.headers), each.value.decode()) for each in records] for records in pattern]
    of_pattern = [str(upload), str(case_id(upload)), key, *map(str, messages)]
    for begin in range(0, count, OPEN_AT_ONCE):
        of_each = []
        for _ in range(min(OPEN_AT_ONCE, count - begin)):
            own = UploadId(UUID(int=random.getrandbits(128), version=4))
            others = [str(UUID(int=random.getrandbits(128), version=4)) for _ in range(6)]
            of_each.append(list(zip(of_pattern, [str(own), str(case_id(own)), *others], strict=True)))
        for texts_of_decision in texts:
            for names in of_each:
                yield [_renamed(headers, value, names, place) for place, (headers, value) in enumerate(texts_of_decision)]


def _renamed(headers: tuple[tuple[str, str], ...], value: str, names: list[tuple[str, str]], place: int) -> Record:
    named, own = dict(names), []
    for name, held in headers:
        own.append((name, (str(uuid.uuid4()) if name == "ce_id" else named.get(held, held)).encode()))
    for old, new in names[:3]:
        value = value.replace(old, new)
    return Record(key=names[2][1], headers=tuple(own), value=value.encode())


async def publish_many(kafka: str, count: int, seed: int) -> int:
    """Write the log of so many cases into cases.v1, many decisions a batch; return how many events it has."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=True, max_batch_size=2_000_000, max_request_size=2_100_000)
    await producer.start()
    try:
        partitions = len(await producer.partitions_for(topics.CASES.name))
        batches = {partition: producer.create_batch() for partition in range(partitions)}
        written, waiting = 0, []
        for records in many(count, seed):
            partition = (murmur2(records[0].key.encode()) & 0x7FFFFFFF) % partitions
            for record in records:
                batches[partition].append(key=record.key.encode(), value=record.value, timestamp=None, headers=list(record.headers))
            written += len(records)
            if batches[partition].size() > BATCH_BYTES:
                waiting.append(await producer.send_batch(batches[partition], topics.CASES.name, partition=partition))
                batches[partition] = producer.create_batch()
        for partition, batch in batches.items():
            if batch.record_count():
                waiting.append(await producer.send_batch(batch, topics.CASES.name, partition=partition))
        for each in waiting:
            await each
        return written
    finally:
        await producer.stop()
