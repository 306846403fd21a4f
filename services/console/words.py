"""Each event in one plain line, for a timeline."""

import re
from typing import assert_never

from contracts import cases
from contracts.assessments import Assessed, Finding
from contracts.cases import CaseEvents, PageReason
from contracts.ids import CentreId, PersonId
from contracts.intake import EcgUploaded
from contracts.vocabulary import Diagnosis, Priority, Strategy, Treatment

Told = EcgUploaded | Assessed | CaseEvents
_Owner = (
    cases.PageRequested
    | cases.NobodyOnCall
    | cases.NoteRequested
    | cases.NoticeReported
    | cases.NoticeReached
    | cases.Acknowledged
    | cases.OwnerReleased
    | cases.TakenOver
    | cases.HandOverOffered
    | cases.HandOverAccepted
    | cases.HandOverDeclined
    | cases.HandOverExpired
)
_Care = (
    cases.Confirmed
    | cases.StoodDown
    | cases.StrategyProposed
    | cases.StrategyChosen
    | cases.ReferralAccepted
    | cases.LabActivated
    | cases.ActivationCancelled
    | cases.PatientDeparted
    | cases.PatientArrived
    | cases.Treated
)
PRIORITY = {Priority.RED: "red", Priority.YELLOW: "yellow", Priority.GREEN: "green", Priority.NOT_EVALUABLE: "not evaluable"}
DIAGNOSIS = {
    Diagnosis.STEMI: "STEMI",
    Diagnosis.STEMI_EQUIVALENT: "STEMI equivalent",
    Diagnosis.NSTE_ACS: "NSTE-ACS",
    Diagnosis.ARRHYTHMIA: "arrhythmia",
    Diagnosis.OTHER_EMERGENCY: "another emergency",
}
STRATEGY = {Strategy.PRIMARY_PCI: "primary PCI", Strategy.LYSIS: "lysis", Strategy.CONSERVATIVE: "conservative"}
TREATMENT = {
    Treatment.PCI_WIRE: "the wire crossed the lesion",
    Treatment.LYSIS_BOLUS: "the lysis bolus was given",
    Treatment.ANGIOGRAPHY_ONLY: "angiography only",
    Treatment.CONSERVATIVE: "treated conservatively",
}
PAGED_FOR = {
    PageReason.STEP: "",
    PageReason.NEXT_METHOD: ", the next method",
    PageReason.NOBODY_ON_CALL: ", for nobody is on call",
    PageReason.OWNER_SILENT: ", for the owner is silent",
    PageReason.REPEAT_ECG: ", there is another recording",
    PageReason.HAND_OVER: ", to take the case over",
}


def line_of(event: Told) -> str:
    """Return what an event says, in one line without identity."""
    match event:
        case EcgUploaded():
            return f"ECG received from {event.clinic_id}, {event.lane} lane"
        case Assessed():
            titles = "; ".join(_title(finding) for finding in event.findings if finding.priority is event.priority)
            problems = "; ".join(problem.text for problem in event.quality.problems)
            return f"assessed {PRIORITY[event.priority]}: {titles or problems or 'no rule fired'}"
        case _:
            return _line_of_case(event)


def line_for_clinic(event: Told) -> str:
    """Return what an event says to a clinic: who at the centre wrote or read is the centre."""
    match event:
        case cases.Said():
            return f"{'the clinic' if event.by is None else 'the centre'}: {_one_line(event.text)}"
        case cases.ReadingDone():
            return "read by a physician of the centre"
        case _:
            return line_of(event)


