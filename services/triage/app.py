"""Wiring of triage: an upload of one lane becomes an assessment, whatever the upload holds. Nothing here judges."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

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
from services.runtime.errors import BlobDamaged, BlobMissing, ConfigurationError, in_words
from services.runtime.inbox import Inbox
from services.runtime.messages import Message
from services.runtime.reader import Reader
from services.runtime.service import Links, Plan, Service
from services.runtime.settings import PREFIX, Settings
from services.triage import words
from services.triage.earlier import EarlierEcgs
from services.triage.nursery import Limits
from services.triage.reading import not_evaluable, read, warm_up
from services.triage.recent import RecentEcgs
from services.triage.rulebook import Rulebook, RulebookInvalid, UnknownProfile, shipped_for
from services.triage.stored import MEDIA_TYPE, encode
from services.triage.workers import WorkerLost, Workers

WORKERS = {Lane.EMERGENCY: 2, Lane.ROUTINE: 1}
AT_ONCE = {Lane.EMERGENCY: 8, Lane.ROUTINE: 2}  # more than workers: blobs are fetched and stored while others are read
KEPT_AT_ONCE = 16
RECENT_WITHIN_S = 0.25  # from Redis; longer, and the verdict is given without the comparison

ASSESSMENTS = (topics.ASSESSMENTS_EMERGENCY, topics.ASSESSMENTS_ROUTINE)

log = get_logger()
_facts = TypeAdapter(tuple[int | None, Sex | None])


def build(links: Links, lane: Lane) -> Service:
    rulebook = rulebook_for(links.settings)
    warm_up(rulebook)  # before the fork: every worker is born warm
    workers = Workers(partial(answer, rulebook), count=WORKERS[lane], limits=Limits())
    recent = RecentEcgs(links.redis)
    desk = Desk(links, workers, recent, rulebook)
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
    keepers = _keepers(links, recent) if lane is Lane.ROUTINE else ()  # there they hold up no emergency
    return Service(readers=(reader, *keepers), background=(workers.watch,), on_stop=(workers.stop,))


def _keepers(links: Links, recent: RecentEcgs) -> tuple[Reader, ...]:
    """Return the readers that keep the patients' recent ECGs: also of those whose desk could not, or ended before it had."""

    async def keep(message: Message) -> None:
        if not isinstance(message.event, Assessed):
            raise TypeError(type(message.event).__name__)
        await recent.add(message.event)

    inbox = Inbox(links.redis, "triage.recent")
    return tuple(
        Reader(topic, f"triage.recent.{topic.name}", keep, inbox=inbox, dead_letters=links.producer, at_once=KEPT_AT_ONCE, in_order=False)
        for topic in ASSESSMENTS
    )


PLANS = {
    Lane.EMERGENCY: Plan("triage-emergency", ASSESSMENTS, lambda links: build(links, Lane.EMERGENCY), dead_letters_of=(INTAKE[Lane.EMERGENCY],)),
    Lane.ROUTINE: Plan("triage-routine", ASSESSMENTS, lambda links: build(links, Lane.ROUTINE), dead_letters_of=(INTAKE[Lane.ROUTINE], *ASSESSMENTS)),
}


def rulebook_for(settings: Settings) -> Rulebook:
    """Return the rulebook that the settings choose; ConfigurationError where there is none of that name, or it may not be used."""
    try:
        return shipped_for(settings.rules_profile)
    except (UnknownProfile, RulebookInvalid) as error:
        raise ConfigurationError(f"{PREFIX}RULES_PROFILE", str(error)) from None


def answer(rulebook: Rulebook, task: Mapping[str, object], body: bytes) -> tuple[dict[str, object], bytes]:
    """Read one upload; this runs in a worker. Returns the Reading as JSON's dict, and the decoded recording's bytes or none."""
    age_y, sex = _facts.validate_python((task["age_y"], task["sex"]))
    try:
        files = unpack(body, str(task["media_type"]))
    except BadArchive as bad:
        return not_evaluable((words.bad_archive(bad),), age_y=age_y, sex=sex, rulebook=rulebook).model_dump(mode="json"), b""
    earlier = EarlierEcgs.model_validate(task["earlier"])
    reading, recording = read(files, age_y=age_y, sex=sex, earlier=earlier, rulebook=rulebook)
    return reading.model_dump(mode="json"), encode(recording) if recording is not None else b""


class Desk:
    """Where the uploads of a lane are heard."""

    def __init__(self, links: Links, workers: Workers, recent: RecentEcgs, rulebook: Rulebook) -> None:
        self._blobs, self._producer, self._workers = links.blobs, links.producer, workers
        self._recent, self._rulebook = recent, rulebook

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
        await self._keep(assessed)

    async def _read(self, uploaded: EcgUploaded) -> tuple[Reading, Blob | None]:
        """Return the verdict and the claim check of the decoded recording; what goes wrong on the way is a verdict too, unless something is away."""
        looking = asyncio.create_task(self._earlier(uploaded))  # meanwhile
        try:
            raw = await self._blobs.get(uploaded.recording)
            earlier = (await looking).model_dump(mode="json")
            task = {"media_type": uploaded.recording.media_type, "age_y": uploaded.age_y, "sex": uploaded.sex, "earlier": earlier}
            told, decoded = await self._workers.do(task, raw)
            reading = Reading.model_validate(told)
        except (BlobMissing, BlobDamaged) as gone:
            log.error("recording lost", cause=str(gone))
            return not_evaluable((words.BLOB_LOST,), age_y=uploaded.age_y, sex=uploaded.sex, rulebook=self._rulebook), None
        except WorkerLost as lost:
            log.error("worker lost", why=lost.why, cause=lost.cause)
            return not_evaluable((words.worker_lost(lost.why),), age_y=uploaded.age_y, sex=uploaded.sex, rulebook=self._rulebook), None
        finally:
            looking.cancel()
        if not decoded:
            return reading, None
        recording = claim("decoded", decoded, MEDIA_TYPE)
        await self._blobs.put(recording, decoded)
        return reading, recording

    async def _earlier(self, uploaded: EcgUploaded) -> EarlierEcgs:
        """Return the patient's ECGs before this one. Whatever keeps them away costs the comparison, which the reading then says, and no verdict."""
        try:
            async with asyncio.timeout(RECENT_WITHIN_S):
                return EarlierEcgs(at=uploaded.at, found=await self._recent.of(uploaded.patient_key))
        except Exception as error:  # noqa: BLE001 - see above
            log.warning("judged without the patient's earlier ECGs", cause=in_words(error))
            return EarlierEcgs(at=uploaded.at, found=None)

    async def _keep(self, assessed: Assessed) -> None:
        """Keep it for a repeat that comes within seconds; what fails here, the readers of the assessments make good."""
        try:
            async with asyncio.timeout(RECENT_WITHIN_S):
                await self._recent.add(assessed)
        except Exception as error:  # noqa: BLE001 - the verdict is in Kafka: whatever it is, it must not be given again
            log.warning("not kept for the patient's next ECG yet", cause=in_words(error))
