"""The escalation: who is paged, by what, and when again, until a person has it in hand and decides."""

from datetime import timedelta

import pytest

from contracts.cases import ClinicToldToCall, NobodyOnCall, NoticeReached, OwnerReleased, PageReason, PageRequested
from contracts.commands import Confirm, StandDown, TryNextMethod
from contracts.deliveries import NoticeDelivered, NoticeOpened
from contracts.directory import STANDING_ALARM, STANDING_NUMBER, Directory
from contracts.vocabulary import Diagnosis, Priority
from services.cases.state import Phase
from tests.unit.cases.case_world import (
    CASE,
    DIRECTORY,
    ESCALATING,
    KEY,
    MINUTE,
    SECOND,
    T0,
    World,
    acknowledge,
    asked,
    assessed,
    failed,
    kinds,
    pages,
    rebuilt,
    rung,
    sent,
    silent,
)

SECONDS = timedelta(seconds=1)


def opened(provider=None, directory: Directory = ESCALATING) -> World:
    world = World(directory=directory) if provider is None else World(provider, directory)
    world.hear(assessed(Priority.RED))
    return world


def test_the_steps_are_paged_in_their_order_each_after_its_own_wait_and_then_the_first_again():
    world = opened()
    assert rung(world.log) == [("ann", "phone"), ("bob", "phone")]
    assert rung(world.wait(59 * SECONDS)) == []
    assert rung(world.wait(1 * SECONDS)) == [("ann", "phone"), ("bob", "phone"), ("cy", "phone")]
    assert rung(world.wait(89 * SECONDS)) == []
    assert rung(world.wait(1 * SECONDS)) == [("ann", "phone"), ("bob", "phone")]
    assert [page.round for page in pages(world.log)] == [1, 1, 2, 2, 2, 3, 3]


def test_a_page_that_failed_is_followed_at_once_by_the_persons_next_method():
    world = opened(lambda page: failed(page) if page.method == "phone" and page.person_id == "ann" else None)
    assert rung(world.log) == [("ann", "phone"), ("bob", "phone"), ("ann", "chat")]
    assert world.now == T0
    last = pages(world.log)[-1]
    assert (last.round, last.reason) == (1, PageReason.NEXT_METHOD)


def test_a_page_of_which_nothing_is_heard_in_ten_seconds_is_followed_by_the_next_method():
    world = opened(silent)
    assert rung(world.wait(9 * SECONDS)) == []
    assert rung(world.wait(1 * SECONDS)) == [("ann", "chat")]


def test_where_nobody_of_a_step_can_be_reached_the_next_step_is_paged_at_once_and_after_the_last_the_standing_number():
    world = opened(failed)
    assert rung(world.log)[:3] == [("ann", "phone"), ("bob", "phone"), ("ann", "chat")]
    assert rung(world.log)[-1] == (STANDING_NUMBER, STANDING_ALARM)
    assert {person for person, _ in rung(world.log)} == {"ann", "bob", "cy", STANDING_NUMBER}
    assert world.now == T0
    assert rung(world.wait(10 * MINUTE)), "the first step comes again"


def test_what_fails_always_does_not_page_without_a_pause():
    world = opened(failed)
    before = len(pages(world.log))
    world.wait(10 * MINUTE)
    assert len(pages(world.log)) <= before * 11


def test_a_notice_that_was_sent_is_waited_for_until_its_step_is_over():
    assert rung(opened().wait(59 * SECONDS)) == []


def test_delivered_and_opened_are_noted_and_stop_no_page():
    world = opened()
    page = pages(world.log)[0]
    of_notice = {"notice_id": page.notice_id, "person_id": page.person_id, "method": page.method, "round": page.round}
    for kind in (NoticeDelivered, NoticeOpened):
        (noted,) = world.hear(kind(at=T0, case_id=CASE, patient_key=KEY, **of_notice))
        assert isinstance(noted, NoticeReached)
    assert rung(world.wait(MINUTE))


def test_a_failure_that_is_heard_late_or_twice_pages_nobody_anew():
    world = opened(silent)
    first = pages(world.log)[0]
    world.wait(10 * SECONDS)
    assert rung(world.hear(failed(first))) == []
    assert kinds(world.hear(TryNextMethod(case_id=CASE, at=T0, notice_id=first.notice_id))) == ["CommandRefused"]


def with_gap() -> Directory:
    from_tomorrow = {"people": ["ann"], "begins": "2026-03-02T08:00:00"}
    rosters = {"nobody": {"rotation": [from_tomorrow]}}
    policies = {"red": {"steps": [{"page": ["roster:nobody"], "wait_s": 60}]}}
    return Directory.model_validate(DIRECTORY.model_dump(mode="json") | {"rosters": rosters, "policies": policies | {"city": policies["red"]}})


def test_a_failure_that_the_provider_says_after_it_took_the_page_is_followed_at_once():
    world = World()
    page = next(page for page in pages(world.hear(assessed(Priority.RED))) if page.person_id == "ann")
    assert rung(world.hear(failed(page), "by a callback")) == [("ann", "chat")]
    assert rung(world.hear(failed(page), "by a callback, twice")) == []


def test_a_notice_that_failed_is_not_taken_for_sent_by_a_word_that_comes_late():
    world = World(silent)
    world.hear(assessed(Priority.RED))
    page = next(page for page in pages(world.log) if page.person_id == "bob")
    world.hear(failed(page))
    world.hear(sent(page))
    assert world.case.notice(page.notice_id).failed


