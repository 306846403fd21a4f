"""Taking an upload in: its ids, its bytes and a note of it into the blob store, its event into Kafka; in this order, and accepted only after all.

Sending the same again is safe at every point: ids are made of what was sent, and the note holds the event as it was made the first time."""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from pydantic import ValidationError
from structlog import get_logger

from contracts.envelope import Record, seal
from contracts.ids import (
    ClinicId,
    PatientKey,
    UploadId,
    event_id,
    patient_key,
    unnamed_patient_key,
    upload_id_of_content,
    upload_id_of_key,
)
from contracts.intake import EcgUploaded
from contracts.topics import INTAKE, Topic
from contracts.vocabulary import Blob, Frozen, Lane
from services.gateway.facts import Facts
from services.runtime.archive import UploadedFile, pack
from services.runtime.blobs import Blobs, claim
from services.runtime.errors import Away, GreenchannelError

ANSWERED_WITHIN_S = 4.0
REMEMBERED = 10_000
ROUTINE_AT_ONCE = 2  # disk and processor: what routine uploads leave free, an emergency finds free

log = get_logger()


class FactsRefused(GreenchannelError):
    """A routine upload has facts that cannot be true. args: their names."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(names)
        self.names = names

    def __str__(self) -> str:
        return f"facts that cannot be true: {', '.join(self.names)}"


class KeyReused(GreenchannelError):
    """The clinic's Idempotency-Key belongs to another upload. args: that upload."""

    def __init__(self, upload_id: UploadId) -> None:
        super().__init__(upload_id)
        self.upload_id = upload_id

    def __str__(self) -> str:
        return f"the key belongs to upload {self.upload_id}, which had other bytes or facts"


class PublishPort(Protocol):
    async def publish(self, topic: Topic, records: Sequence[Record]) -> None: ...


class Note(Frozen):
    """What is kept of an upload, by its id: so that it can be followed, and published again as it was."""

    content_id: UploadId  # of the bytes and the facts, whatever key the upload came under
    named_key: PatientKey | None  # made of the number that was given with it, or with one that it follows
    event: EcgUploaded


@dataclass(frozen=True)
class Arrived:
    """An upload whose bytes are here."""

    clinic_id: ClinicId
    facts: Facts
    files: tuple[UploadedFile, ...]
    idempotency_key: str | None
    received_at: datetime


@dataclass(frozen=True)
class _Known:
    """An upload that has its ids."""

    upload_id: UploadId
    content_id: UploadId
    patient_key: PatientKey
    named_key: PatientKey | None
    clinic_id: ClinicId
    facts: Facts
    received_at: datetime
    archive: bytes
    recording: Blob
    has_key: bool


