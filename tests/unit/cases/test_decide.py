"""What follows from each message, one promise a test."""

from datetime import timedelta

from contracts.cases import CaseOpened, ClinicAnswered, CommandRefused, PageRequested, RepeatAsked
from contracts.ids import UploadId
from contracts.vocabulary import Lane, Priority
from services.cases.state import Phase
from services.cases.timers import timers
from tests.unit.cases.case_world import (
    CASE,
    DIRECTORY,
    FIRST,
    MINUTE,
    SECOND,
    T0,
    THIRD,
    World,
    acknowledge,
    assessed,
    kinds,
    open_unread,
    page_again,
    seen_in,
    uploaded,
)


def pages(events: list) -> list[tuple[str, int, Priority]]:
    return [(event.person_id, event.round, event.priority) for event in events if isinstance(event, PageRequested)]


def headlines(events: list) -> list[str]:
    return [event.headline for event in events if isinstance(event, PageRequested)]


def test_a_red_opens_a_channel_pages_all_on_call_and_tells_the_clinic_whom_to_call():
    world = World()
    world.hear(uploaded())
    events = world.hear(assessed(Priority.RED))
    assert kinds(events) == ["UploadAssessed", "CaseOpened", "StrategyProposed", "PageRequested", "PageRequested", "ClinicAnswered"]
    assert pages(events) == [("ann", 1, Priority.RED), ("bob", 1, Priority.RED)]
    assert isinstance(events[1], CaseOpened)
    assert (events[1].centre_id, events[1].centre_number, events[1].headline) == ("centre", "555-0100", "Anterior STEMI")
    assert isinstance(events[-1], ClinicAnswered)
    assert "555-0100" in events[-1].text


def test_two_people_paged_by_one_decision_get_notices_of_their_own():
    notices = [event.notice_id for event in World().hear(assessed(Priority.RED)) if isinstance(event, PageRequested)]
    assert len(set(notices)) == len(notices) == 2


def test_a_page_is_repeated_every_minute_until_somebody_acknowledges():
    world = World()
    world.hear(assessed(Priority.RED))
    assert pages(world.wait(3 * MINUTE)) == [(person, round_, Priority.RED) for round_ in (2, 3, 4) for person in ("ann", "bob")]
    world.hear(acknowledge("bob"))
    assert world.wait(5 * MINUTE - timedelta(seconds=1)) == []
    assert (world.case.phase, world.case.owner) == (Phase.ACKNOWLEDGED, "bob")


def test_an_upload_that_is_not_read_in_time_pages_people_and_its_late_assessment_joins():
    world = World()
    world.hear(uploaded())
    assert world.wait(timedelta(seconds=59)) == []
    missed = world.wait(timedelta(seconds=1))
    assert kinds(missed) == ["AssessmentMissed", "CaseOpened", "PageRequested", "PageRequested"]
    assert pages(missed)[0][2] is Priority.NOT_EVALUABLE
    late = world.hear(assessed(Priority.RED))
    assert kinds(late) == ["UploadAssessed", "CaseRaised", "StrategyProposed", "PageRequested", "PageRequested", "ClinicAnswered"]
    assert {page[1:] for page in pages(late)} == {(2, Priority.RED)}


def test_a_late_assessment_that_finds_nothing_settles_what_was_opened_unread():
    world = World()
    world.hear(uploaded())
    world.wait(MINUTE)
    assert kinds(world.hear(assessed(Priority.GREEN))) == ["UploadAssessed", "ClinicAnswered", "CaseSettled"]
    assert world.wait(60 * MINUTE) == []


def test_an_assessment_that_comes_before_its_upload_leaves_no_timer():
    world = World()
    world.hear(assessed(Priority.GREEN))
    assert kinds(world.hear(uploaded())) == ["UploadReceived"]
    assert timers(world.case) == {}
    assert not world.case.is_live


def test_an_emergency_that_cannot_be_judged_pages_people_and_asks_the_clinic_to_record_again():
    world = World()
    world.hear(uploaded())
    events = world.hear(assessed(Priority.NOT_EVALUABLE))
    assert kinds(events) == ["UploadAssessed", "CaseOpened", "PageRequested", "PageRequested", "RepeatAsked"]
    assert isinstance(events[-1], RepeatAsked)
    assert events[-1].reasons == ("V3 is loose: press it on and record again",)
    assert pages(world.wait(MINUTE)) == [("ann", 2, Priority.NOT_EVALUABLE), ("bob", 2, Priority.NOT_EVALUABLE)]


