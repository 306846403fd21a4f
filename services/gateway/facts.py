"""What a clinic says beside the recording, read into types. Pure: what cannot be true is taken as unknown, and named; so is what is no fact here."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TypeVar
from uuid import UUID

from contracts.ids import UploadId
from contracts.intake import FactName
from contracts.vocabulary import Complaint, Lane, Sex

OLDEST_AGE_Y = 125
LONGEST_NUMBER_CHARACTERS = 64
LONGEST_FACT_CHARACTERS = 1000
NAMED_AT_MOST = 16
NOT_A_NAME = "?"
CONTACT_AHEAD_AT_MOST = timedelta(minutes=5)  # clocks differ
CONTACT_OLD_AT_MOST = timedelta(days=30)

ALLOWED: Mapping[str, str] = MappingProxyType(
    {
        "lane": "emergency or routine",
        "age": f"whole years, 0 to {OLDEST_AGE_Y}",
        "sex": "M or F",
        "complaint": "one of " + ", ".join(Complaint),
        "first_medical_contact": "ISO 8601 with offset, at most 30 days ago and not in the future",
        "sent_at": "ISO 8601 with offset",
        "device_time": "ISO 8601 date and time",
        "patient": f"the clinic's number of the patient, at most {LONGEST_NUMBER_CHARACTERS} characters, not all zeros",
        "follows": "the upload_id of an earlier upload of this clinic and this patient",
    }
)

KNOWN: Mapping[str, str] = MappingProxyType({"clinic": "the id of the token's clinic", **ALLOWED})

_SEXES = {
    "m": Sex.MALE,
    "male": Sex.MALE,
    "man": Sex.MALE,
    "男": Sex.MALE,
    "f": Sex.FEMALE,
    "female": Sex.FEMALE,
    "woman": Sex.FEMALE,
    "女": Sex.FEMALE,
}
_COMPLAINTS: dict[str, Complaint] = {code.value: code for code in Complaint} | {
    "胸痛": Complaint.CHEST_PAIN,
    "胸闷": Complaint.CHEST_PAIN,
    "上腹痛": Complaint.EPIGASTRIC_PAIN,
    "呼吸困难": Complaint.DYSPNOEA,
    "气促": Complaint.DYSPNOEA,
    "dyspnea": Complaint.DYSPNOEA,
    "shortness_of_breath": Complaint.DYSPNOEA,
    "心悸": Complaint.PALPITATIONS,
    "晕厥": Complaint.SYNCOPE,
    "猝倒": Complaint.COLLAPSE,
    "乏力": Complaint.WEAKNESS,
    "体检": Complaint.CHECK_UP,
    "checkup": Complaint.CHECK_UP,
    "其他": Complaint.OTHER,
}
# A date, and not merely digits: the number of an identity card is digits too.
_DEVICE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
    r"|[0-9]{8}T[0-9]{6}(Z|[+-][0-9]{4})?"
)
# Letters only, and few: what stands where a name should may be a number of a patient, and this is logged.
_NAME = re.compile(r"[A-Za-z_-]{1,40}")
_OFFSET_IN_A_QUERY = re.compile(r"(T\S+) ([0-9]{2}:?[0-9]{2})")

T = TypeVar("T")


@dataclass(frozen=True)
class Facts:
    """`unknown` names what came and could not be true. `patient` is the number itself: a key is made of it, and nothing else."""

    lane: Lane = Lane.EMERGENCY
    age_y: int | None = None
    sex: Sex | None = None
    complaint: Complaint | None = None
    first_medical_contact_at: datetime | None = None
    sent_at: datetime | None = None
    device_time: str | None = None
    patient: str | None = field(default=None, repr=False)
    follows: UploadId | None = None
    unknown: tuple[FactName, ...] = ()


def read_facts(given: Iterable[tuple[str, str]], received_at: datetime) -> Facts:
    """Return the facts among the (name, value) pairs. Never raises: a fact that cannot be true, or is said in two ways, is in `unknown`."""
    said: dict[str, list[str]] = {}
    for name, value in given:
        said.setdefault(name, []).append(value)
    unknown: list[FactName] = []

    def take(name: str, read: Callable[[str], T]) -> T | None:
        values = {clean(value) for value in said.get(name, ())} - {""}
        if not values:
            return None
        try:
            (value,) = values
            return read(value)
        except (ValueError, OverflowError):
            unknown.append(name)
            return None

    return Facts(
        lane=take("lane", lambda value: Lane(value.lower())) or Lane.EMERGENCY,
        age_y=take("age", _age_y),
        sex=take("sex", lambda value: _one_of(_SEXES, value)),
        complaint=take("complaint", lambda value: _one_of(_COMPLAINTS, value.replace(" ", "_").replace("-", "_"))),
        first_medical_contact_at=take("first_medical_contact", lambda value: _contact(value, received_at)),
        sent_at=take("sent_at", _instant),
        device_time=take("device_time", _device_time),
        patient=take("patient", _number),
        follows=take("follows", lambda value: UploadId(UUID(value))),
        unknown=tuple(unknown),
    )


def not_understood(given: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the names that came and are no facts, each once and the first NAMED_AT_MOST; one that does not look like a name is NOT_A_NAME."""
    names = dict.fromkeys(name for name, _ in given if name not in KNOWN)
    return tuple(dict.fromkeys(name if _NAME.fullmatch(name) else NOT_A_NAME for name in names))[:NAMED_AT_MOST]


def says_routine(values: Sequence[str]) -> bool:
    """Tell whether all that is said of the lane is that it is routine; where nothing is said, it is not."""
    return {clean(value).lower() for value in values} - {""} == {Lane.ROUTINE.value}


def clean(value: str) -> str:
    """Return a value without the accidents of typing: blanks around it, the full-width digits of a Chinese keyboard."""
    return unicodedata.normalize("NFKC", value.strip()[:LONGEST_FACT_CHARACTERS]).strip()


def _age_y(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", value) or int(value) > OLDEST_AGE_Y:
        raise ValueError(ALLOWED["age"])
    return int(value)


def _one_of(words: Mapping[str, T], value: str) -> T:
    found = words.get(value.casefold())
    if found is None:
        raise ValueError("not one of the words")
    return found


def _instant(value: str) -> datetime:
    at = datetime.fromisoformat(_OFFSET_IN_A_QUERY.sub(r"\1+\2", value))  # an unescaped "+" of a query arrives as a blank
    if at.tzinfo is None:
        raise ValueError(ALLOWED["sent_at"])
    return at.astimezone(UTC)


def _contact(value: str, received_at: datetime) -> datetime:
    at = _instant(value)
    if not -CONTACT_OLD_AT_MOST <= at - received_at <= CONTACT_AHEAD_AT_MOST:
        raise ValueError(ALLOWED["first_medical_contact"])
    return at


def _device_time(value: str) -> str:
    if not _DEVICE_TIME.fullmatch(value):
        raise ValueError(ALLOWED["device_time"])
    return value


def _number(value: str) -> str:
    # "-" and "000" stand for nobody in particular: as numbers they would make one patient of many.
    if len(value) > LONGEST_NUMBER_CHARACTERS or not value.isprintable() or not any(each.isalnum() and each != "0" for each in value):
        raise ValueError(ALLOWED["patient"])
    return value
