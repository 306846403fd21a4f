"""What a case waits for. A function of its state: a rebuilt case has its timers back."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.commands import OpenUnread, PageAgain
from services.cases.state import Case, Phase

ASSESSED_WITHIN = timedelta(seconds=60)
READ_WITHIN_AT_LEAST = timedelta(seconds=15)  # for one that is heard of late: its upload was sent again, or cases was away
PAGE_AGAIN_AFTER = timedelta(seconds=60)


@dataclass(frozen=True)
class Timer:
    due_at: datetime
    command: OpenUnread | PageAgain  # what is asked of the case when it is due


def timers(state: Case) -> dict[str, Timer]:
    """Return the timers that this state needs, by purpose and round."""
    needed = {
        f"unread/{upload.upload_id}": Timer(upload.due_at, OpenUnread(case_id=state.case_id, at=upload.due_at, upload_id=upload.upload_id))
        for upload in state.uploads
        if upload.due_at is not None
    }
    if state.phase is Phase.OPENED and state.paged_at is not None:
        due_at = state.paged_at + PAGE_AGAIN_AFTER
        needed[f"again/{state.round}"] = Timer(due_at, PageAgain(case_id=state.case_id, at=due_at, round=state.round))
    return needed
