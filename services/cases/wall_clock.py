"""The clock on the wall: rosters and opening hours are written in its hours, and it jumps where summer time begins and ends."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from contracts.directory import Directory, Hours, Weekday

DAY = timedelta(days=1)
_WEEKDAYS = tuple(Weekday)


def zone_of(directory: Directory) -> ZoneInfo | None:
    """Return the directory's time zone; None where this machine does not know it."""
    try:
        return ZoneInfo(directory.timezone)
    except (KeyError, ValueError, OSError):  # not there; no name of a zone; a folder of zones
        return None


def shown(at: datetime, zone: ZoneInfo) -> datetime:
    """Return what the clock shows, without a zone."""
    return at.astimezone(zone).replace(tzinfo=None)


def instant_of(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return when the clock first shows that time or a later one: a time that comes twice counts once, one that is skipped when it is skipped."""
    first = wall.replace(tzinfo=zone).astimezone(UTC)
    if shown(first, zone) == wall:
        return first
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC).replace(microsecond=0)  # with the offset after the jump: too early
    jump_in_s = range(int((first - before).total_seconds()) + 1)
    while len(jump_in_s) > 1:
        middle = len(jump_in_s) // 2
        late = shown(before + timedelta(seconds=jump_in_s[middle - 1]), zone) >= wall
        jump_in_s = jump_in_s[:middle] if late else jump_in_s[middle:]
    return before + timedelta(seconds=jump_in_s[0])


def is_always(hours: Hours) -> bool:
    return hours.begins == hours.ends and set(hours.days) == set(Weekday)


def is_within(hours: Hours, at: datetime, zone: ZoneInfo) -> bool:
    return is_always(hours) or any(begins <= at < ends for begins, ends in spans(hours, at, at, zone))


def spans(hours: Hours, after: datetime, until: datetime, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """Yield when the hours begin and end, of every day from before `after` to behind `until`."""
    first, last = (
        shown(after, zone).date() - 2 * DAY,
        shown(until, zone).date() + DAY,
    )  # a night begins on the day before; clocks jump over midnight too
    for number in range((last - first).days + 1):
        day = first + number * DAY
        if _WEEKDAYS[day.weekday()] in hours.days:
            ends_on: date = day if hours.ends > hours.begins else day + DAY
            yield instant_of(datetime.combine(day, hours.begins), zone), instant_of(datetime.combine(ends_on, hours.ends), zone)