def test_a_gap_in_a_roster_pages_the_standing_number_and_is_said():
    world = opened(directory=with_gap())
    assert rung(world.log) == [(STANDING_NUMBER, STANDING_ALARM)]
    (gap,) = [event for event in world.log if isinstance(event, NobodyOnCall)]
    assert (gap.rosters, gap.directory_version) == (("roster:nobody",), "test-1")
    assert pages(world.log)[0].centre_id == "centre"


def test_the_clinic_is_told_to_call_when_nobody_has_it_after_three_minutes_and_once():
    world = opened()
    assert not [event for event in world.wait(3 * MINUTE - SECONDS) if isinstance(event, ClinicToldToCall)]
    (told,) = [event for event in world.wait(1 * SECONDS) if isinstance(event, ClinicToldToCall)]
    assert told.number == "555-0100"
    assert not [event for event in world.wait(60 * MINUTE) if isinstance(event, ClinicToldToCall)]


def test_a_case_in_hand_tells_no_clinic_to_call():
    world = opened()
    world.hear(acknowledge())
    world.hear(asked(Confirm, diagnosis=Diagnosis.STEMI))
    assert world.wait(60 * MINUTE) == []


def test_an_owner_who_falls_asleep_is_paged_again_and_then_the_policy_goes_on():
    world = opened()
    world.hear(acknowledge("ann"))
    assert world.wait(5 * MINUTE - SECONDS) == []
    reminded = world.wait(1 * SECONDS)
    assert [(page.person_id, page.reason) for page in pages(reminded)] == [("ann", PageReason.OWNER_SILENT)]
    assert (world.case.phase, world.case.owner) == (Phase.ACKNOWLEDGED, "ann")
    assert world.wait(59 * SECONDS) == []
    released = world.wait(1 * SECONDS)
    assert kinds(released)[:2] == ["OwnerReleased", "ClinicToldToCall"]
    assert [(page.person_id, page.step) for page in pages(released)] == [("ann", 1), ("bob", 1), ("cy", 1)]
    assert (world.case.phase, world.case.owner) == (Phase.OPENED, None)


def test_an_owner_who_answers_the_second_page_keeps_the_case_for_another_five_minutes():
    world = opened()
    world.hear(acknowledge("ann"))
    world.wait(5 * MINUTE)
    assert kinds(world.hear(acknowledge("ann"), "again")) == ["Acknowledged"]
    assert world.wait(5 * MINUTE - SECONDS) == []
    assert rung(world.wait(1 * SECONDS)) == [("ann", "phone")]


def test_an_owner_who_cannot_be_reached_at_all_is_released_at_once():
    world = opened()
    world.hear(acknowledge("ann"))
    world.provider = lambda page: failed(page) if page.reason is not PageReason.STEP else None
    events = world.wait(5 * MINUTE)
    assert rung(events)[:2] == [("ann", "phone"), ("ann", "chat")]
    assert any(isinstance(event, OwnerReleased) for event in events)


@pytest.mark.parametrize("decision", [asked(Confirm, diagnosis=Diagnosis.STEMI), asked(StandDown, reason="early repolarisation")])
def test_an_owner_who_has_decided_is_left_alone(decision):
    world = opened()
    world.hear(acknowledge("ann"))
    world.hear(decision)
    assert not pages(world.wait(60 * MINUTE))


def test_when_one_acknowledges_the_others_who_were_called_are_told_each_once():
    world = opened()
    world.wait(MINUTE)
    notes = [(event.person_id, event.text) for event in world.hear(acknowledge("bob", at=world.now)) if kinds([event]) == ["NoteRequested"]]
    assert notes == [("ann", "Test Bob has it in hand: Anterior STEMI"), ("cy", "Test Bob has it in hand: Anterior STEMI")]


def test_no_two_notices_of_a_case_share_an_id_and_the_same_decision_makes_the_same_ids():
    worlds = [opened(failed), opened(failed)]
    for world in worlds:
        world.hear(acknowledge("cy"))
        world.wait(7 * MINUTE)
    ids = [[event.notice_id for event in world.log if hasattr(event, "notice_id") and "Requested" in kinds([event])[0]] for world in worlds]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == len(ids[0])


def test_a_repeat_of_a_confirmed_case_pages_its_owner_and_calls_nobody_else():
    world = opened()
    world.hear(acknowledge("ann"))
    world.hear(asked(Confirm, diagnosis=Diagnosis.STEMI))
    events = world.hear(assessed(Priority.RED, SECOND))
    assert [(page.person_id, page.reason) for page in pages(events)] == [("ann", PageReason.REPEAT_ECG)]
    assert world.case.phase is Phase.CONFIRMED


def test_a_case_rebuilt_in_the_middle_of_an_escalation_goes_on_at_the_right_step():
    world = opened()
    world.wait(MINUTE)
    world.case = rebuilt(world.log)
    assert [(page.step, page.round) for page in pages(world.wait(90 * SECONDS))] == [(2, 3), (2, 3)]


def test_every_page_says_by_which_directory_it_was_decided():
    assert {page.directory_version for page in pages(opened().wait(10 * MINUTE))} == {"test-1"}


def test_pages_carry_what_the_state_needs_so_that_it_rebuilds_without_the_directory():
    world = opened(silent)
    world.wait(7 * MINUTE)
    assert rebuilt(world.log) == world.case
    assert all(isinstance(page, PageRequested) and page.answer_by for page in pages(world.log))
