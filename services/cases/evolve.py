"""What an event makes of a case. Pure; no event is refused here, for it has happened."""

from typing import assert_never

from contracts.cases import (
    Acknowledged,
    ActivationCancelled,
    AssessmentMissed,
    CaseClosed,
    CaseEvents,
    CaseLinked,
    CaseOpened,
    CaseRaised,
    CaseSettled,
    ClinicAnswered,
    ClinicToldToCall,
    CommandRefused,
    Confirmed,
    HandOverAccepted,
    HandOverDeclined,
    HandOverExpired,
    HandOverOffered,
    LabActivated,
    NobodyOnCall,
    NoteRequested,
    NoticeOutcome,
    NoticeReached,
    NoticeReported,
    OwnerReleased,
    PageReason,
    PageRequested,
    PatientArrived,
    PatientDeparted,
    ReadingDone,
    ReadingListed,
    ReadingOverdue,
    ReferralAccepted,
    RepeatAsked,
    Said,
    StoodDown,
    StrategyChosen,
    StrategyProposed,
    TakenOver,
    Treated,
    UploadAssessed,
    UploadReceived,
)
from contracts.ids import NoticeId, PersonId, UploadId
from contracts.vocabulary import Instant, Lane, Priority, Treatment
from services.cases.state import AFTERWARDS, Case, HandOver, Notice, Phase, Told, Upload
from services.cases.timers import CLINIC_CALLS_AFTER, PAGE_AGAIN_AFTER, TOLD_JUST_NOW

OF_THE_POLICY = frozenset({PageReason.STEP, PageReason.NOBODY_ON_CALL, PageReason.NEXT_METHOD})


def evolve(state: Case, event: CaseEvents) -> Case:
    """Return the case after the event."""
    last_at = event.at if state.last_at is None else max(event.at, state.last_at)
    return _changed(state, event).model_copy(update={"sequence": state.sequence + 1, "last_at": last_at})


def _changed(state: Case, event: CaseEvents) -> Case:  # noqa: C901, PLR0911, PLR0912 - a table: one line an event
    match event:
        case UploadReceived():
            return _received(state, event)
        case UploadAssessed():
            return _assessed(state, event)
        case AssessmentMissed():
            return _with_upload(state, _known(state, event.upload_id).model_copy(update={"due_at": None}))
        case CaseOpened():
            return _raised(state, event).model_copy(update={"centre_id": event.centre_id, "is_lysed": False})
        case CaseRaised():
            return _raised(state, event) if event.kept_by is None else _with_news(state, event)
        case PageRequested():
            return _paged(state, event)
        case NoteRequested():
            return state.model_copy(update={"round": event.round})
        case NoticeReported():
            return _reported(state, event.notice_id, failed=event.outcome is not NoticeOutcome.SENT or _has_failed(state, event.notice_id))
        case NoticeReached():
            return _reported(state, event.notice_id, failed=False)
        case ClinicAnswered() | RepeatAsked():
            return state.model_copy(update={"phase": Phase.ANSWERED}) if state.phase in {Phase.NEW, Phase.WAITING} else state
        case ClinicToldToCall():
            return state.model_copy(update={"call_at": None})
        case ReadingListed():
            return _with_upload(state, _known(state, event.upload_id).model_copy(update={"read_by": event.read_by, "is_unread": True}))
        case ReadingOverdue():
            return _with_upload(state, _known(state, event.upload_id).model_copy(update={"read_by": None}))
        case ReadingDone():
            return _with_upload(state, _known(state, event.upload_id).model_copy(update={"read_by": None, "is_unread": False}))
        case CaseSettled() | CaseClosed():
            return _ended(state, event.at)
        case Said() if event.by is None and is_news_to_owner(state, event.at):
            return state.model_copy(update={"clinic_wrote_at": event.at})
        case NobodyOnCall() | CaseLinked() | Said() | CommandRefused():
            return state
        case _:
            return _in_hand(state, event)


