"""What an upload and its assessment make of a case: it is waited for, people are called, a physician is to read it, the clinic is told."""

from datetime import timedelta
from typing import assert_never

from contracts.assessments import Assessed
from contracts.cases import (
    AssessmentMissed,
    CaseOpened,
    CaseRaised,
    CaseSettled,
    ClinicAnswered,
    PageReason,
    ReadingDone,
    ReadingListed,
    ReadingOverdue,
    RepeatAsked,
    StrategyProposed,
    UploadAssessed,
    UploadReceived,
)
from contracts.commands import FinishReading, OpenUnread, PageForReading
from contracts.directory import Capability
from contracts.ids import UploadId
from contracts.intake import EcgUploaded
from contracts.vocabulary import Lane, Priority
from services.cases.decision import Decision, paged_for
from services.cases.escalation import page_owner, page_step
from services.cases.routing import route
from services.cases.state import IN_HAND, Phase, Upload
from services.cases.strategy import propose
from services.cases.timers import ASSESSED_WITHIN, READ_WITHIN_AT_LEAST
from services.cases.words import clinic_text, headline_of


def receive(decision: Decision, uploaded: EcgUploaded) -> None:
    decision.add(
        UploadReceived(
            **decision.of_case,
            upload_id=uploaded.upload_id,
            clinic_id=uploaded.clinic_id,
            received_at=uploaded.at,
            due_at=max(uploaded.at + ASSESSED_WITHIN, decision.at + READ_WITHIN_AT_LEAST),
            age_y=uploaded.age_y,
            sex=uploaded.sex,
            first_contact_at=uploaded.first_medical_contact_at,
        )
    )


def assess(decision: Decision, assessed: Assessed) -> None:
    headline, before = headline_of(assessed), decision.state.upload(assessed.upload_id)
    decision.add(
        UploadAssessed(
            **decision.of_case,
            upload_id=assessed.upload_id,
            clinic_id=assessed.clinic_id,
            lane=assessed.lane,
            received_at=assessed.received_at,
            priority=assessed.priority,
            headline=headline,
            assessed_event=decision.heard.message_id,
            age_y=assessed.age_y,
            sex=assessed.sex,
            first_contact_at=assessed.first_medical_contact_at,
        )
    )
    match assessed.priority:
        case Priority.RED:
            if before is None or before.priority is not Priority.RED:  # else people were told of it as a red
                call(decision, assessed.upload_id, Priority.RED)
            _answer(decision, assessed, headline)
        case Priority.NOT_EVALUABLE:
            _not_evaluable(decision, assessed, headline, before)
        case Priority.YELLOW | Priority.GREEN:
            _answer(decision, assessed, headline)
            _settle(decision, assessed)
            if assessed.priority is Priority.YELLOW and (before is None or before.priority is not Priority.YELLOW):
                _list_for_reading(decision, assessed, headline)
        case _:
            assert_never(assessed.priority)


def open_unread(decision: Decision, command: OpenUnread) -> None:
    upload = decision.state.upload(command.upload_id)
    if upload is None or upload.due_at is None:
        decision.refuse(command, "the upload was assessed in time")
        return
    decision.add(AssessmentMissed(**decision.of_case, upload_id=upload.upload_id))
    call(decision, upload.upload_id, Priority.NOT_EVALUABLE)


def page_for_reading(decision: Decision, command: PageForReading) -> None:
    upload = decision.state.upload(command.upload_id)
    if upload is None or upload.read_by is None:
        decision.refuse(command, "it was read in time")
        return
    decision.add(ReadingOverdue(**decision.of_case, upload_id=upload.upload_id))
    if not decision.state.is_open:  # else people have this patient before them
        call(decision, upload.upload_id, Priority.YELLOW)


def finish_reading(decision: Decision, command: FinishReading) -> None:
    state, upload = decision.state, decision.state.upload(command.upload_id)
    is_paged_for = state.is_open and state.priority is Priority.YELLOW and state.upload_id == command.upload_id
    if upload is None or (upload.read_by is None and not is_paged_for):
        decision.refuse(command, "this upload is not on the reading list")
        return
    decision.add(ReadingDone(**decision.of_case, upload_id=upload.upload_id, by=command.by))
    if is_paged_for:
        decision.add(CaseSettled(**decision.of_case, upload_id=upload.upload_id, priority=Priority.YELLOW))