def test_an_evaluable_repeat_settles_the_case_of_an_unreadable_one():
    world = World()
    world.hear(assessed(Priority.NOT_EVALUABLE))
    world.hear(uploaded(SECOND))
    assert kinds(world.hear(assessed(Priority.YELLOW, SECOND))) == ["UploadAssessed", "ClinicAnswered", "CaseSettled", "ReadingListed"]
    assert (world.case.phase, world.wait(59 * MINUTE)) == (Phase.CLOSED, [])


def test_a_case_is_not_settled_while_another_recording_of_the_patient_is_awaited():
    world = World()
    world.hear(assessed(Priority.NOT_EVALUABLE))
    world.hear(acknowledge())
    world.hear(uploaded(SECOND))
    assert "CaseSettled" not in kinds(world.hear(assessed(Priority.GREEN)))
    assert "CaseSettled" in kinds(world.hear(assessed(Priority.GREEN, SECOND)))


def test_a_red_repeat_pages_again_although_the_unreadable_one_was_acknowledged():
    world = World()
    world.hear(assessed(Priority.NOT_EVALUABLE))
    world.hear(acknowledge())
    events = world.hear(assessed(Priority.RED, SECOND))
    assert {page[1:] for page in pages(events)} == {(3, Priority.RED)}
    assert (world.case.phase, world.case.owner) == (Phase.OPENED, None)


def test_a_green_repeat_does_not_settle_a_red():
    world = World()
    world.hear(assessed(Priority.RED))
    assert kinds(world.hear(assessed(Priority.GREEN, SECOND))) == ["UploadAssessed", "ClinicAnswered"]
    assert pages(world.wait(MINUTE))


def test_routine_green_yellow_and_unreadable_answer_the_clinic_and_page_nobody():
    answers = {Priority.GREEN: ["ClinicAnswered"], Priority.YELLOW: ["ClinicAnswered", "ReadingListed"], Priority.NOT_EVALUABLE: ["RepeatAsked"]}
    for priority, answer in answers.items():
        world = World()
        assert kinds(world.hear(assessed(priority, lane=Lane.ROUTINE))) == ["UploadAssessed", *answer]
        assert world.wait(60 * MINUTE) == []


def test_a_red_in_the_routine_lane_pages_all_the_same():
    assert pages(World().hear(assessed(Priority.RED, lane=Lane.ROUTINE)))


def test_a_green_never_tells_the_clinic_that_all_is_well():
    answer = World().hear(assessed(Priority.GREEN))[-1]
    assert isinstance(answer, ClinicAnswered)
    assert "not a diagnosis" in answer.text


def test_who_acknowledges_second_is_told_who_has_it():
    world = World()
    world.hear(assessed(Priority.RED))
    world.hear(acknowledge("ann"))
    (refused,) = world.hear(acknowledge("bob"))
    assert isinstance(refused, CommandRefused)
    assert (refused.by, refused.reason) == ("bob", "Test Ann has it in hand")
    assert world.case.owner == "ann"


def test_the_timer_of_an_earlier_round_pages_nobody_and_leaves_an_event():
    world = World()
    world.hear(assessed(Priority.RED))
    world.wait(MINUTE)
    assert kinds(world.hear(page_again(1))) == ["CommandRefused"]


def test_the_timer_of_an_upload_that_was_assessed_in_time_opens_nothing():
    world = World()
    world.hear(uploaded())
    world.hear(assessed(Priority.GREEN))
    assert kinds(world.hear(open_unread())) == ["CommandRefused"]
    assert not world.case.is_open


def test_a_command_to_a_case_that_never_was_is_refused_and_begins_nothing():
    world = World()
    assert kinds(world.hear(acknowledge())) == ["CommandRefused"]
    assert not world.case.is_live


def test_time_never_runs_backwards_for_a_case():
    world = World()
    world.now = T0 + 5 * MINUTE
    world.hear(assessed(Priority.RED))
    world.now = T0
    assert {event.at for event in world.hear(acknowledge())} == {T0 + 5 * MINUTE}


def test_a_clinic_that_left_the_directory_still_reaches_somebody():
    world = World()
    message = assessed(Priority.RED).model_copy(update={"clinic_id": "gone"})
    assert "gone" not in DIRECTORY.clinics
    assert [person for person, *_ in pages(world.hear(message))] == ["ann", "bob"]


def test_the_upload_of_a_timer_is_the_one_that_the_page_names():
    world = World()
    world.hear(assessed(Priority.GREEN))
    world.hear(uploaded(SECOND))
    paged = [event for event in world.wait(MINUTE) if isinstance(event, PageRequested)]
    assert {event.upload_id for event in paged} == {SECOND}
    assert FIRST not in {event.upload_id for event in paged}


