"""Times as people type them: a time of the day, or a whole one."""

import re
from datetime import datetime, timedelta

AHEAD_AT_MOST = timedelta(minutes=5)  # of a clock: what lies further ahead was yesterday


def past_instant(typed: str, now: datetime) -> datetime:
    """Return when something happened: a time of the day is the last such, without an offset it has that of `now`. ValueError where it is no time."""
    if not re.fullmatch(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?", typed):
        at = datetime.fromisoformat(typed)
        return at if at.tzinfo else at.replace(tzinfo=now.tzinfo)
    hour, minute, *second = map(int, typed.split(":"))
    at = now.replace(hour=hour, minute=minute, second=second[0] if second else 0, microsecond=0)
    return at - timedelta(days=1) if at - now > AHEAD_AT_MOST else at
