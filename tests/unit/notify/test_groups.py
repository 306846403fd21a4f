"""How messages are parted by their headers alone."""

import pytest

from contracts.vocabulary import Priority
from services.notify.groups import is_alarming_letter, is_other_page, is_red_page
from tests.unit.notify.pages import page, sealed


@pytest.mark.parametrize(
    ("priority", "red"), [(Priority.RED, True), (Priority.NOT_EVALUABLE, True), (Priority.YELLOW, False), (Priority.GREEN, False)]
)
def test_each_page_is_of_one_group_and_what_is_red_or_unknown_waits_for_no_other(priority, red):
    headers = sealed(page(priority=priority)).headers
    assert (is_red_page(headers), is_other_page(headers)) == (red, not red)


def test_a_page_that_does_not_say_how_urgent_it_is_waits_for_nobody():
    assert is_red_page([("ce_type", b"PageRequested")])
    assert is_red_page([("ce_type", b"PageRequested"), ("ce_priority", b"\xff")])
    assert is_red_page([])  # it may be a page: it is given up in the open, not passed over
    assert not is_red_page([("ce_type", b"CaseOpened"), ("ce_priority", b"red")])


def test_a_letter_alarms_when_cases_or_the_red_pages_gave_it_up():
    assert is_alarming_letter([("dlq_group", b"cases.intake.emergency.v1")])
    assert is_alarming_letter([("dlq_group", b"notify-red")])
    assert not is_alarming_letter([("dlq_group", b"console.cases.v1")])
    assert not is_alarming_letter([])
