"""Times as people type them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from services.program.clock_times import past_instant

NOW = datetime(2026, 3, 1, 0, 10, tzinfo=timezone(timedelta(hours=8)))


@pytest.mark.parametrize(
    ("typed", "at"),
    [
        ("0:05", NOW - timedelta(minutes=5)),
        ("00:14:30", NOW + timedelta(minutes=4, seconds=30)),  # clocks differ
        ("23:50", NOW - timedelta(minutes=20)),  # of the evening before
        ("2026-02-28T23:50", NOW - timedelta(minutes=20)),
        ("2026-02-28T15:50Z", datetime(2026, 2, 28, 15, 50, tzinfo=UTC)),
    ],
)
def test_a_time_that_was_typed_is_the_last_such_here(typed, at):
    assert past_instant(typed, NOW) == at


@pytest.mark.parametrize("typed", ["", "noon", "25:10", "12:60", "12"])
def test_what_is_no_time_is_refused(typed):
    with pytest.raises(ValueError, match=r"Invalid isoformat|must be in"):
        past_instant(typed, NOW)
