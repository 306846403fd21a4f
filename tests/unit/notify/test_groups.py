"""How messages are parted by their headers alone."""

import pytest

from contracts.envelope import Record, open_envelope
from contracts.vocabulary import Priority
from services.notify.groups import RED_GROUP, REST_GROUP, group_told_of, is_alarming_letter, is_of_red_group, is_of_rest_group
from services.notify.notice import Asked, Sent, delivery, origin_of
from services.notify.notice import sealed as sealed_of_notify
from tests.unit.notify.pages import T0, nobody_on_call, note, page, sealed


def sealed_delivery(asked: Asked, message: Record) -> Record:
    origin = origin_of(asked, open_envelope(message.headers))
    return sealed_of_notify(delivery(origin, Sent(), T0), origin, T0)


@pytest.mark.parametrize(
    ("priority", "red"), [(Priority.RED, True), (Priority.NOT_EVALUABLE, True), (Priority.YELLOW, False), (Priority.GREEN, False)]
)
def test_each_page_is_of_one_group_and_what_is_red_or_unknown_waits_for_no_other(priority, red):
    headers = sealed(page(priority=priority)).headers
    assert (is_of_red_group(headers), is_of_rest_group(headers)) == (red, not red)


def test_a_page_that_does_not_say_how_urgent_it_is_waits_for_nobody():
    assert is_of_red_group([("ce_type", b"PageRequested")])
    assert is_of_red_group([("ce_type", b"PageRequested"), ("ce_priority", b"\xff")])
    assert is_of_red_group([])  # it may be a page: it is given up in the open, not passed over
    assert not is_of_red_group([("ce_type", b"CaseOpened"), ("ce_priority", b"red")])


@pytest.mark.parametrize("priority", [None, *Priority])
def test_a_note_never_stands_before_a_red_and_that_nobody_is_on_call_never_waits(priority):
    headers = sealed(note(), priority).headers
    assert (is_of_red_group(headers), is_of_rest_group(headers)) == (False, True)
    headers = sealed(nobody_on_call(), priority).headers
    assert (is_of_red_group(headers), is_of_rest_group(headers)) == (True, False)


@pytest.mark.parametrize("asked", [page(), page(priority=Priority.YELLOW), note()])
@pytest.mark.parametrize("priority", [None, *Priority])
def test_a_delivery_comes_back_to_the_inbox_that_took_its_message(asked, priority):
    message = sealed(asked, priority)
    told = sealed_delivery(asked, message)
    taken_by = RED_GROUP if is_of_red_group(message.headers) else REST_GROUP
    assert group_told_of(told.headers) == taken_by


def test_a_letter_alarms_when_cases_or_the_red_pages_gave_it_up():
    assert is_alarming_letter([("dlq_group", b"cases.intake.emergency.v1")])
    assert is_alarming_letter([("dlq_group", b"notify-red")])
    assert not is_alarming_letter([("dlq_group", b"console.cases.v1")])
    assert not is_alarming_letter([])
