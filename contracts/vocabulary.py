"""The words that every event shares: lanes, priorities, sexes, complaints, leads, references to stored recordings."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from contracts.ids import Sha256Hex


def _in_utc(at: datetime) -> datetime:
    return at.astimezone(UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Age = Annotated[int, Field(ge=0, le=125, description="years")]
LeadName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,6}$")]


class Lane(StrEnum):
    EMERGENCY = "emergency"
    ROUTINE = "routine"


class Priority(StrEnum):
    RED = "red"
    YELLOW = "yellow"
    GREEN = "green"
    NOT_EVALUABLE = "not_evaluable"


class Sex(StrEnum):
    MALE = "M"
    FEMALE = "F"


class Complaint(StrEnum):
    """Why the patient came, as a code: free text could hold a name, and an event must not."""

    CHEST_PAIN = "chest_pain"
    EPIGASTRIC_PAIN = "epigastric_pain"
    DYSPNOEA = "dyspnoea"
    PALPITATIONS = "palpitations"
    SYNCOPE = "syncope"
    COLLAPSE = "collapse"
    WEAKNESS = "weakness"
    CHECK_UP = "check_up"
    OTHER = "other"


class Diagnosis(StrEnum):
    """What a cardiologist confirms it to be."""

    STEMI = "stemi"
    STEMI_EQUIVALENT = "stemi_equivalent"
    NSTE_ACS = "nste_acs"
    ARRHYTHMIA = "arrhythmia"
    OTHER_EMERGENCY = "other_emergency"


class Strategy(StrEnum):
    PRIMARY_PCI = "primary_pci"
    LYSIS = "lysis"  # then to the centre, for angiography
    CONSERVATIVE = "conservative"


class Arrival(StrEnum):
    """Where the patient is taken on arrival; the lab is past the emergency room."""

    LAB = "lab"
    EMERGENCY_ROOM = "emergency_room"
    CCU = "ccu"


class Treatment(StrEnum):
    PCI_WIRE = "pci_wire"  # the wire crossed the lesion
    LYSIS_BOLUS = "lysis_bolus"
    ANGIOGRAPHY_ONLY = "angiography_only"
    CONSERVATIVE = "conservative"


class Outcome(StrEnum):
    """How a case ended."""

    DISCHARGED = "discharged"
    ADMITTED = "admitted"
    TRANSFERRED = "transferred"
    NOT_AN_EMERGENCY = "not_an_emergency"
    SAME_PATIENT = "same_patient"  # another case goes on with this patient
    DIED = "died"


class Frozen(BaseModel):
    """A value that does not change. Unknown fields pass: an old reader must outlive a new writer."""

    schema_version: ClassVar[int] = 1  # of an event: the newest of its versions in schemas/history

    model_config = ConfigDict(
        frozen=True,
        hide_input_in_errors=True,  # an error is logged: it must not show what came
        allow_inf_nan=False,  # JSON writes them as null, which no reader takes for a number
    )


class Event(Frozen):
    at: Instant = Field(description="when it happened; when it was written is the envelope's business")


class Blob(Frozen):
    """The claim check of stored bytes, which do not travel in messages."""

    dataref: str = Field(description="where the blob store keeps it", max_length=200)
    sha256: Sha256Hex
    size_bytes: int = Field(ge=0)
    media_type: str = Field(max_length=100)