class Intake:
    def __init__(self, blobs: Blobs, producer: PublishPort, patient_secret: bytes, *, answered_within_s: float = ANSWERED_WITHIN_S) -> None:
        self._blobs, self._producer, self._secret = blobs, producer, patient_secret
        self._answered_within_s = answered_within_s
        self._accepted: OrderedDict[UploadId, Note] = OrderedDict()
        self._in_hand: dict[UploadId, tuple[UploadId, asyncio.Task[Note]]] = {}
        self._publishing: set[UploadId] = set()  # their bytes are stored: they wait for Kafka alone
        self._routine = asyncio.Semaphore(ROUTINE_AT_ONCE)

    async def accept(self, arrived: Arrived) -> EcgUploaded:
        """Return the upload's event once its bytes are durable and Kafka has acknowledged it; a repeat's is that of the first time.

        Raises Away (then it may be sent again; it may also have arrived), FactsRefused, KeyReused, BadArchive."""
        known: _Known | None = None
        try:
            async with asyncio.timeout(self._answered_within_s):
                known = await self._identify(arrived)
                return (await self._settled(known)).event
        except TimeoutError:
            what = "kafka" if known and known.upload_id in self._publishing else "blobs"
            raise Away(what, f"no acknowledgement within {self._answered_within_s:g} s") from None

    def _turn(self, lane: Lane) -> AbstractAsyncContextManager[None]:
        return self._routine if lane is Lane.ROUTINE else contextlib.nullcontext()

    async def _identify(self, arrived: Arrived) -> _Known:
        async with self._turn(arrived.facts.lane):
            archive, recording = await asyncio.to_thread(_packed, arrived.files)
        clinic, said = arrived.clinic_id, arrived.facts
        given = patient_key(self._secret, clinic, said.patient) if said.patient is not None else None
        followed = await self._followed(clinic, said, given)
        facts = said if followed or said.follows is None else replace(said, follows=None, unknown=(*said.unknown, "follows"))
        if facts.lane is Lane.ROUTINE and facts.unknown:
            raise FactsRefused(facts.unknown)
        content_id = upload_id_of_content(clinic, recording.sha256, _canonical(said, given))
        return _Known(
            upload_id=upload_id_of_key(clinic, arrived.idempotency_key) if arrived.idempotency_key else content_id,
            content_id=content_id,
            patient_key=followed.event.patient_key if followed else given or unnamed_patient_key(clinic, recording.sha256),
            named_key=given or (followed.named_key if followed else None),
            clinic_id=clinic,
            facts=facts,
            received_at=arrived.received_at,
            archive=archive,
            recording=recording,
            has_key=arrived.idempotency_key is not None,
        )

    async def _followed(self, clinic: ClinicId, facts: Facts, given: PatientKey | None) -> Note | None:
        """Return the note of the upload that this one follows; None where it is none of this clinic, or plainly another patient's."""
        try:
            note = await self._note_of(facts.follows) if facts.follows else None
        except ValidationError:
            log.exception("note damaged", upload_id=str(facts.follows))  # its own repeat fails by it; a recording that follows it does not
            return None
        if note is None or note.event.clinic_id != clinic:
            return None
        return None if given and note.named_key and given != note.named_key else note

    async def _note_of(self, upload_id: UploadId) -> Note | None:
        content = await self._blobs.noted(_name_of_note(upload_id))
        return Note.model_validate_json(content) if content is not None else None

    async def _settled(self, known: _Known) -> Note:
        """Return the upload's note, from memory, from whoever has it in hand, or by storing and publishing it now."""
        upload_id, content_id = known.upload_id, known.content_id
        accepted = self._accepted.get(upload_id)
        if accepted is not None:
            return _same(accepted, content_id)
        if upload_id not in self._in_hand:
            # A task of its own: who asked may leave, or time out, but a publication is not cancelled half-way.
            task = asyncio.create_task(self._settle(known), name=f"settle {upload_id}")
            self._in_hand[upload_id] = (content_id, task)
            task.add_done_callback(lambda done: self._ended(upload_id, done))
        content_in_hand, task = self._in_hand[upload_id]
        if content_in_hand != content_id:
            raise KeyReused(upload_id)
        return await asyncio.shield(task)

    def _ended(self, upload_id: UploadId, task: asyncio.Task[Note]) -> None:
        del self._in_hand[upload_id]
        if not task.cancelled() and task.exception() is None:
            self._accepted[upload_id] = task.result()
            if len(self._accepted) > REMEMBERED:
                self._accepted.popitem(last=False)

    async def _settle(self, known: _Known) -> Note:
        try:
            async with asyncio.timeout(self._answered_within_s), self._turn(known.facts.lane):
                note = await self._store(known)
        except TimeoutError:
            raise Away("blobs", f"no answer within {self._answered_within_s:g} s") from None
        del known  # its bytes are stored: what waits for Kafka must not hold them in memory
        self._publishing.add(note.event.upload_id)
        try:
            await self._producer.publish(INTAKE[note.event.lane], [_sealed(note.event)])
        finally:
            self._publishing.discard(note.event.upload_id)
        return note

    async def _store(self, known: _Known) -> Note:
        if known.has_key:
            earlier = await self._note_of(known.upload_id)
            if earlier is not None:
                _same(earlier, known.content_id)  # and on: a note may stand there without its bytes
        facts = known.facts
        event = EcgUploaded(
            at=known.received_at,
            upload_id=known.upload_id,
            clinic_id=known.clinic_id,
            patient_key=known.patient_key,
            lane=facts.lane,
            recording=known.recording,
            age_y=facts.age_y,
            sex=facts.sex,
            complaint=facts.complaint,
            first_medical_contact_at=facts.first_medical_contact_at,
            follows=facts.follows,
            sent_at=facts.sent_at,
            clock_skew_s=(known.received_at - facts.sent_at).total_seconds() if facts.sent_at else None,
            device_time=facts.device_time,
            unknown_facts=facts.unknown,
        )
        note = Note(content_id=known.content_id, named_key=known.named_key, event=event)
        noting = self._blobs.note(_name_of_note(known.upload_id), note.model_dump_json().encode())
        standing, _ = await asyncio.gather(noting, self._blobs.put(known.recording, known.archive))
        return _same(Note.model_validate_json(standing), known.content_id)


def _packed(files: Sequence[UploadedFile]) -> tuple[bytes, Blob]:
    archive, media_type = pack(files)
    return archive, claim("raw", archive, media_type)


def _canonical(facts: Facts, given: PatientKey | None) -> dict[str, str | int | None]:
    """Return what makes an upload another one: as it was said, not as it was found, so that a repeat is the same upload whatever came since."""
    contact = facts.first_medical_contact_at
    return {
        "lane": facts.lane.value,
        "patient": given,
        "age": facts.age_y,
        "sex": facts.sex.value if facts.sex else None,
        "complaint": facts.complaint.value if facts.complaint else None,
        "first_medical_contact": contact.isoformat() if contact else None,
        "follows": str(facts.follows) if facts.follows else None,
    }


def _name_of_note(upload_id: UploadId) -> str:
    return f"uploads/{str(upload_id)[:2]}/{upload_id}"


def _same(note: Note, content_id: UploadId) -> Note:
    if note.content_id != content_id:
        raise KeyReused(note.event.upload_id)
    return note


def _sealed(event: EcgUploaded) -> Record:
    """Return the event in its envelope, the same bytes each time: it is recorded when it happens."""
    upload_id = event.upload_id
    return seal(
        event,
        event_id=event_id(upload_id, "EcgUploaded"),
        source="gateway",
        subject=upload_id,
        key=event.patient_key,
        time=event.at,
        recorded=event.at,
        correlation=upload_id,
        causation=upload_id,
    )
