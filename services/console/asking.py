"""What may be asked of a case: each command by its name in the API, with its fields, and the event that tells that it was done. Pure.

Strict, unlike what travels: a field that is not known, or is missing, is refused by its name, for it was meant to say something."""

import json
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self
from uuid import uuid4

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from contracts import cases, commands
from contracts.cases import CaseEvent
from contracts.commands import PeoplesCommand, Reason, Words
from contracts.ids import CaseId, CentreId, ClinicId, EventId, PersonId, UploadId, event_id
from contracts.vocabulary import Arrival, Diagnosis, Instant, Outcome, Strategy, Treatment
from services.runtime.harmless import one_line

AHEAD_AT_MOST = timedelta(seconds=60)  # a telephone's clock may be a little fast
BEFORE_RECEIPT_AT_MOST = timedelta(hours=24)


# What somebody wrote goes on as one line that can be read: others are shown it, in a terminal too. A message is not lost for a line break.
_Readable = BeforeValidator(lambda written: one_line(written) if isinstance(written, str) else written)
AskedReason = Annotated[Reason, _Readable]
AskedWords = Annotated[Words, _Readable]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class _ToOwn(_Asked):
    seen: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="`seen` of the case as it was shown to the person. Without it nobody knows what they saw: what the case was opened or raised for "
        "in the last seconds before the press counts as not seen, and the case refuses",
    )


class _Happened(_Asked):
    happened_at: Instant | None = Field(default=None, description="when it happened, where that was before now")


class AskAcknowledge(_ToOwn):
    command: Literal["acknowledge"]


class AskConfirm(_ToOwn):
    command: Literal["confirm"]
    diagnosis: Diagnosis


class AskStandDown(_ToOwn):
    command: Literal["stand_down"]
    reason: AskedReason


class AskTakeOver(_Asked):
    command: Literal["take_over"]
    reason: AskedReason


class AskOfferHandOver(_Asked):
    command: Literal["offer_hand_over"]
    to_person: PersonId | None = None
    to_centre: CentreId | None = None

    @model_validator(mode="after")
    def _to_one(self) -> Self:
        if (self.to_person is None) == (self.to_centre is None):
            raise ValueError("name one of to_person and to_centre")
        return self


class AskAcceptHandOver(_Asked):
    command: Literal["accept_hand_over"]


class AskDeclineHandOver(_Asked):
    command: Literal["decline_hand_over"]
    reason: AskedReason


class AskChooseStrategy(_Asked):
    command: Literal["choose_strategy"]
    strategy: Strategy
    reason: AskedReason | None = None


class AskAcceptReferral(_Asked):
    command: Literal["accept_referral"]


class AskActivateLab(_Asked):
    command: Literal["activate_lab"]


class AskCancelActivation(_Asked):
    command: Literal["cancel_activation"]
    reason: AskedReason


class AskRecordDeparture(_Happened):
    command: Literal["record_departure"]


class AskRecordArrival(_Happened):
    command: Literal["record_arrival"]
    place: Arrival


class AskRecordTreatment(_Happened):
    command: Literal["record_treatment"]
    treatment: Treatment


class AskClose(_Asked):
    command: Literal["close"]
    outcome: Outcome


class AskLink(_Asked):
    command: Literal["link"]
    other_case_id: CaseId


class AskSay(_Asked):
    """To the clinic by a person, to the centre by the clinic. Nobody else is shown it; it should name no patient."""

    command: Literal["say"]
    text: AskedWords


class AskFinishReading(_Asked):
    command: Literal["finish_reading"]
    upload_id: UploadId


Asked = Annotated[
    AskAcknowledge
    | AskConfirm
    | AskStandDown
    | AskTakeOver
    | AskOfferHandOver
    | AskAcceptHandOver
    | AskDeclineHandOver
    | AskChooseStrategy
    | AskAcceptReferral
    | AskActivateLab
    | AskCancelActivation
    | AskRecordDeparture
    | AskRecordArrival
    | AskRecordTreatment
    | AskClose
    | AskLink
    | AskSay
    | AskFinishReading,
    Field(discriminator="command"),
]

# The event that tells that it was done: of several that may follow, the one that the command is for.
COMMANDS: MappingProxyType[str, tuple[type[PeoplesCommand], type[CaseEvent]]] = MappingProxyType(
    {
        "acknowledge": (commands.Acknowledge, cases.Acknowledged),
        "confirm": (commands.Confirm, cases.Confirmed),
        "stand_down": (commands.StandDown, cases.StoodDown),
        "take_over": (commands.TakeOver, cases.TakenOver),
        "offer_hand_over": (commands.OfferHandOver, cases.HandOverOffered),
        "accept_hand_over": (commands.AcceptHandOver, cases.HandOverAccepted),
        "decline_hand_over": (commands.DeclineHandOver, cases.HandOverDeclined),
        "choose_strategy": (commands.ChooseStrategy, cases.StrategyChosen),
        "accept_referral": (commands.AcceptReferral, cases.ReferralAccepted),
        "activate_lab": (commands.ActivateLab, cases.LabActivated),
        "cancel_activation": (commands.CancelActivation, cases.ActivationCancelled),
        "record_departure": (commands.RecordDeparture, cases.PatientDeparted),
        "record_arrival": (commands.RecordArrival, cases.PatientArrived),
        "record_treatment": (commands.RecordTreatment, cases.Treated),
        "close": (commands.CloseCase, cases.CaseClosed),
        "link": (commands.LinkCase, cases.CaseLinked),
        "say": (commands.Say, cases.Said),
        "finish_reading": (commands.FinishReading, cases.ReadingDone),
    }
)


class NotThen(ValueError):
    """What is told to have happened cannot have happened at that time. args: the sentence."""


def command_of(asked: Asked, case_id: CaseId, *, at: datetime, person: PersonId | None, clinic: ClinicId | None) -> PeoplesCommand:
    """Return what was asked as the command of a person, or of a clinic, which only says something.

    What they have seen is theirs to say: what the console knows by now, nobody may have looked at."""
    fields: dict[str, Any] = asked.model_dump(exclude={"command", "seen"})
    if isinstance(asked, _ToOwn):
        fields["seen_sequence"] = asked.seen
    if isinstance(asked, AskSay):
        fields["clinic_id"] = clinic
    kind, _ = COMMANDS[asked.command]
    return kind(case_id=case_id, at=at, by=person, **fields)


def done_id(asked: Asked, command_id: EventId) -> EventId:
    """Return the id of the event that tells that it was done."""
    return event_id(command_id, COMMANDS[asked.command][1].__name__)


def command_id(asked: Asked, case_id: CaseId, who: str, key: str | None) -> EventId:
    """Return the same id for the same request with the same key by the same: pressing twice is asking once. Asking something else is not,
    and pressing after another look is not."""
    if key is None:
        return EventId(uuid4())
    return event_id(case_id, json.dumps(["command", who, key, asked.model_dump(mode="json", exclude_none=True)]))


def check_time(asked: Asked, received_at: datetime, now: datetime) -> None:
    """Raise NotThen where something is told to have happened in the future, or long before the case's upload was received."""
    if not isinstance(asked, _Happened) or asked.happened_at is None:
        return
    if asked.happened_at > now + AHEAD_AT_MOST:
        raise NotThen(f"happened_at lies in the future: it is {now:%Y-%m-%d %H:%M:%S} UTC here. Send the time with its offset.")
    if asked.happened_at < received_at - BEFORE_RECEIPT_AT_MOST:
        raise NotThen(f"happened_at lies more than a day before the recording was received, {received_at:%Y-%m-%d %H:%M} UTC. Check the date.")