def call(decision: Decision, upload_id: UploadId, priority: Priority) -> None:
    """Page people for an upload of which they were not told.

    Also where they are paged already: somebody may be about to acknowledge what came before it. What was red stays so: nothing may settle it.
    Who has confirmed the case is paged beside it: what they have decided stands, and the patient's course goes on."""
    state = decision.state
    if state.phase in IN_HAND and not state.awaits_decision:
        page_owner(decision, PageReason.REPEAT_ECG)
        return
    if state.is_open or state.phase in {Phase.STOOD_DOWN, Phase.TREATED}:
        priority = Priority.RED if Priority.RED in {priority, state.priority} and state.is_open else priority
        _, headline = paged_for(state, upload_id)
        decision.add(CaseRaised(**decision.of_case, upload_id=upload_id, priority=priority, headline=headline))
    else:
        _open(decision, upload_id, priority)
    if priority is Priority.RED and not decision.state.is_proposed:
        propose_strategy(decision)
    page_step(decision, 0)


def propose_strategy(decision: Decision) -> None:
    """Say what the clock allows, for the case that it is an infarction."""
    upload, _ = decision.paged_for()
    centre_id, _ = decision.centre()
    of_this = [each for each in decision.state.uploads if each.upload_id == upload.upload_id or each.first_contact_at is not None]
    first_contact_at = min(each.first_contact_at or each.received_at for each in of_this)
    proposal = propose(decision.directory, upload.clinic_id, centre_id, first_contact_at, decision.at)
    decision.add(
        StrategyProposed(
            **decision.of_case,
            strategy=proposal.strategy,
            first_contact_at=first_contact_at,
            contact_to_wire_min=proposal.contact_to_wire_min,
            contact_to_bolus_min=proposal.contact_to_bolus_min,
            limit_min=proposal.limit_min,
            reason=proposal.reason[:300],
            directory_version=decision.directory.version,
        )
    )


def _not_evaluable(decision: Decision, assessed: Assessed, headline: str, before: Upload | None) -> None:
    were_told = before is not None and before.due_at is None and before.is_for_people  # as one that was not read in time, if not as this
    if assessed.lane is Lane.EMERGENCY and not were_told:
        call(decision, assessed.upload_id, Priority.NOT_EVALUABLE)
    reasons = tuple(problem.text for problem in assessed.quality.problems) or (headline,)
    decision.add(RepeatAsked(**decision.of_case, upload_id=assessed.upload_id, clinic_id=assessed.clinic_id, reasons=reasons))


def _open(decision: Decision, upload_id: UploadId, priority: Priority) -> None:
    upload, headline = paged_for(decision.state, upload_id)
    routed = route(decision.directory, upload.clinic_id, Capability.PCI, decision.at)
    decision.add(
        CaseOpened(
            **decision.of_case,
            upload_id=upload_id,
            clinic_id=upload.clinic_id,
            priority=priority,
            headline=headline,
            received_at=upload.received_at,
            centre_id=routed.centre_id,
            centre_number=routed.centre.standing_number,
            route_reason=routed.reason,
            travel_min=routed.travel_min,
            directory_version=decision.directory.version,
        )
    )


def _answer(decision: Decision, assessed: Assessed, headline: str) -> None:
    """Tell the clinic; the number is that of the case's centre, or of the one that a case would go to."""
    routed = route(decision.directory, assessed.clinic_id, Capability.PCI, decision.at)
    number = decision.centre()[1].standing_number if decision.state.is_open else routed.centre.standing_number
    answer = {"upload_id": assessed.upload_id, "clinic_id": assessed.clinic_id, "priority": assessed.priority}
    decision.add(ClinicAnswered(**decision.of_case, **answer, text=clinic_text(assessed.priority, headline, number)))


def _settle(decision: Decision, assessed: Assessed) -> None:
    """An evaluable recording answers a case that was open only because others could not be read.

    Not a check-up, nor one from before any of them, nor while another is still awaited, nor what a physician has confirmed."""
    state = decision.state
    can_settle = state.phase is Phase.OPENED or state.awaits_decision
    if not can_settle or state.priority is not Priority.NOT_EVALUABLE or assessed.lane is not Lane.EMERGENCY:
        return
    unknown = [upload for upload in state.uploads if upload.is_for_people]
    if not any(upload.due_at or upload.received_at > assessed.received_at for upload in unknown):
        decision.add(CaseSettled(**decision.of_case, upload_id=assessed.upload_id, priority=assessed.priority))


def _list_for_reading(decision: Decision, assessed: Assessed, headline: str) -> None:
    """Put it on the reading list, with a deadline; not where people have this patient before them."""
    if decision.state.is_open:
        return
    routed = route(decision.directory, assessed.clinic_id, Capability.PCI, decision.at)
    is_emergency = assessed.lane is Lane.EMERGENCY
    within_min = routed.centre.read_emergency_within_min if is_emergency else routed.centre.read_routine_within_min
    decision.add(
        ReadingListed(
            **decision.of_case,
            upload_id=assessed.upload_id,
            clinic_id=assessed.clinic_id,
            centre_id=routed.centre_id,
            headline=headline,
            received_at=assessed.received_at,
            read_by=decision.at + timedelta(minutes=within_min),
            directory_version=decision.directory.version,
        )
    )
