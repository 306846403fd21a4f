"""Wiring of triage: an upload of one lane becomes an assessment, whatever the upload holds. Nothing here judges."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import TypeAdapter
from structlog import get_logger

from contracts import topics
from contracts.assessments import Assessed, Reading
from contracts.envelope import seal
from contracts.ids import event_id
from contracts.intake import EcgUploaded
from contracts.topics import INTAKE
from contracts.vocabulary import Blob, Lane, Priority, Sex
from services.runtime.archive import BadArchive, unpack
from services.runtime.blobs import claim
from services.runtime.errors import BlobDamaged, BlobMissing
from services.runtime.inbox import Inbox
from services.runtime.reader import Reader
from services.runtime.service import Links, Plan, Service
from services.runtime.settling import Message
from services.triage import words
from services.triage.nursery import Limits
from services.triage.reading import not_evaluable, read, warm_up
from services.triage.stored import MEDIA_TYPE, encode
from services.triage.workers import WorkerLost, Workers

WRITES = (topics.ASSESSMENTS_EMERGENCY, topics.ASSESSMENTS_ROUTINE)
WORKERS = {Lane.EMERGENCY: 2, Lane.ROUTINE: 1}
AT_ONCE = {Lane.EMERGENCY: 8, Lane.ROUTINE: 2}  # more than workers: blobs are fetched and stored while others are read

log = get_logger()
_facts = TypeAdapter(tuple[int | None, Sex | None])


def build(links: Links, lane: Lane) -> Service:
    warm_up()  # before the fork: every worker is born warm
    workers = Workers(answer, count=WORKERS[lane], limits=Limits())
    desk = _Desk(links, workers)
    reader = Reader(
        INTAKE[lane],
        f"triage.{lane}",
        desk.hear,
        inbox=Inbox(links.redis, "triage"),
        dead_letters=links.producer,
        at_once=AT_ONCE[lane],
        in_order=False,  # one that takes its five seconds holds up nobody while another worker is free
        begins_early=True,  # what is read in vain does no harm
    )
    return Service(readers=(reader,), background=(workers.watch,), on_stop=(workers.stop,))


PLANS = {
    Lane.EMERGENCY: Plan("triage-emergency", WRITES, lambda links: build(links, Lane.EMERGENCY), dead_letters_of=(INTAKE[Lane.EMERGENCY],)),
    Lane.ROUTINE: Plan("triage-routine", WRITES, lambda links: build(links, Lane.ROUTINE), dead_letters_of=(INTAKE[Lane.ROUTINE],)),
}


def answer(task: Mapping[str, object], body: bytes) -> tuple[dict[str, object], bytes]:
    """Read one upload; this runs in a worker. Returns the Reading as JSON's dict, and the decoded recording's bytes or none."""
    age_y, sex = _facts.validate_python((task["age_y"], task["sex"]))
    try:
        files = unpack(body, str(task["media_type"]))
    except BadArchive as bad:
        return not_evaluable((words.bad_archive(bad),), age_y=age_y, sex=sex).model_dump(mode="json"), b""
    reading, recording = read(files, age_y=age_y, sex=sex)
    return reading.model_dump(mode="json"), encode(recording) if recording is not None else b""


class _Desk:
    def __init__(self, links: Links, workers: Workers) -> None:
        self._blobs, self._producer, self._workers = links.blobs, links.producer, workers

    async def hear(self, message: Message) -> None:
        """Assess one upload and return when its assessment is in Kafka."""
        uploaded = message.event
        if not isinstance(uploaded, EcgUploaded):
            raise TypeError(type(uploaded).__name__)
        begun_at = time.monotonic()
        reading, recording = await self._read(uploaded)
        assessed = Assessed(
            **reading.model_dump(exclude_unset=True),
            at=datetime.now(UTC),
            upload_id=uploaded.upload_id,
            clinic_id=uploaded.clinic_id,
            patient_key=uploaded.patient_key,
            lane=uploaded.lane,
            received_at=uploaded.at,
            first_medical_contact_at=uploaded.first_medical_contact_at,
            complaint=uploaded.complaint,
            follows=uploaded.follows,
            recording=recording,
            took_ms=round((time.monotonic() - begun_at) * 1000, 1),
        )
        await message.counted
        urgent = uploaded.lane is Lane.EMERGENCY or assessed.priority is Priority.RED
        record = seal(
            assessed,
            event_id=event_id(message.envelope.id, f"Assessed/{assessed.rulebook_version}"),
            source="triage",
            subject=uploaded.upload_id,
            key=uploaded.patient_key,
            time=assessed.at,
            recorded=assessed.at,
            correlation=message.envelope.correlationid,
            causation=message.envelope.id,
            priority=assessed.priority,
            traceparent=message.envelope.traceparent,
        )
        await self._producer.publish(topics.ASSESSMENTS_EMERGENCY if urgent else topics.ASSESSMENTS_ROUTINE, [record])
        log.info("assessed", priority=assessed.priority, took_ms=assessed.took_ms)

    async def _read(self, uploaded: EcgUploaded) -> tuple[Reading, Blob | None]:
        """Return the verdict and the claim check of the decoded recording; what goes wrong on the way is a verdict too, unless something is away."""
        try:
            raw = await self._blobs.get(uploaded.recording)
            task = {"media_type": uploaded.recording.media_type, "age_y": uploaded.age_y, "sex": uploaded.sex}
            told, decoded = await self._workers.do(task, raw)
            reading = Reading.model_validate(told)
        except (BlobMissing, BlobDamaged) as gone:
            log.error("recording lost", cause=str(gone))
            return not_evaluable((words.BLOB_LOST,), age_y=uploaded.age_y, sex=uploaded.sex), None
        except WorkerLost as lost:
            log.error("worker lost", why=lost.why, cause=lost.cause)
            return not_evaluable((words.worker_lost(lost.why),), age_y=uploaded.age_y, sex=uploaded.sex), None
        if not decoded:
            return reading, None
        recording = claim("decoded", decoded, MEDIA_TYPE)
        await self._blobs.put(recording, decoded)
        return reading, recording
