"""What rings once more and what was just said: a second red is never taken for the first."""

from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.cases import PageReason
from contracts.vocabulary import Priority
from services.notify.notice import Sent
from services.notify.rings import BUNDLED_WITHIN, RUNG_JUST_NOW, Rings, merged
from tests.unit.notify.pages import T0, page

WAITS_FOR_NOBODY = [Priority.RED, Priority.NOT_EVALUABLE]


def rings_after(first, second, apart) -> bool:
    """Tell whether a second page rings, so long after the first was sent."""
    rings = Rings()
    rings.of(first).rang(first, Sent(), T0)
    return merged(second, rings.of(second), T0 + apart) is None


@pytest.mark.parametrize("priority", WAITS_FOR_NOBODY)
@pytest.mark.parametrize(
    "other",
    [
        {"upload_id": uuid4()},
        {"headline": "Inferior STEMI"},
        {"person_id": "bob"},
        {"method": "sms"},
        {"centre_id": "north"},
        {"case_id": uuid4()},
        *({"reason": reason} for reason in PageReason if reason is not PageReason.STEP),
    ],
)
def test_a_second_red_within_the_second_rings_too(priority, other):
    assert rings_after(page(priority=priority), page(priority=priority, round=2, **other), timedelta(0))


def test_two_steps_of_the_quickest_policy_both_ring():
    assert rings_after(page(), page(round=2), timedelta(seconds=29))
    assert not rings_after(page(), page(round=2), RUNG_JUST_NOW / 2)


@given(first=st.sampled_from(Priority), second=st.sampled_from(WAITS_FOR_NOBODY), one_case=st.booleans())
def test_red_is_never_bundled(first, second, one_case):
    follows = page("one" if one_case else "two", second, headline="Inferior STEMI", round=2)
    assert rings_after(page("one", first), follows, timedelta(0))


@pytest.mark.parametrize("priority", [Priority.YELLOW, Priority.GREEN])
def test_what_can_wait_rings_a_person_once_in_ten_minutes_unless_it_asks_for_something_about_one_case(priority):
    def second(**changed):
        return page("two", priority, **changed)

    first = page("one", priority)
    assert not rings_after(first, second(), BUNDLED_WITHIN - timedelta(seconds=1))
    assert rings_after(first, second(), BUNDLED_WITHIN)
    assert rings_after(first, second(person_id="bob"), timedelta(0))
    assert rings_after(first, second(method="sms"), timedelta(0))
    assert rings_after(first, second(reason=PageReason.HAND_OVER), timedelta(0))
    assert rings_after(first, second(reason=PageReason.OWNER_SILENT), timedelta(0))