def _line_of_case(event: CaseEvents) -> str:  # noqa: C901, PLR0911, PLR0912 - a table: one line an event
    match event:
        case cases.UploadReceived():
            return f"emergency upload from {event.clinic_id} awaits its assessment until {event.due_at:%H:%M:%S} UTC"
        case cases.UploadAssessed():
            return f"{PRIORITY[event.priority]}: {event.headline}"
        case cases.AssessmentMissed():
            return "not assessed in time: people are to look at it"
        case cases.CaseOpened():
            return f"green channel opened at {event.centre_id}{_because(event.route_reason)}, {PRIORITY[event.priority]}: {event.headline}"
        case cases.CaseRaised():
            return f"people are called anew, {PRIORITY[event.priority]}: {event.headline}"
        case cases.CaseClosed():
            return f"closed{f' by {event.by}' if event.by else ', for nothing followed'}: {event.outcome.replace('_', ' ')}"
        case cases.CaseLinked():
            return f"{event.by}: the same patient as case {event.other_case_id}"
        case cases.CaseSettled():
            return f"settled by an evaluable recording, {PRIORITY[event.priority]}"
        case cases.CommandRefused():
            return f"{event.command}{f' by {event.by}' if event.by else ''} refused: {event.reason}"
        case cases.RepeatAsked():
            return f"{event.clinic_id} asked to record again: {'; '.join(event.reasons)}"
        case cases.ClinicAnswered():
            return f"{event.clinic_id} told: {event.text}"
        case cases.ClinicToldToCall():
            return f"{event.clinic_id} told to call {event.number}: nobody has it in hand"
        case cases.Said():
            return f"{event.by or event.clinic_id}: {_one_line(event.text)}"
        case cases.ReadingListed():
            return f"on the reading list of {event.centre_id}, to be read by {event.read_by:%Y-%m-%d %H:%M} UTC: {event.headline}"
        case cases.ReadingDone():
            return f"read by {event.by}"
        case cases.ReadingOverdue():
            return "not read in time: people are called"
        case _:
            return _line_of_owner(event) if isinstance(event, _Owner) else _line_of_care(event)


def _line_of_owner(event: _Owner) -> str:  # noqa: C901, PLR0911, PLR0912 - a table: one line an event
    match event:
        case cases.PageRequested():
            return f"{event.person_id} is to be paged by {event.method}, round {event.round}{PAGED_FOR[event.reason]}"
        case cases.NobodyOnCall():
            return f"ALARM: nobody is on call at {event.centre_id} ({', '.join(event.rosters)}); the standing number is paged"
        case cases.NoteRequested():
            return f"{event.person_id} is to be told by {event.method}: {event.text}"
        case cases.NoticeReported():
            reason = f": {event.reason}" if event.reason else ""
            return f"page to {event.person_id} by {event.method}, round {event.round}: {event.outcome}{reason}"
        case cases.NoticeReached():
            return f"page to {event.person_id} by {event.method}, round {event.round}: {event.reached}"
        case cases.Acknowledged():
            return f"{event.by} has it in hand"
        case cases.OwnerReleased():
            return f"{event.owner} had it in hand and does not answer: people are called on"
        case cases.TakenOver():
            return f"{event.by} took it over from {event.from_person}: {event.reason}"
        case cases.HandOverOffered():
            return f"{event.by} offers it to {to_whom(event.to_person, event.to_centre)}, until {event.accept_by:%H:%M:%S} UTC"
        case cases.HandOverAccepted():
            return f"{event.by} of {event.centre_id} took it over, as {event.from_person} offered"
        case cases.HandOverDeclined():
            return f"{event.by} does not take it over: {event.reason}"
        case cases.HandOverExpired():
            return f"nobody took it over: it is {event.owner}'s"
        case _:
            assert_never(event)


def _line_of_care(event: _Care) -> str:  # noqa: PLR0911 - a table: one line an event
    match event:
        case cases.Confirmed():
            return f"{event.by} confirms {DIAGNOSIS[event.diagnosis]}"
        case cases.StoodDown():
            return f"{event.by} stands it down: {event.reason}"
        case cases.StrategyProposed():
            return f"{STRATEGY[event.strategy]} proposed: {event.reason}"
        case cases.StrategyChosen():
            return f"{event.by} chooses {STRATEGY[event.strategy]}{_because(event.reason)}"
        case cases.ReferralAccepted():
            return f"{event.by}: {event.centre_id} takes the patient"
        case cases.LabActivated():
            return f"{event.by} activates the catheter lab of {event.centre_id}"
        case cases.ActivationCancelled():
            return f"{event.by} cancels the activation of the lab: {event.reason}"
        case cases.PatientDeparted():
            return f"{event.by}: the patient left the clinic at {event.happened_at:%H:%M:%S} UTC"
        case cases.PatientArrived():
            return f"{event.by}: the patient arrived at the {event.place.replace('_', ' ')} at {event.happened_at:%H:%M:%S} UTC"
        case cases.Treated():
            return f"{event.by}: {TREATMENT[event.treatment]} at {event.happened_at:%H:%M:%S} UTC"
        case _:
            assert_never(event)


def to_whom(person: PersonId | None, centre: CentreId | None) -> str:
    return person or centre or "nobody"


def in_snake_case(kind: str) -> str:
    """Return an event's name as the API tells it: StoodDown is stood_down."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower()


def _because(reason: str | None) -> str:
    return f" ({reason})" if reason else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _title(finding: Finding) -> str:
    return f"{finding.title} {finding.title_zh}" if finding.title_zh else finding.title
