"""Each event in one plain line, for a timeline."""

from typing import assert_never

from contracts.assessments import Assessed, Finding
from contracts.cases import (
    Acknowledged,
    AssessmentMissed,
    CaseEvents,
    CaseOpened,
    CaseRaised,
    CaseSettled,
    ClinicAnswered,
    CommandRefused,
    NoticeReported,
    PageRequested,
    RepeatAsked,
    UploadAssessed,
    UploadReceived,
)
from contracts.intake import EcgUploaded
from contracts.vocabulary import Priority

Told = EcgUploaded | Assessed | CaseEvents
PRIORITY = {Priority.RED: "red", Priority.YELLOW: "yellow", Priority.GREEN: "green", Priority.NOT_EVALUABLE: "not evaluable"}


def line_of(event: Told) -> str:  # noqa: C901, PLR0911, PLR0912 - a table: one line an event
    """Return what an event says, in one line without identity."""
    match event:
        case EcgUploaded():
            return f"ECG received from {event.clinic_id}, {event.lane} lane"
        case Assessed():
            titles = "; ".join(_title(finding) for finding in event.findings if finding.priority is event.priority)
            problems = "; ".join(problem.text for problem in event.quality.problems)
            return f"assessed {PRIORITY[event.priority]}: {titles or problems or 'no rule fired'}"
        case UploadReceived():
            return f"emergency upload from {event.clinic_id} awaits its assessment until {event.due_at:%H:%M:%S} UTC"
        case UploadAssessed():
            return f"{PRIORITY[event.priority]}: {event.headline}"
        case AssessmentMissed():
            return "not assessed in time: people are to look at it"
        case CaseOpened():
            return f"green channel opened at {event.centre_id}, {PRIORITY[event.priority]}: {event.headline}"
        case CaseRaised():
            return f"people are called anew, {PRIORITY[event.priority]}: {event.headline}"
        case PageRequested():
            return f"{event.person_id} is to be paged by {event.method}, round {event.round}"
        case NoticeReported():
            reason = f": {event.reason}" if event.reason else ""
            return f"page to {event.person_id} by {event.method}, round {event.round}: {event.outcome}{reason}"
        case Acknowledged():
            return f"{event.by} has it in hand"
        case RepeatAsked():
            return f"{event.clinic_id} asked to record again: {'; '.join(event.reasons)}"
        case ClinicAnswered():
            return f"{event.clinic_id} told: {event.text}"
        case CaseSettled():
            return f"settled by an evaluable recording, {PRIORITY[event.priority]}"
        case CommandRefused():
            return f"{event.command}{f' by {event.by}' if event.by else ''} refused: {event.reason}"
        case _:
            assert_never(event)


def _title(finding: Finding) -> str:
    return f"{finding.title} {finding.title_zh}" if finding.title_zh else finding.title