def test_a_new_red_of_a_patient_whose_case_was_acknowledged_pages_again():
    world = World()
    world.hear(assessed(Priority.RED))
    world.hear(acknowledge())
    events = world.hear(assessed(Priority.RED, SECOND))
    assert kinds(events) == ["UploadAssessed", "CaseRaised", "PageRequested", "PageRequested", "ClinicAnswered"]
    assert (world.case.phase, world.case.owner) == (Phase.OPENED, None)


def test_what_cannot_be_read_pages_again_in_an_acknowledged_case_and_never_lowers_a_red():
    for second, reason in ((assessed(Priority.NOT_EVALUABLE, SECOND), "V3 is loose"), (uploaded(SECOND), "not read in time")):
        world = World()
        world.hear(assessed(Priority.RED))
        world.hear(acknowledge())
        events = world.hear(second) + world.wait(MINUTE)
        assert {page[2] for page in pages(events)} == {Priority.RED}
        assert all("Anterior STEMI" in text and reason in text for text in headlines(events))
        world.hear(assessed(Priority.GREEN, SECOND))
        assert world.case.is_open


def test_the_late_assessment_of_an_unread_upload_that_was_acknowledged_pages_only_if_it_is_worse():
    world = World()
    world.hear(uploaded())
    world.wait(MINUTE)
    world.hear(acknowledge())
    assert pages(world.hear(assessed(Priority.NOT_EVALUABLE))) == []
    assert world.case.phase is Phase.ACKNOWLEDGED


def test_neither_a_check_up_nor_an_older_recording_settles_what_could_not_be_read():
    for answer in (
        assessed(Priority.GREEN, SECOND, lane=Lane.ROUTINE, at=T0 + MINUTE),
        assessed(Priority.GREEN, SECOND, at=T0 - MINUTE),
    ):
        world = World()
        world.hear(assessed(Priority.NOT_EVALUABLE))
        assert "CaseSettled" not in kinds(world.hear(answer))
        assert pages(world.wait(MINUTE))


def test_a_gateway_whose_clock_runs_ahead_delays_nobody():
    world = World()
    world.hear(uploaded(at=T0 + 60 * MINUTE))
    assert kinds(world.wait(MINUTE))[:2] == ["AssessmentMissed", "CaseOpened"]


def test_a_reason_that_is_longer_than_a_headline_is_cut_and_pages_people():
    told = assessed(Priority.NOT_EVALUABLE)
    problem = told.quality.problems[0].model_copy(update={"text": "x" * 400})
    events = World().hear(told.model_copy(update={"quality": told.quality.model_copy(update={"problems": (problem,)})}))
    assert {event.headline for event in events if isinstance(event, PageRequested)} == {"x" * 300}


def test_an_upload_that_is_heard_of_late_still_gets_time_to_be_read():
    world = World()
    world.now = T0 + 5 * MINUTE  # sent again after an outage: received long ago, and heard of only now
    world.hear(uploaded())
    assert world.wait(timedelta(seconds=14)) == []
    assert "AssessmentMissed" in kinds(world.wait(timedelta(seconds=1)))


def test_an_acknowledgement_of_what_came_before_a_red_does_not_silence_it_whichever_is_heard_first():
    for red_first in (True, False):
        world = World()
        world.hear(assessed(Priority.NOT_EVALUABLE))
        press = acknowledge(at=T0 + timedelta(seconds=5), seen=seen_in(world.log))
        red = assessed(Priority.RED, SECOND)
        for told in (red, press) if red_first else (press, red):
            world.now += timedelta(seconds=6)
            heard = world.hear(told)
        assert world.case.phase is Phase.OPENED
        assert len(pages(world.wait(10 * MINUTE))) == 20
        if red_first:
            (refused,) = heard
            assert isinstance(refused, CommandRefused)
            assert refused.reason == "new since you looked: Anterior STEMI. Look at the case again, then acknowledge it"
        assert kinds(world.hear(acknowledge(seen=seen_in(world.log))))[0] == "Acknowledged"


def test_an_acknowledgement_that_does_not_say_what_was_seen_counts_only_for_what_was_raised_well_before_it():
    world = World()
    world.hear(assessed(Priority.NOT_EVALUABLE))
    world.now += MINUTE
    world.hear(assessed(Priority.RED, SECOND))
    world.now += MINUTE
    for after_s in (-10, 0, 5):
        pressed = T0 + MINUTE + timedelta(seconds=after_s)
        assert kinds(world.hear(acknowledge(at=pressed, seen=None))) == ["CommandRefused"]
    assert kinds(world.hear(acknowledge(at=T0 + MINUTE + timedelta(seconds=6), seen=None)))[0] == "Acknowledged"


