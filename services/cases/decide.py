"""What follows from a message about a case. Pure: the time and the directory are given, ids are made elsewhere.

Every message leaves at least one event: what is not done is refused, in the open."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from contracts.assessments import Assessed
from contracts.cases import (
    Acknowledged,
    AssessmentMissed,
    CaseEvents,
    CaseOpened,
    CaseRaised,
    CaseSettled,
    ClinicAnswered,
    CommandRefused,
    NoticeOutcome,
    NoticeReported,
    PageRequested,
    RepeatAsked,
    UploadAssessed,
    UploadReceived,
)
from contracts.commands import Acknowledge, OpenUnread, PageAgain
from contracts.deliveries import NoticeFailed, NoticeSent, NoticeUnknown
from contracts.directory import Directory
from contracts.ids import EventId, UploadId, notice_id
from contracts.intake import EcgUploaded
from contracts.vocabulary import Lane, Priority
from services.cases.evolve import evolve
from services.cases.state import Case, Phase, Upload
from services.cases.timers import ASSESSED_WITHIN, READ_WITHIN_AT_LEAST

SEEN_AFTER = timedelta(seconds=5)  # what was raised since then cannot have been seen: two clocks, a projection, a person's eyes
HEADLINE_LONGEST = 300

Told = EcgUploaded | Assessed | Acknowledge | OpenUnread | PageAgain | NoticeSent | NoticeFailed | NoticeUnknown


@dataclass(frozen=True)
class Heard:
    """A message, and when cases took it in hand."""

    message_id: EventId
    at: datetime
    told: Told


def decide(state: Case, heard: Heard, directory: Directory) -> list[CaseEvents]:
    """Return what follows from one message, never nothing."""
    decision = _Decision(state, heard, directory)
    told = heard.told
    match told:
        case EcgUploaded():
            decision.receive(told)
        case Assessed():
            decision.assess(told)
        case OpenUnread():
            decision.open_unread(told)
        case PageAgain():
            decision.page_again(told)
        case Acknowledge():
            decision.acknowledge(told)
        case NoticeSent() | NoticeFailed() | NoticeUnknown():
            decision.report(told)
        case _:
            assert_never(told)
    return decision.events


class _Decision:
    """One decision in the making: each event is seen by what is decided after it."""

    def __init__(self, state: Case, heard: Heard, directory: Directory) -> None:
        self.state, self.heard, self.directory = state, heard, directory
        self.events: list[CaseEvents] = []
        self.at = heard.at if state.last_at is None else max(heard.at, state.last_at)  # time never runs backwards for a case
        self.of_case = {"case_id": state.case_id, "patient_key": state.patient_key, "at": self.at}

    def add(self, event: CaseEvents) -> None:
        self.events.append(event)
        self.state = evolve(self.state, event)

    def refuse(self, command: Acknowledge | OpenUnread | PageAgain, reason: str) -> None:
        by = command.by if isinstance(command, Acknowledge) else None
        kind = type(command).__name__
        self.add(CommandRefused(**self.of_case, command=kind, command_id=self.heard.message_id, by=by, reason=reason))

    def receive(self, uploaded: EcgUploaded) -> None:
        self.add(
            UploadReceived(
                **self.of_case,
                upload_id=uploaded.upload_id,
                clinic_id=uploaded.clinic_id,
                received_at=uploaded.at,
                due_at=max(uploaded.at + ASSESSED_WITHIN, self.at + READ_WITHIN_AT_LEAST),
                age_y=uploaded.age_y,
                sex=uploaded.sex,
            )
        )

    def assess(self, assessed: Assessed) -> None:
        headline, before = headline_of(assessed), self.state.upload(assessed.upload_id)
        self.add(
            UploadAssessed(
                **self.of_case,
                upload_id=assessed.upload_id,
                clinic_id=assessed.clinic_id,
                lane=assessed.lane,
                received_at=assessed.received_at,
                priority=assessed.priority,
                headline=headline,
                assessed_event=self.heard.message_id,
                age_y=assessed.age_y,
                sex=assessed.sex,
            )
        )
        match assessed.priority:
            case Priority.RED:
                if before is None or before.priority is not Priority.RED:  # else people were told of it as a red
                    self._call(assessed.upload_id, Priority.RED)
                self._answer(assessed, headline)
            case Priority.NOT_EVALUABLE:
                self._not_evaluable(assessed, headline, before)
            case Priority.YELLOW | Priority.GREEN:
                self._answer(assessed, headline)
                self._settle(assessed)
            case _:
                assert_never(assessed.priority)

    def _not_evaluable(self, assessed: Assessed, headline: str, before: Upload | None) -> None:
        were_told = before is not None and before.due_at is None and before.is_for_people  # as one that was not read in time, if not as this
        if assessed.lane is Lane.EMERGENCY and not were_told:
            self._call(assessed.upload_id, Priority.NOT_EVALUABLE)
        reasons = tuple(problem.text for problem in assessed.quality.problems) or (headline,)
        self.add(RepeatAsked(**self.of_case, upload_id=assessed.upload_id, clinic_id=assessed.clinic_id, reasons=reasons))

    def _call(self, upload_id: UploadId, priority: Priority) -> None:
        """Page people for an upload of which they were not told.

        Also where they are paged already: somebody may be about to acknowledge what came before it. What was red stays so: nothing may settle it."""
        if self.state.is_open:
            priority = Priority.RED if Priority.RED in {priority, self.state.priority} else priority
            _, headline = paged_for(self.state, upload_id)
            self.add(CaseRaised(**self.of_case, upload_id=upload_id, priority=priority, headline=headline))
        else:
            self._open(upload_id, priority)
        self._page()

    def _answer(self, assessed: Assessed, headline: str) -> None:
        answer = {"upload_id": assessed.upload_id, "clinic_id": assessed.clinic_id, "priority": assessed.priority}
        _, centre = self.directory.centre_of(assessed.clinic_id)
        self.add(ClinicAnswered(**self.of_case, **answer, text=clinic_text(assessed.priority, headline, centre.standing_number)))

    def _settle(self, assessed: Assessed) -> None:
        """An evaluable recording answers a case that was open only because others could not be read.

        Not a check-up, nor one from before any of them, nor while another is still awaited."""
        state = self.state
        if not state.is_open or state.priority is not Priority.NOT_EVALUABLE or assessed.lane is not Lane.EMERGENCY:
            return
        unknown = [upload for upload in state.uploads if upload.is_for_people]
        if not any(upload.due_at or upload.received_at > assessed.received_at for upload in unknown):
            self.add(CaseSettled(**self.of_case, upload_id=assessed.upload_id, priority=assessed.priority))

    def open_unread(self, command: OpenUnread) -> None:
        upload = self.state.upload(command.upload_id)
        if upload is None or upload.due_at is None:
            self.refuse(command, "the upload was assessed in time")
            return
        self.add(AssessmentMissed(**self.of_case, upload_id=upload.upload_id))
        self._call(upload.upload_id, Priority.NOT_EVALUABLE)

    def _open(self, upload_id: UploadId, priority: Priority) -> None:
        upload, headline = paged_for(self.state, upload_id)
        centre_id, centre = self.directory.centre_of(upload.clinic_id)
        self.add(
            CaseOpened(
                **self.of_case,
                upload_id=upload_id,
                clinic_id=upload.clinic_id,
                priority=priority,
                headline=headline,
                received_at=upload.received_at,
                centre_id=centre_id,
                centre_number=centre.standing_number,
            )
        )

    def page_again(self, command: PageAgain) -> None:
        if self.state.phase is Phase.OPENED and self.state.round == command.round:
            self._page()
        else:
            self.refuse(command, f"round {command.round} is over")

    def _page(self) -> None:
        """Page everybody on call, in the next round."""
        state = self.state
        upload, headline = paged_for(state, state.upload_id)
        _, centre = self.directory.centre_of(upload.clinic_id)
        for person_id in centre.on_call:
            method = next(iter(self.directory.people[person_id].methods))
            self.add(
                PageRequested(
                    **self.of_case,
                    notice_id=notice_id(state.case_id, person_id, method, state.round + 1),
                    person_id=person_id,
                    method=method,
                    round=state.round + 1,
                    priority=state.priority or Priority.RED,
                    headline=headline,
                    clinic_id=upload.clinic_id,
                    upload_id=upload.upload_id,
                    received_at=upload.received_at,
                    age_y=upload.age_y,
                    sex=upload.sex,
                )
            )

    def acknowledge(self, command: Acknowledge) -> None:
        match self.state.phase:
            case Phase.OPENED if not has_seen_all(self.state, command):
                _, headline = paged_for(self.state, self.state.upload_id)
                self.refuse(command, f"new since you looked: {headline[:200]}. Look at the case again, then acknowledge it")
            case Phase.OPENED:
                self.add(Acknowledged(**self.of_case, by=command.by, round=self.state.round))
            case Phase.ACKNOWLEDGED:
                self.refuse(command, f"{self.state.owner} has it in hand")
            case Phase.NEW | Phase.WAITING | Phase.ANSWERED | Phase.CLOSED:
                self.refuse(command, f"the case is {self.state.phase}: there is nothing to acknowledge")
            case _:
                assert_never(self.state.phase)

    def report(self, notice: NoticeSent | NoticeFailed | NoticeUnknown) -> None:
        outcome, reason = _outcome(notice)
        of_notice = {"notice_id": notice.notice_id, "person_id": notice.person_id, "method": notice.method, "round": notice.round}
        self.add(NoticeReported(**self.of_case, **of_notice, outcome=outcome, reason=reason))


def paged_for(state: Case, upload_id: UploadId | None) -> tuple[Upload, str]:
    """Return the upload that a page names and the reason for the page, by all that is known now; upload_id is what the case was raised for.

    A red comes first, whatever else cannot be read: its minutes count."""
    raised_for = next(upload for upload in state.uploads if upload.upload_id == upload_id)
    reds = [upload for upload in state.uploads if upload.priority is Priority.RED]
    if raised_for.priority is Priority.RED or not reds:
        return raised_for, raised_for.reason
    red = max(reds, key=lambda upload: upload.received_at)
    return red, f"{red.reason}; another recording: {raised_for.reason}"[:HEADLINE_LONGEST]


def has_seen_all(state: Case, command: Acknowledge) -> bool:
    """Return whether who acknowledges could see what people are paged for now.

    One who does not say what was seen is taken by the time: a page too many is borne, a red that nobody saw is not."""
    if command.seen_sequence is not None:
        return command.seen_sequence >= state.raised_sequence
    return state.raised_at is None or command.at > state.raised_at + SEEN_AFTER


def _outcome(notice: NoticeSent | NoticeFailed | NoticeUnknown) -> tuple[NoticeOutcome, str]:
    match notice:
        case NoticeSent():
            return NoticeOutcome.SENT, ""
        case NoticeFailed():
            return NoticeOutcome.FAILED, notice.reason
        case NoticeUnknown():
            return NoticeOutcome.UNKNOWN, notice.reason
        case _:
            assert_never(notice)


def headline_of(assessed: Assessed) -> str:
    """Return the assessment in one line: its most urgent finding, or why nothing could be judged."""
    urgent = [finding for finding in assessed.findings if finding.priority is assessed.priority]
    if urgent:
        return urgent[0].title
    if assessed.priority is Priority.NOT_EVALUABLE:
        return assessed.quality.problems[0].text if assessed.quality.problems else "the recording cannot be judged"
    return "nothing urgent found by the rules"


def clinic_text(priority: Priority, headline: str, standing_number: str) -> str:
    """Return what the clinic is told; it never says that the patient is well."""
    match priority:
        case Priority.RED:
            return f"URGENT: {headline}. The centre is being called. Keep the patient lying and monitored; call {standing_number} now."
        case Priority.YELLOW:
            return f"{headline}. A physician should look at this today; if the patient has pain or gets worse, call {standing_number}."
        case Priority.GREEN:
            return f"{headline}. This is not a diagnosis: if the complaint goes on, record again in 15 minutes, or call {standing_number}."
        case Priority.NOT_EVALUABLE:
            return f"{headline}. Record again."
        case _:
            assert_never(priority)
