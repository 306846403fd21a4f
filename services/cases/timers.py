"""What a case waits for. A function of its state: a rebuilt case has its timers back."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.commands import (
    CloseStoodDown,
    ExpireHandOver,
    OpenUnread,
    PageAgain,
    PageForReading,
    ReleaseOwner,
    RemindOwner,
    TellClinicToCall,
    TimersCommand,
    TryNextMethod,
)
from services.cases.state import Case, Phase

ASSESSED_WITHIN = timedelta(seconds=60)
READ_WITHIN_AT_LEAST = timedelta(seconds=15)  # for one that is heard of late: its upload was sent again, or cases was away
PAGE_AGAIN_AFTER = timedelta(seconds=60)  # where a page does not say it itself
ANSWER_WITHIN = timedelta(seconds=10)  # something is known of a notice
OWNER_DECIDES_WITHIN = timedelta(minutes=5)
OWNER_ANSWERS_WITHIN = timedelta(seconds=60)  # once paged again
HAND_OVER_WITHIN = timedelta(minutes=3)
CLINIC_CALLS_AFTER = timedelta(minutes=3)
STOOD_DOWN_CLOSES_AFTER = timedelta(hours=12)


@dataclass(frozen=True)
class Timer:
    due_at: datetime
    command: TimersCommand  # what is asked of the case when it is due


def timers(state: Case) -> dict[str, Timer]:
    """Return the timers that this state needs, by purpose and round."""
    return {name: Timer(command.at, command) for name, command in _needed(state)}


def _needed(state: Case) -> Iterator[tuple[str, TimersCommand]]:
    case_id = state.case_id
    for upload in state.uploads:
        if upload.due_at is not None:
            yield f"unread/{upload.upload_id}", OpenUnread(case_id=case_id, at=upload.due_at, upload_id=upload.upload_id)
        if upload.read_by is not None:
            yield f"read/{upload.upload_id}", PageForReading(case_id=case_id, at=upload.read_by, upload_id=upload.upload_id)
    for notice in state.notices:
        if notice.answer_by is not None:
            yield f"method/{notice.notice_id}", TryNextMethod(case_id=case_id, at=notice.answer_by, notice_id=notice.notice_id)
    if state.phase is Phase.OPENED:
        yield from _until_in_hand(state)
    if state.owner is not None:
        yield from _of_owner(state, state.owned_sequence)
    if state.phase is Phase.STOOD_DOWN and state.stood_down_at is not None:
        yield "stood-down", CloseStoodDown(case_id=case_id, at=state.stood_down_at + STOOD_DOWN_CLOSES_AFTER)


def _until_in_hand(state: Case) -> Iterator[tuple[str, TimersCommand]]:
    again_at = state.again_at or state.last_at  # an open case of which nothing says when it is paged is paged at once
    if again_at is not None and state.round > 0:
        yield f"again/{state.round}", PageAgain(case_id=state.case_id, at=again_at, round=state.round)
    if state.call_at is not None:
        yield f"call/{state.raised_sequence}", TellClinicToCall(case_id=state.case_id, at=state.call_at, since_sequence=state.raised_sequence)


def _of_owner(state: Case, since: int) -> Iterator[tuple[str, TimersCommand]]:
    if state.hand_over is not None:
        offered = state.hand_over
        yield f"hand-over/{offered.sequence}", ExpireHandOver(case_id=state.case_id, at=offered.accept_by, since_sequence=offered.sequence)
    elif state.awaits_decision and state.release_at is not None:
        yield f"release/{since}", ReleaseOwner(case_id=state.case_id, at=state.release_at, since_sequence=since)
    elif state.awaits_decision and state.owned_at is not None:
        yield f"remind/{since}", RemindOwner(case_id=state.case_id, at=state.owned_at + OWNER_DECIDES_WITHIN, since_sequence=since)
