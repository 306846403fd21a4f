"""What a case waits for. A function of its state: a rebuilt case has its timers back."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

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
from contracts.ids import CaseId
from services.cases.state import Case, Phase

ASSESSED_WITHIN = timedelta(seconds=60)
READ_WITHIN_AT_LEAST = timedelta(seconds=15)  # for one that is heard of late: its upload was sent again, or cases was away
PAGE_AGAIN_AFTER = timedelta(seconds=60)  # where a page does not say it itself
ANSWER_WITHIN = timedelta(seconds=10)  # something is known of a notice
OWNER_DECIDES_WITHIN = timedelta(minutes=5)
OWNER_ANSWERS_WITHIN = timedelta(seconds=60)  # once paged again
HAND_OVER_WITHIN = timedelta(minutes=3)
CLINIC_CALLS_AFTER = timedelta(minutes=3)
READ_AGAIN_WITHIN = timedelta(hours=1)  # what was overdue when a case was stood down
STOOD_DOWN_CLOSES_AFTER = timedelta(hours=12)
FAR_AHEAD = ("read", "stood-down")  # the kinds of timers that may be set for hours from now
TOLD_JUST_NOW = timedelta(seconds=10)  # that the clinic wrote: who writes line by line rings once


@dataclass(frozen=True)
class Timer:
    """When something is asked of a case, and what: the command is made only when it is due, which few timers ever are."""

    due_at: datetime
    case_id: CaseId
    kind: type[TimersCommand]
    about: tuple[str, Any] | None = None  # the field by which the command names what it was set for

    @property
    def command(self) -> TimersCommand:
        return self.kind(case_id=self.case_id, at=self.due_at, **dict([self.about] if self.about else []))


def timers(state: Case) -> dict[str, Timer]:
    """Return the timers that this state needs, by purpose and round, or by when it is due: none ever has the name of one that was heard."""
    return dict(_needed(state))


def _needed(state: Case) -> Iterator[tuple[str, Timer]]:
    case_id = state.case_id
    for upload in state.uploads:
        of_upload = ("upload_id", upload.upload_id)
        if upload.due_at is not None:
            yield f"unread/{upload.upload_id}", Timer(upload.due_at, case_id, OpenUnread, of_upload)
        if upload.read_by is not None:
            yield f"read/{upload.upload_id}/{_ms(upload.read_by)}", Timer(upload.read_by, case_id, PageForReading, of_upload)
    for notice in state.notices:
        if notice.answer_by is not None:
            yield f"method/{notice.notice_id}", Timer(notice.answer_by, case_id, TryNextMethod, ("notice_id", notice.notice_id))
    if state.phase is Phase.OPENED:
        yield from _until_in_hand(state)
    if state.owner is not None:
        yield from _of_owner(state)
    if state.phase is Phase.STOOD_DOWN and state.stood_down_at is not None:
        yield f"stood-down/{_ms(state.stood_down_at)}", Timer(state.stood_down_at + STOOD_DOWN_CLOSES_AFTER, case_id, CloseStoodDown)


def _until_in_hand(state: Case) -> Iterator[tuple[str, Timer]]:
    again_at = state.again_at or state.last_at  # an open case of which nothing says when it is paged is paged at once
    if again_at is not None and state.round > 0:
        yield f"again/{state.round}", Timer(again_at, state.case_id, PageAgain, ("round", state.round))
    if state.call_at is not None:
        yield f"call/{state.raised_sequence}", Timer(state.call_at, state.case_id, TellClinicToCall, ("since_sequence", state.raised_sequence))


def _of_owner(state: Case) -> Iterator[tuple[str, Timer]]:
    offered, since = state.hand_over, state.owned_sequence
    if offered is not None:
        yield f"hand-over/{offered.sequence}", Timer(offered.accept_by, state.case_id, ExpireHandOver, ("since_sequence", offered.sequence))
    elif state.awaits_owner and state.release_at is not None:
        yield f"release/{since}", Timer(state.release_at, state.case_id, ReleaseOwner, ("since_sequence", since))
    elif state.awaits_owner and state.owned_at is not None:
        yield f"remind/{since}", Timer(state.owned_at + OWNER_DECIDES_WITHIN, state.case_id, RemindOwner, ("since_sequence", since))


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
