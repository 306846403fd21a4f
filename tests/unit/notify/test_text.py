"""What a notice says, and what it must never hold."""

from datetime import timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from contracts.cases import PageReason
from contracts.vocabulary import Priority
from services.notify.text import FIRST_WORDS, LONGEST, WHY, dead_letter_text, note_text, page_text, page_title
from tests.unit.notify.pages import T0, note, page

LINK = "https://console.example"


def test_a_red_page_says_so_first_and_tells_age_sex_clinic_finding_minutes_round_and_link():
    asked = page(round=2)
    assert page_text(asked, "Test Clinic", LINK, T0 + timedelta(minutes=3, seconds=59)) == (
        f"RED: Anterior STEMI (V2, V3, V4). M 61 y, Test Clinic, 3 min since upload, round 2. {LINK}/cases/{asked.case_id}"
    )


def test_what_could_not_be_judged_is_urgent_and_says_that_it_could_not_be_judged():
    asked = page(priority=Priority.NOT_EVALUABLE, headline="leads V1 to V6 are missing", age_y=None, sex=None)
    said = page_text(asked, "Test Clinic", LINK, T0)
    assert said.startswith("URGENT, ECG could not be judged: leads V1 to V6 are missing. age unknown, sex unknown, ")
    assert "under 1 min since upload" in said
    assert "URGENT" in page_title(Priority.NOT_EVALUABLE)


def test_a_clock_that_stands_behind_the_receipt_tells_no_negative_minutes():
    assert "under 1 min" in page_text(page(), "Test Clinic", LINK, T0 - timedelta(minutes=5))


@given(
    headline=st.text(max_size=300),
    clinic=st.text(min_size=1, max_size=80),
    priority=st.sampled_from(list(Priority)),
    minutes=st.integers(0, 100_000),
    round_=st.integers(1, 10_000),
    reason=st.sampled_from(list(PageReason)),
    speaks_for_more=st.booleans(),
)
def test_a_page_fits_a_small_screen_on_one_line_keeps_its_link_and_tells_nothing_of_who_it_is(
    headline, clinic, priority, minutes, round_, reason, speaks_for_more
):
    asked = page(priority=priority, headline=headline, round=round_, reason=reason)
    said = page_text(asked, clinic, LINK, T0 + timedelta(minutes=minutes), speaks_for_more=speaks_for_more)
    assert len(said) <= LONGEST
    assert "\n" not in said
    assert said.startswith(f"{FIRST_WORDS[priority]} {WHY[reason]}".rstrip())
    assert said.endswith(f"{LINK}/cases/{asked.case_id}")
    assert asked.patient_key not in said


def test_who_is_silent_or_asked_to_take_over_is_told_what_to_do_and_each_reason_has_its_words():
    assert set(WHY) == set(PageReason)
    silent, asked = (page_text(page(reason=reason), "Test Clinic", LINK, T0) for reason in (PageReason.OWNER_SILENT, PageReason.HAND_OVER))
    assert silent.startswith("RED: You have it in hand, and nothing followed: confirm, stand down or hand over. Anterior STEMI")
    assert asked.startswith("RED: You are asked to take it over: accept or decline. Anterior STEMI")


@given(text=st.text(max_size=300))
def test_a_note_fits_a_small_screen_on_one_line_and_keeps_its_link(text):
    asked = note(text=text)
    said = note_text(asked, LINK)
    assert len(said) <= LONGEST
    assert "\n" not in said
    assert said.endswith(f"{LINK}/cases/{asked.case_id}")
    assert asked.patient_key not in said


def test_an_alarm_about_a_dead_letter_names_the_clinic_to_call_and_the_ids():
    upload = UUID(int=7)
    said = dead_letter_text("Test Clinic", [("upload", upload)], "cases.v1.dlq/3/17")
    assert said.startswith(
        "RED: a message about a patient could not be handled: it lies in cases.v1.dlq/3/17. Call Test Clinic, and look at it there."
    )
    assert str(upload) in said
    assert (
        len(dead_letter_text("x" * 80, [("upload", upload), ("case", upload), ("event", upload)], "assessments.emergency.v1.dlq/31/123456789"))
        <= LONGEST
    )


def test_an_alarm_with_nothing_known_still_says_whom_to_call():
    assert "Call the clinics" in dead_letter_text(None, [], "cases.v1.dlq/3/17")
