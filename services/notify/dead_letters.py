"""Dead letters that should have led to a page: what can still be said of one, and whom to tell. Headers and value may be garbage."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from aiokafka import ConsumerRecord
from pydantic import SecretStr

from contracts.cases import PageRequested
from contracts.directory import STANDING_ALARM, STANDING_NUMBER, Contacts, Directory
from contracts.envelope import Envelope, header
from contracts.ids import NAMESPACE, CaseId, CentreId, ClinicId, EventId, NoticeId, UploadId, event_id
from contracts.topics import ASSESSMENTS_EMERGENCY, ASSESSMENTS_ROUTINE, CASES, COMMANDS, INTAKE_EMERGENCY, INTAKE_ROUTINE, Topic, dead_letter_topic
from contracts.vocabulary import Frozen, Priority
from services.notify.addresses import nearest_centres
from services.notify.groups import Headers
from services.notify.notice import Notice
from services.notify.text import dead_letter_text, page_title
from services.runtime.messages import Message

_ITS_READERS_PAGE = (INTAKE_EMERGENCY, INTAKE_ROUTINE, ASSESSMENTS_EMERGENCY, ASSESSMENTS_ROUTINE, COMMANDS, CASES)
TOPICS = tuple(dead_letter_topic(topic) for topic in _ITS_READERS_PAGE)
VALUE_READ_BYTES = 1024 * 1024
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Letter(Frozen):
    """What a dead letter says of itself, as far as it can be read. alarm_id is one for all letters of the same message."""

    letter_id: UUID
    alarm_id: UUID
    lies: str  # topic/partition/offset
    ids: tuple[tuple[str, UUID], ...] = ()
    case_id: CaseId | None = None
    clinic_id: ClinicId | None = None
    centre_id: CentreId | None = None


def read_letter(topic: Topic, record: ConsumerRecord[Any, Any]) -> Message:
    """Return a dead letter as a message. Never raises: every letter can be told of. Its id is made of where the message came from."""
    here = f"{topic.name}/{record.partition}/{record.offset}"
    origin = header(record.headers, "dlq_origin") or here.encode()
    group = header(record.headers, "dlq_group") or b""
    letter_id = uuid5(NAMESPACE, f"dead letter {origin!r} {group!r}")
    message = _uuid(header(record.headers, "ce_id"))
    alarm_id = uuid5(NAMESPACE, f"dead message {message} {group!r}") if message and group else letter_id
    letter = _letter(topic, here, letter_id, alarm_id, record.headers, record.value or b"")
    at = datetime.fromtimestamp(max(0, record.timestamp) / 1000, UTC)
    envelope = Envelope(
        id=EventId(letter_id),
        type="DeadLetter",
        source="/greenchannel/dlq",
        subject=str(letter_id),
        partitionkey=str(letter_id),
        time=at,
        recordedtime=at,
        correlationid=UploadId(dict(letter.ids).get("upload", letter_id)),
        causationid=letter_id,
    )
    return Message(envelope=envelope, event=letter, topic=topic, partition=record.partition, offset=record.offset)


def _letter(topic: Topic, here: str, letter_id: UUID, alarm_id: UUID, headers: Headers, value: bytes) -> Letter:
    told = _object(value)
    of_upload = topic.name.startswith(("intake.", "assessments."))
    subject = _uuid(header(headers, "ce_subject"))
    upload = _uuid(header(headers, "ce_correlationid")) or (subject if of_upload else None) or _uuid(told.get("upload_id"))
    case = (None if of_upload else subject) or _uuid(told.get("case_id"))
    ids = (("upload", upload), ("case", case), ("event", _uuid(header(headers, "ce_id"))))
    return Letter(
        letter_id=letter_id,
        alarm_id=alarm_id,
        lies=here,
        ids=tuple((what, each) for what, each in ids if each),
        case_id=CaseId(case) if case else None,
        clinic_id=_slug(told.get("clinic_id")),
        centre_id=_slug(told.get("centre_id")),
    )


def _slug(given: object) -> str | None:
    return given if isinstance(given, str) and _SLUG.fullmatch(given) else None


def _object(value: bytes) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        told = json.loads(value[:VALUE_READ_BYTES])
        if isinstance(told, dict):
            return told
    return {}


def _uuid(given: object) -> UUID | None:
    text = given.decode(errors="replace") if isinstance(given, bytes) else given
    if isinstance(text, str):
        with suppress(ValueError):
            return UUID(text)
    return None


def alarms(letter: Letter, directory: Directory, contacts: Contacts) -> Sequence[tuple[str, SecretStr, Notice]]:
    """Return a notice for the standing number of the case's centre, or of the nearest to its clinic; else for every standing number.

    Each with its centre's name and the address that rings it. A centre whose number no machine can ring is passed over: another is rung for it."""
    rings = contacts.standing_alarms
    clinic = directory.clinics.get(letter.clinic_id) if letter.clinic_id else None
    told = [letter.centre_id] if letter.centre_id else nearest_centres(directory, letter.clinic_id) if letter.clinic_id else ()
    centre_ids = [each for each in told if each in rings][:1] or list(rings)
    text = dead_letter_text(clinic.name if clinic else None, letter.ids, letter.lies)
    return [(_name(centre_id, directory), rings[centre_id], _alarm(letter, centre_id, text)) for centre_id in centre_ids]


def _name(centre_id: CentreId, directory: Directory) -> str:
    centre = directory.centres.get(centre_id)
    return centre.name if centre else centre_id


def _alarm(letter: Letter, centre_id: CentreId, text: str) -> Notice:
    return Notice(
        notice_id=NoticeId(event_id(letter.alarm_id, f"{PageRequested.__name__} {centre_id}")),
        case_id=letter.case_id,
        person=STANDING_NUMBER,
        method=STANDING_ALARM,
        round=1,
        title=page_title(Priority.RED),
        text=text,
    )