def _in_hand(  # noqa: PLR0911 - a table: one line an event
    state: Case,
    event: Acknowledged
    | TakenOver
    | OwnerReleased
    | HandOverOffered
    | HandOverAccepted
    | HandOverDeclined
    | HandOverExpired
    | Confirmed
    | StoodDown
    | StrategyProposed
    | StrategyChosen
    | ReferralAccepted
    | LabActivated
    | ActivationCancelled
    | PatientDeparted
    | PatientArrived
    | Treated,
) -> Case:
    match event:
        case Acknowledged():
            return _owned(state.model_copy(update={"has_news": False}), event.by, event.at)
        case TakenOver():
            return _owned(state, event.by, event.at)
        case OwnerReleased():
            nobodys = {"owner": None, "release_at": None, "hand_over": None, "again_at": None, "has_news": False}
            return state.model_copy(update=nobodys | {"phase": Phase.OPENED})
        case HandOverOffered():
            offered = HandOver(sequence=state.sequence + 1, to_person=event.to_person, to_centre=event.to_centre, accept_by=event.accept_by)
            return state.model_copy(update={"hand_over": offered, "release_at": None})
        case HandOverAccepted():
            # Another centre has a lab of its own, and has not been asked yet; the strategy was chosen for the way to the one before.
            anew = {"is_activated": False, "is_referred": False, "is_chosen": False, "step": None} if event.centre_id != state.centre_id else {}
            return _owned(state.model_copy(update=anew | {"centre_id": event.centre_id, "hand_over": None}), event.by, event.at)
        case HandOverDeclined() if not event.is_final and state.hand_over is not None:
            offered = state.hand_over.model_copy(update={"declined": (*state.hand_over.declined, event.by)})
            return state.model_copy(update={"hand_over": offered})
        case HandOverDeclined() | HandOverExpired():
            return state if state.owner is None else _owned(state.model_copy(update={"hand_over": None}), state.owner, event.at)
        case StoodDown():
            return _over(state, Phase.STOOD_DOWN, event.at).model_copy(update={"stood_down_at": event.at, "diagnosis": None})
        case StrategyProposed():
            return state.model_copy(update={"proposed": event.strategy, "proposed_from": event.first_contact_at})
        case StrategyChosen():
            return state.model_copy(update={"is_chosen": True})
        case ReferralAccepted():
            return state.model_copy(update={"is_referred": True})
        case _:
            return _on_the_way(state, event)


def _on_the_way(state: Case, event: Confirmed | LabActivated | ActivationCancelled | PatientDeparted | PatientArrived | Treated) -> Case:
    match event:
        case Confirmed():
            decided = {"diagnosis": event.diagnosis, "confirmed_at": event.at, "has_news": False}
            return _in_phase(state.model_copy(update=decided | {"release_at": None, "notices": _of_asked(state)}), event.at)
        case LabActivated():
            return _in_phase(state.model_copy(update={"is_activated": True}), event.at)
        case ActivationCancelled():
            looked_at_again = state.model_copy(update={"is_activated": False, "diagnosis": None})
            return looked_at_again if state.owner is None else _owned(looked_at_again, state.owner, event.at)
        case PatientDeparted():
            return _in_phase(state.model_copy(update={"moved": Phase.DEPARTED, "moved_at": event.happened_at}), event.at)
        case PatientArrived():
            return _in_phase(state.model_copy(update={"moved": Phase.ARRIVED, "moved_at": event.happened_at}), event.at)
        case Treated():
            is_bridge = event.treatment is Treatment.LYSIS_BOLUS  # the patient still goes to the centre
            return state.model_copy(update={"is_lysed": True}) if is_bridge else _in_phase(state.model_copy(update={"is_treated": True}), event.at)
        case _:
            assert_never(event)


def _raised(state: Case, event: CaseOpened | CaseRaised) -> Case:
    """People are called: whatever was decided before is open again; what lies ahead of the patient is as far as they have come.

    Where people are called already the escalation goes on: what comes in again and again does not put off the next step, nor that the clinic is
    told to call."""
    waits_for_nobody = event.priority is not Priority.YELLOW
    is_over = state.phase in AFTERWARDS or not state.is_open
    course: dict[str, object] = {}
    if is_over:
        course = {"moved": None, "moved_at": None, "is_referred": False, "is_activated": False, "diagnosis": None, "confirmed_at": None}
        course |= {"proposed": None, "proposed_from": None, "is_chosen": False, "course_after": state.over_at}
    if state.phase is not Phase.OPENED or (state.priority is not Priority.YELLOW) != waits_for_nobody:
        course |= {"call_at": event.at + CLINIC_CALLS_AFTER if waits_for_nobody else None, "step": None, "again_at": None, "told": ()}
    return state.model_copy(
        update=course
        | {
            "phase": Phase.OPENED,
            "priority": event.priority,
            "upload_id": event.upload_id,
            "raised_sequence": state.sequence + 1,
            "raised_at": event.at,
            "called_from": called_from(state, event.upload_id, event.priority),
            "notices": (),
            "owner": None,
            "release_at": None,
            "hand_over": None,
            "stood_down_at": None,
            "has_news": False,
            "uploads": _called_for(state, event.upload_id, is_first=is_over),
        }
    )


