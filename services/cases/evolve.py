"""What an event makes of a case. Pure; no event is refused here, for it has happened."""

from typing import assert_never

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
from contracts.vocabulary import Lane, Priority
from services.cases.state import Case, Phase, Upload


def evolve(state: Case, event: CaseEvents) -> Case:
    """Return the case after the event."""
    last_at = event.at if state.last_at is None else max(event.at, state.last_at)
    return _changed(state, event).model_copy(update={"sequence": state.sequence + 1, "last_at": last_at})


def _changed(state: Case, event: CaseEvents) -> Case:  # noqa: PLR0911 - a table: one line an event
    match event:
        case UploadReceived():
            return _received(state, event)
        case UploadAssessed():
            return _assessed(state, event)
        case AssessmentMissed():
            return _with_upload(state, _known(state, event.upload_id).model_copy(update={"due_at": None}))
        case CaseOpened():
            return _raised(state, event).model_copy(update={"centre_id": event.centre_id})
        case CaseRaised():
            return _raised(state, event)
        case PageRequested():
            return state.model_copy(update={"round": event.round, "paged_at": event.at})
        case Acknowledged():
            return state.model_copy(update={"phase": Phase.ACKNOWLEDGED, "owner": event.by})
        case CaseSettled():
            return state.model_copy(update={"phase": Phase.CLOSED})
        case ClinicAnswered() | RepeatAsked():
            return state if state.is_open or state.phase is Phase.CLOSED else state.model_copy(update={"phase": Phase.ANSWERED})
        case NoticeReported() | CommandRefused():
            return state
        case _:
            assert_never(event)


def _raised(state: Case, event: CaseOpened | CaseRaised) -> Case:
    open_for = {"priority": event.priority, "upload_id": event.upload_id}
    to_be_seen = {"raised_sequence": state.sequence + 1, "raised_at": event.at}
    return state.model_copy(update={"phase": Phase.OPENED, "owner": None} | open_for | to_be_seen)


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
    )
    state = _with_upload(state, known or waiting)
    return state if known or state.is_open else state.model_copy(update={"phase": Phase.WAITING})


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
            priority=event.priority,
            headline=event.headline,
        ),
    )


def _known(state: Case, upload_id: object) -> Upload:
    return next(upload for upload in state.uploads if upload.upload_id == upload_id)


def _with_upload(state: Case, changed: Upload) -> Case:
    if state.upload(changed.upload_id) is None:
        return state.model_copy(update={"uploads": (*state.uploads, changed)})
    return state.model_copy(update={"uploads": tuple(changed if upload.upload_id == changed.upload_id else upload for upload in state.uploads)})