def test_a_second_red_or_unreadable_one_pages_at_once_though_nobody_acknowledged_the_first():
    """Somebody may be pressing for the first just now: what was not seen must be told by itself."""
    for first in (Priority.RED, Priority.NOT_EVALUABLE):
        for second in (Priority.RED, Priority.NOT_EVALUABLE):
            world = World()
            world.hear(assessed(first))
            seen = seen_in(world.log)
            assert pages(world.hear(assessed(second, SECOND)))
            assert kinds(world.hear(acknowledge(seen=seen))) == ["CommandRefused"]


def test_an_older_green_does_not_settle_while_a_newer_emergency_recording_cannot_be_judged_or_was_not_read():
    def story(newer) -> World:
        world = World()
        world.hear(assessed(Priority.NOT_EVALUABLE))
        newer(world)
        assert "CaseSettled" not in kinds(world.hear(assessed(Priority.GREEN, THIRD, at=T0 + timedelta(seconds=10))))
        assert pages(world.wait(MINUTE))
        return world

    later = T0 + timedelta(seconds=20)

    def missed(world: World) -> None:
        world.hear(uploaded(SECOND, later))
        world.wait(2 * MINUTE)

    story(lambda world: world.hear(assessed(Priority.NOT_EVALUABLE, SECOND, at=later)))
    story(missed)
    story(lambda world: world.hear(uploaded(SECOND, later)))
    world = story(lambda world: world.hear(assessed(Priority.NOT_EVALUABLE, SECOND, at=later)))
    assert "CaseSettled" in kinds(world.hear(assessed(Priority.GREEN, UploadId(CASE), at=later + MINUTE)))


def test_once_the_reason_is_known_the_next_round_says_it_instead_of_not_read_in_time():
    world = World()
    world.hear(uploaded())
    assert all("not read in time" in text for text in headlines(world.wait(MINUTE)))
    assert "CaseRaised" not in kinds(world.hear(assessed(Priority.NOT_EVALUABLE)))
    rounds = headlines(world.wait(2 * MINUTE))
    assert len(rounds) == 4
    assert set(rounds) == {"V3 is loose: press it on and record again"}


def test_a_repeat_that_was_taken_in_hand_unread_pages_as_soon_as_it_is_a_red():
    world = World()
    world.hear(assessed(Priority.RED))
    world.hear(acknowledge())
    world.hear(uploaded(SECOND))
    assert all("not read in time" in text for text in headlines(world.wait(MINUTE)))
    world.hear(acknowledge(at=T0 + MINUTE))
    events = world.hear(assessed(Priority.RED, SECOND))
    assert headlines(events) == ["Anterior STEMI", "Anterior STEMI"]
    assert {event.upload_id for event in events if isinstance(event, PageRequested)} == {SECOND}


def test_a_page_for_a_red_names_the_red_and_its_minutes_though_a_later_recording_cannot_be_judged():
    world = World()
    world.hear(assessed(Priority.RED))
    world.now += MINUTE
    paged = [event for event in world.hear(assessed(Priority.NOT_EVALUABLE, SECOND, at=world.now)) if isinstance(event, PageRequested)]
    assert {(page.upload_id, page.received_at, page.priority) for page in paged} == {(FIRST, T0, Priority.RED)}
    assert {page.headline for page in paged} == {"Anterior STEMI; another recording: V3 is loose: press it on and record again"}


def test_a_red_that_a_later_rulebook_takes_for_less_is_still_paged_as_the_red_that_it_was():
    world = World()
    world.hear(assessed(Priority.RED))
    world.hear(assessed(Priority.GREEN))
    rounds = world.wait(MINUTE)
    assert set(headlines(rounds)) == {"Anterior STEMI"}
    assert {page[2] for page in pages(rounds)} == {Priority.RED}


def test_the_reason_of_a_recording_that_was_answered_meanwhile_pages_nobody():
    world = World()
    world.hear(uploaded())
    world.wait(MINUTE)
    world.hear(assessed(Priority.GREEN, SECOND, at=world.now))
    assert world.case.phase is Phase.CLOSED
    assert kinds(world.hear(assessed(Priority.NOT_EVALUABLE))) == ["UploadAssessed", "RepeatAsked"]
    assert pages(world.hear(assessed(Priority.RED)))
