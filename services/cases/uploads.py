"""What an upload and its assessment make of a case: it is waited for, people are called, a physician is to read it, the clinic is told."""

from collections.abc import Sequence
from datetime import datetime, timedelta
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
from services.cases.evolve import called_from
from services.cases.routing import route
from services.cases.state import AFTERWARDS, IN_HAND, Upload
from services.cases.strategy import propose_strategy
from services.cases.timers import ASSESSED_WITHIN, READ_WITHIN_AT_LEAST, STOOD_DOWN_CLOSES_AFTER
from services.cases.words import clinic_text, headline_of


def receive(decision: Decision, uploaded: EcgUploaded) -> None:
    decision.add(
        UploadReceived(
            **decision.of_case,
            upload_id=uploaded.upload_id,
            clinic_id=uploaded.clinic_id,
            received_at=uploaded.at,
            due_at=max(min(uploaded.at, decision.at) + ASSESSED_WITHIN, decision.at + READ_WITHIN_AT_LEAST),
            age_y=uploaded.age_y,
            sex=uploaded.sex,
            first_contact_at=uploaded.first_medical_contact_at,
        )
    )
    propose_strategy(decision)  # by its first contact


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
    if before is not None and before.priority is Priority.RED and assessed.priority is not Priority.RED:
        return  # people and the clinic were told of a red: nothing less is said of it
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
                _list_for_reading(decision, assessed.upload_id)
        case _:
            assert_never(assessed.priority)
    propose_strategy(decision)  # by its first contact


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
    state = decision.state
    was_there = state.confirmed_at is not None and upload.received_at <= state.confirmed_at  # a physician had it before them, and treated
    decision.add(ReadingOverdue(**decision.of_case, upload_id=upload.upload_id))
    if not state.is_open and not (was_there and upload in state.of_course):
        call(decision, upload.upload_id, Priority.YELLOW)


def finish_reading(decision: Decision, command: FinishReading) -> None:
    upload = decision.state.upload(command.upload_id)
    if upload is None or not upload.is_unread:
        decision.refuse(command, "this upload is not on the reading list")
        return
    decision.add(ReadingDone(**decision.of_case, upload_id=upload.upload_id, by=command.by))
    state = decision.state
    if state.can_settle and state.priority is Priority.YELLOW and not state.overdue:
        decision.add(CaseSettled(**decision.of_case, upload_id=upload.upload_id, priority=Priority.YELLOW))


def list_again(decision: Decision, uploads: Sequence[Upload], read_by: datetime) -> None:
    """Have read what was not read in its time while people had another recording of the patient before them."""
    for upload in uploads:
        _list(decision, upload, read_by)


def call(decision: Decision, upload_id: UploadId, priority: Priority) -> None:
    """Page people for an upload of which they were not told.

    Also where they are paged already: somebody may be about to acknowledge what came before it. What was red stays so: nothing may settle it.
    Who has confirmed the case keeps it, and is paged: what they have decided stands, and the patient's course goes on."""
    state = decision.state
    kept_by = state.owner if state.phase in IN_HAND and not state.awaits_decision else None
    is_over_since = state.over_at if state.phase in AFTERWARDS else None
    if state.is_open or (is_over_since is not None and decision.at - is_over_since <= STOOD_DOWN_CLOSES_AFTER):  # later it finds its way anew
        priority = Priority.RED if Priority.RED in {priority, state.priority} and state.is_open else priority
        of_call = {"headline": paged_for(state, upload_id)[1], "received_at": called_from(state, upload_id, priority)}
        decision.add(CaseRaised(**decision.of_case, upload_id=upload_id, priority=priority, **of_call, kept_by=kept_by))
    else:
        _open(decision, upload_id, priority)
    propose_strategy(decision)
    if kept_by is None:
        page_step(decision, decision.state.step or 0, again_at=decision.state.again_at)
    else:
        page_owner(decision, PageReason.REPEAT_ECG)


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
            received_at=called_from(decision.state, upload_id, priority),
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

    Not a check-up, nor one from before any of them, nor while another is still awaited, nor what a physician has ever confirmed."""
    state = decision.state
    if not state.can_settle or state.priority is not Priority.NOT_EVALUABLE or assessed.lane is not Lane.EMERGENCY:
        return
    unknown = [upload for upload in state.uploads if upload.is_for_people]
    if not any(upload.due_at or upload.received_at > assessed.received_at for upload in unknown):
        decision.add(CaseSettled(**decision.of_case, upload_id=assessed.upload_id, priority=assessed.priority))
        list_again(decision, state.overdue, decision.at + READ_WITHIN_AT_LEAST)


def _list_for_reading(decision: Decision, upload_id: UploadId) -> None:
    """Put it on the reading list, with a deadline; not where who has confirmed the case has this patient before them."""
    state, upload = decision.state, decision.state.upload(upload_id)
    if upload is None or (state.phase in IN_HAND and not state.awaits_decision):
        return
    centre = route(decision.directory, upload.clinic_id, Capability.PCI, decision.at).centre
    within_min = centre.read_emergency_within_min if upload.lane is Lane.EMERGENCY else centre.read_routine_within_min
    _list(decision, upload, decision.at + timedelta(minutes=within_min))


def _list(decision: Decision, upload: Upload, read_by: datetime) -> None:
    routed = route(decision.directory, upload.clinic_id, Capability.PCI, decision.at)
    of_upload = {"upload_id": upload.upload_id, "clinic_id": upload.clinic_id, "received_at": upload.received_at, "headline": upload.headline}
    of_centre = {"centre_id": routed.centre_id, "directory_version": decision.directory.version}
    decision.add(ReadingListed(**decision.of_case, **of_upload, **of_centre, read_by=read_by))