def _with_news(state: Case, event: CaseRaised) -> Case:
    """Who has decided it keeps it, and their time counts from the first of which they have not said that they saw it."""
    sequence = state.sequence + 1
    news: dict[str, object] = {"priority": event.priority, "upload_id": event.upload_id, "raised_sequence": sequence, "raised_at": event.at}
    news |= {"called_from": called_from(state, event.upload_id, event.priority)}
    news |= {"has_news": True, "uploads": _called_for(state, event.upload_id, is_first=False)}
    if not state.has_news:
        news |= {"owned_sequence": sequence, "owned_at": event.at, "release_at": None, "call_at": state.call_at or event.at + CLINIC_CALLS_AFTER}
    if (state.priority is Priority.YELLOW) != (event.priority is Priority.YELLOW):
        news["step"] = None  # of another policy
    return state.model_copy(update=news)


def _called_for(state: Case, upload_id: UploadId, *, is_first: bool) -> tuple[Upload, ...]:
    """Return the uploads, of which this one people are called for: the first of its course, or one more."""
    return tuple(
        upload.model_copy(update={"is_called_for": upload.upload_id == upload_id or (upload.is_called_for and not is_first)})
        for upload in state.uploads
    )


def called_from(state: Case, upload_id: UploadId, priority: Priority) -> Instant:
    """Return since when the patient waits, where an upload calls people: the receipt of the first that this call is about.

    What was over is another call; so is what only waited to be read till then, and was no emergency."""
    received_at = _known(state, upload_id).received_at
    is_another = not state.is_open or (state.priority is Priority.YELLOW and priority is not Priority.YELLOW)
    return received_at if is_another or state.called_from is None else min(state.called_from, received_at)


def is_news_to_owner(state: Case, at: Instant) -> bool:
    """Return whether the owner is to be told that the clinic wrote: who was told just now has not looked yet."""
    return state.clinic_wrote_at is None or at - state.clinic_wrote_at > TOLD_JUST_NOW


def _paged(state: Case, event: PageRequested) -> Case:
    """A notice more. Of a new round it is the first; of the same it stands beside the others."""
    notice = Notice(notice_id=event.notice_id, person_id=event.person_id, method=event.method, answer_by=event.answer_by)
    others = tuple(told for told in state.told if told.person_id != event.person_id)
    is_beside_others = event.reason is PageReason.REPEAT_ECG and state.hand_over is not None  # whom it is offered to is still asked
    changed: dict[str, object] = {
        "round": event.round,
        "notices": (*state.notices, notice) if event.round == state.round or is_beside_others else (notice,),
        "told": (*others, Told(person_id=event.person_id, method=event.method)),
    }
    if event.reason is PageReason.OWNER_SILENT:
        changed["release_at"] = event.again_at
    elif event.reason in OF_THE_POLICY and state.phase is Phase.OPENED:
        changed |= {"again_at": event.again_at or event.at + PAGE_AGAIN_AFTER, "step": event.step if event.step is not None else state.step}
    return state.model_copy(update=changed)


def _reported(state: Case, notice_id: NoticeId, *, failed: bool) -> Case:
    """Something is known of a notice: it is awaited no more."""
    known = state.notice(notice_id)
    if known is None:
        return state
    settled = known.model_copy(update={"answer_by": None, "failed": failed})
    return state.model_copy(update={"notices": tuple(settled if notice.notice_id == notice_id else notice for notice in state.notices)})


def _has_failed(state: Case, notice_id: NoticeId) -> bool:
    """Its provider's word that it failed may be heard before the one that it was sent."""
    known = state.notice(notice_id)
    return known is not None and known.failed


def _owned(state: Case, by: PersonId, at: Instant) -> Case:
    """Somebody has it in hand from now on, and their time counts; nothing more is awaited of who else was paged, but of whom its owner asks."""
    is_still_theirs = by == state.owner
    asked = {"hand_over": state.hand_over if is_still_theirs else None, "notices": _of_asked(state) if is_still_theirs else ()}
    anew = {"owner": by, "owned_sequence": state.sequence + 1, "owned_at": at, "release_at": None, "again_at": None, "clinic_wrote_at": None}
    owned = state.model_copy(update=asked | anew)
    return owned if state.phase is Phase.TREATED else _in_phase(owned, at)


def _of_asked(state: Case) -> tuple[Notice, ...]:
    """Return the notices by which others are asked to take it from its owner."""
    return tuple(notice for notice in state.notices if notice.person_id != state.owner) if state.hand_over is not None else ()


def _in_phase(state: Case, at: Instant) -> Case:
    """Return the case in the phase that it has by what is known: how far the patient has come, the lab, the diagnosis.

    A treatment ends the course of a case that is confirmed, once nothing has come in that nobody has said to have seen."""
    if state.is_treated and state.diagnosis is not None and not state.has_news:
        return _over(state, Phase.TREATED, at)
    by_decision = Phase.ACTIVATED if state.is_activated else Phase.CONFIRMED if state.diagnosis is not None else Phase.ACKNOWLEDGED
    return state.model_copy(update={"phase": state.moved or by_decision, "stood_down_at": None})


def _over(state: Case, phase: Phase, at: Instant) -> Case:
    """Nothing more is awaited of anybody; what nobody read in its time was before who ended it, or is listed again."""
    nothing_awaited = {"notices": (), "release_at": None, "hand_over": None, "has_news": False, "is_treated": False}
    uploads = tuple(upload.model_copy(update={"is_unread": False}) if upload.is_overdue else upload for upload in state.uploads)
    return state.model_copy(update=nothing_awaited | {"phase": phase, "over_at": at, "uploads": uploads})


def _ended(state: Case, at: Instant) -> Case:
    return _over(state, Phase.CLOSED, at).model_copy(update={"told": (), "call_at": None, "again_at": None})


def _received(state: Case, event: UploadReceived) -> Case:
    known = state.upload(event.upload_id)
    waiting = Upload(
        upload_id=event.upload_id,
        clinic_id=event.clinic_id,
        received_at=event.received_at,
        due_at=event.due_at,
        lane=Lane.EMERGENCY,
        age_y=event.age_y,
        sex=event.sex,
        first_contact_at=event.first_contact_at,
    )
    state = _with_upload(state, known or waiting)
    is_before_all = state.phase in {Phase.NEW, Phase.ANSWERED, Phase.CLOSED}
    return state.model_copy(update={"phase": Phase.WAITING}) if known is None and is_before_all else state


def _assessed(state: Case, event: UploadAssessed) -> Case:
    known = state.upload(event.upload_id)
    if known is not None and known.priority is Priority.RED:
        return state  # a red that people were told of stays one, whatever a later rulebook makes of it
    return _with_upload(
        state,
        Upload(
            upload_id=event.upload_id,
            clinic_id=event.clinic_id,
            received_at=event.received_at,
            lane=event.lane,
            age_y=event.age_y,
            sex=event.sex,
            first_contact_at=event.first_contact_at or (known.first_contact_at if known else None),
            priority=event.priority,
            headline=event.headline,
            read_by=known.read_by if known else None,
            is_unread=known is not None and known.is_unread,
            is_called_for=known is not None and known.is_called_for,
        ),
    )


def _known(state: Case, upload_id: UploadId) -> Upload:
    return next(upload for upload in state.uploads if upload.upload_id == upload_id)


def _with_upload(state: Case, changed: Upload) -> Case:
    if state.upload(changed.upload_id) is None:
        return state.model_copy(update={"uploads": (*state.uploads, changed)})
    return state.model_copy(update={"uploads": tuple(changed if upload.upload_id == changed.upload_id else upload for upload in state.uploads)})
