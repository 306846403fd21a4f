"""What comes in while a case is open, decided or over: it is paged for what it is, puts nothing off, and is never closed unseen."""

from datetime import timedelta
from uuid import uuid5

import pytest

from contracts.cases import (
    CaseOpened,
    CaseRaised,
    CaseSettled,
    ClinicAnswered,
    ClinicToldToCall,
    CommandRefused,
    OwnerReleased,
    PageReason,
    StrategyProposed,
)
from contracts.commands import (
    ActivateLab,
    CancelActivation,
    CloseCase,
    Confirm,
    FinishReading,
    OfferHandOver,
    RecordTreatment,
    StandDown,
)
from contracts.directory import Directory
from contracts.ids import UploadId
from contracts.vocabulary import Diagnosis, Outcome, Priority, Treatment
from services.cases.state import Phase
from services.cases.timers import timers
from tests.unit.cases.case_world import (
    ALL,
    CASE,
    DIRECTORY,
    ESCALATING,
    FIRST,
    MINUTE,
    SECOND,
    T0,
    THIRD,
    World,
    acknowledge,
    asked,
    assessed,
    failed,
    kinds,
    pages,
    rung,
    sent,
    uploaded,
)

HOUR = timedelta(hours=1)
STEMI = {"diagnosis": Diagnosis.STEMI, "seen_sequence": ALL}


def raised(world: World, priority: Priority, upload=SECOND):
    return world.hear(assessed(priority, upload, at=world.now))


def confirmed(priority: Priority = Priority.RED) -> World:
    world = World()
    world.hear(assessed(priority))
    if priority is Priority.YELLOW:
        world.wait(HOUR + MINUTE)
    world.hear(asked(Confirm, at=world.now, **STEMI))
    world.now += MINUTE
    return world


@pytest.mark.parametrize("again", [Priority.NOT_EVALUABLE, Priority.RED])
def test_recordings_that_come_again_and_again_put_off_neither_the_next_step_nor_that_the_clinic_is_told_to_call(again):
    world = World(directory=ESCALATING)
    world.hear(assessed(again))
    events = []
    for number in range(8):
        events += world.wait(timedelta(seconds=25))
        events += raised(world, again, uploaded().upload_id if number == 0 else SECOND if number % 2 else THIRD)
    assert [event.at - T0 for event in events if isinstance(event, ClinicToldToCall)] == [3 * MINUTE]
    assert {page.step for page in pages(events)} >= {0, 1, 2}


def test_what_is_worse_than_a_yellow_begins_the_escalation_of_its_own_priority():
    world = World(directory=ESCALATING)
    world.hear(assessed(Priority.YELLOW))
    world.wait(HOUR + 2 * MINUTE)
    assert {page.step for page in pages(raised(world, Priority.RED))} == {0}
    assert any(isinstance(event, ClinicToldToCall) for event in world.wait(3 * MINUTE))


def test_when_the_owner_of_a_yellow_sleeps_through_its_red_the_policy_of_a_red_begins_at_its_first_step():
    world = World(directory=ESCALATING)
    world.hear(assessed(Priority.YELLOW))
    world.wait(HOUR + 2 * MINUTE)
    world.hear(asked(Confirm, at=world.now, **STEMI))
    raised(world, Priority.RED)
    steps = [page.step for page in pages(world.wait(6 * MINUTE)) if page.reason is PageReason.STEP]
    assert steps == [0, 0]


@pytest.mark.parametrize("opened_for", [Priority.YELLOW, Priority.NOT_EVALUABLE, Priority.RED])
def test_a_red_for_a_confirmed_case_pages_its_owner_as_a_red_until_they_answer_and_then_the_policy(opened_for):
    world = confirmed(opened_for)
    first = pages(raised(world, Priority.RED))
    assert [(page.person_id, page.reason, page.priority) for page in first] == [("ann", PageReason.REPEAT_ECG, Priority.RED)]
    assert (world.case.phase, world.case.owner) == (Phase.CONFIRMED, "ann")
    reminded = world.wait(5 * MINUTE)
    assert [page.reason for page in pages(reminded)] == [PageReason.OWNER_SILENT]
    released = world.wait(MINUTE)
    assert any(isinstance(event, OwnerReleased) for event in released)
    assert {person for person, _ in rung(released)} >= {"ann", "bob"}
    world.hear(acknowledge("bob", at=world.now))
    assert (world.case.phase, world.case.diagnosis) == (Phase.CONFIRMED, Diagnosis.STEMI)


def test_an_owner_who_acknowledges_the_new_red_keeps_the_case_as_they_decided_it():
    world = confirmed()
    raised(world, Priority.RED)
    assert kinds(world.hear(acknowledge(at=world.now))) == ["Acknowledged"]
    assert pages(world.wait(HOUR)) == []
    assert world.case.phase is Phase.CONFIRMED


def test_an_owner_who_cannot_be_reached_about_a_new_red_is_not_waited_for():
    world = confirmed()
    world.provider = failed
    assert any(isinstance(event, OwnerReleased) for event in raised(world, Priority.RED))
    assert "bob" in {person for person, _ in rung(world.log[-20:])}


@pytest.mark.parametrize(
    "command",
    [
        asked(StandDown, reason="an artefact", seen_sequence=2),
        asked(Confirm, diagnosis=Diagnosis.ARRHYTHMIA, seen_sequence=2),
        acknowledge(seen=2),
        asked(CloseCase, by="bob", outcome=Outcome.DISCHARGED),
    ],
    ids=["stand down", "confirm", "acknowledge", "close"],
)
def test_nobody_ends_a_confirmed_case_without_having_seen_its_new_red(command):
    world = confirmed()
    raised(world, Priority.RED)
    (refused,) = world.hear(command.model_copy(update={"at": world.now}))
    assert isinstance(refused, CommandRefused)
    assert "new since you looked" in refused.reason


@pytest.mark.parametrize("seen_by", ["ann", "bob"])
def test_a_treatment_is_noted_whatever_is_new_and_ends_the_case_once_that_was_seen(seen_by):
    world = confirmed()
    raised(world, Priority.RED)
    assert kinds(world.hear(asked(RecordTreatment, "bob", world.now, treatment=Treatment.PCI_WIRE))) == ["Treated"]
    assert world.case.is_open
    if seen_by != "ann":
        assert any(isinstance(event, OwnerReleased) for event in world.wait(6 * MINUTE))
    assert kinds(world.hear(acknowledge(seen_by, at=world.now)))[0] == "Acknowledged"
    assert world.case.phase is Phase.TREATED
    assert pages(world.wait(13 * HOUR)) == []


@pytest.mark.parametrize("again", [Priority.NOT_EVALUABLE, Priority.RED])
def test_recordings_that_come_again_and_again_let_no_owner_of_a_confirmed_case_sleep(again):
    world = confirmed()
    events = []
    for number in range(3):
        events += raised(world, again, UploadId(uuid5(CASE, str(number))))
        events += world.wait(2 * MINUTE)
    assert [page.reason for page in pages(events)].count(PageReason.OWNER_SILENT) == 1
    assert sum(isinstance(event, OwnerReleased) for event in events) == 1
    assert "bob" in {person for person, _ in rung(events)}


def test_a_new_red_takes_nothing_from_whom_a_hand_over_is_offered_to():
    world = confirmed()
    world.provider = lambda _: None
    world.hear(asked(OfferHandOver, at=world.now, to_person="bob"))
    before = {name for name in timers(world.case) if name.startswith("method/")}
    raised(world, Priority.RED)
    assert before < timers(world.case).keys()


def test_a_red_after_a_course_that_is_over_gets_its_own_clock_and_headline():
    world = World()
    world.hear(assessed(Priority.RED))
    world.hear(asked(StandDown, reason="an artefact", seen_sequence=ALL))
    world.now += 10 * HOUR
    events = raised(world, Priority.RED)
    assert [event.first_contact_at for event in events if isinstance(event, StrategyProposed)] == [world.now]
    assert {page.received_at for page in pages(events)} == {world.now}


def test_a_red_of_before_the_stand_down_that_is_judged_after_it_is_in_every_headline():
    world = World()
    world.hear(assessed(Priority.RED))
    world.now += MINUTE
    received_at = world.now
    world.hear(uploaded(SECOND, received_at))
    world.now += timedelta(seconds=1)
    world.hear(asked(StandDown, at=world.now, reason="an artefact", seen_sequence=ALL))
    world.now += timedelta(seconds=1)
    world.hear(assessed(Priority.RED, SECOND, at=received_at))
    world.now += timedelta(seconds=1)
    after = pages(raised(world, Priority.NOT_EVALUABLE, THIRD)) + pages(world.wait(MINUTE))
    assert {(page.upload_id, page.headline.split(";")[0]) for page in after} == {(SECOND, "Anterior STEMI")}


def test_a_red_long_after_a_treatment_goes_to_the_centre_that_takes_patients_by_then():
    world = confirmed()
    world.hear(asked(RecordTreatment, at=world.now, treatment=Treatment.PCI_WIRE))
    world.now += timedelta(days=60)
    world.directory = DIRECTORY.model_copy(update={"centres": {"city": DIRECTORY.centres["city"]}})
    assert "CaseOpened" in kinds(raised(world, Priority.RED))
    assert world.case.centre_id == "city"


def test_a_cancelled_activation_is_looked_at_again_by_a_person_whatever_the_repeat_shows():
    world = World()
    world.hear(assessed(Priority.NOT_EVALUABLE))
    for command in (asked(Confirm, **STEMI), asked(ActivateLab), asked(CancelActivation, reason="ST came down")):
        world.hear(command)
    world.now += MINUTE
    assert "CaseSettled" not in kinds(raised(world, Priority.GREEN))
    assert any(page.reason is PageReason.OWNER_SILENT for page in pages(world.wait(5 * MINUTE)))


def test_reading_a_yellow_closes_nothing_that_a_physician_has_confirmed():
    world = confirmed(Priority.YELLOW)
    world.hear(asked(ActivateLab, at=world.now))
    world.hear(asked(FinishReading, by="cy", at=world.now, upload_id=FIRST))
    assert world.case.phase is Phase.ACTIVATED


def test_a_lower_reading_of_a_red_is_not_told_to_the_clinic():
    world = World()
    world.hear(assessed(Priority.RED))
    assert not any(isinstance(event, ClinicAnswered) for event in world.hear(assessed(Priority.GREEN), "another rulebook"))
    assert world.case.priority is Priority.RED


def test_of_two_yellows_that_nobody_read_in_time_both_are_to_be_read_before_the_case_is_settled():
    world = World()
    world.hear(assessed(Priority.YELLOW))
    world.now += MINUTE
    raised(world, Priority.YELLOW)
    world.wait(HOUR + MINUTE)
    assert kinds(world.hear(asked(FinishReading, at=world.now, upload_id=FIRST))) == ["ReadingDone"]
    assert kinds(world.hear(asked(FinishReading, at=world.now, upload_id=SECOND))) == ["ReadingDone", "CaseSettled"]


def test_a_yellow_that_comes_or_falls_due_in_a_case_that_settles_is_read_all_the_same():
    world = World()
    world.hear(assessed(Priority.YELLOW))
    world.wait(HOUR - MINUTE)
    raised(world, Priority.NOT_EVALUABLE)
    world.wait(2 * MINUTE)
    settled = raised(world, Priority.GREEN, THIRD)
    assert any(isinstance(event, CaseSettled) for event in settled)
    overdue = world.wait(MINUTE)
    assert kinds(overdue)[:2] == ["ReadingOverdue", "CaseOpened"]
    assert {page.priority for page in pages(overdue)} == {Priority.YELLOW}


def test_a_yellow_that_fell_due_while_a_red_was_stood_down_is_listed_again():
    world = World()
    world.hear(assessed(Priority.YELLOW))
    world.wait(HOUR - MINUTE)
    raised(world, Priority.RED)
    world.hear(acknowledge(at=world.now))
    world.wait(2 * MINUTE)
    stood_down = world.hear(asked(StandDown, at=world.now, reason="an artefact", seen_sequence=ALL))
    assert kinds(stood_down) == ["StoodDown", "Said", "ReadingListed"]
    assert pages(world.wait(HOUR + MINUTE))


def test_a_yellow_that_a_physician_had_before_them_when_they_treated_pages_nobody_later():
    world = World()
    world.hear(assessed(Priority.YELLOW))
    raised(world, Priority.RED)
    world.hear(asked(Confirm, at=world.now, **STEMI))
    world.hear(asked(RecordTreatment, at=world.now, treatment=Treatment.PCI_WIRE))
    assert pages(world.wait(2 * HOUR)) == []


def test_a_case_that_is_stood_down_twice_closes_twice():
    world = World()
    world.hear(assessed(Priority.YELLOW))
    for _ in range(2):
        world.wait(HOUR + MINUTE)
        world.hear(asked(StandDown, at=world.now, reason="looked at", seen_sequence=ALL))
        assert world.case.phase is Phase.STOOD_DOWN
        world.wait(13 * HOUR)
        assert world.case.phase is Phase.CLOSED
        raised(world, Priority.YELLOW)


QUIET_FIRST: Directory = DIRECTORY.model_copy(
    update={"people": DIRECTORY.people | {"ann": DIRECTORY.people["ann"].model_copy(update={"methods": {"chat": False, "phone": True}})}}
)


def test_who_does_not_take_a_red_in_hand_by_a_method_that_is_silent_is_rung_from_the_next_round_on():
    world = World(sent, QUIET_FIRST)
    first = rung(world.hear(assessed(Priority.RED)))
    assert ("ann", "chat") in first
    later = rung(world.wait(10 * MINUTE))
    assert {method for person, method in later if person == "ann"} == {"phone"}


def test_a_repeat_does_not_begin_the_minutes_anew_that_a_page_tells():
    world = World()
    world.hear(assessed(Priority.NOT_EVALUABLE))
    for upload in (SECOND, THIRD):
        world.wait(4 * MINUTE)
        events = raised(world, Priority.RED, upload)
        assert {page.received_at for page in pages(events)} == {T0}
        assert {event.received_at for event in events if isinstance(event, CaseRaised)} == {T0}
    world.hear(asked(Confirm, at=world.now, **STEMI))
    world.wait(4 * MINUTE)
    assert {page.received_at for page in pages(raised(world, Priority.RED, UploadId(CASE)))} == {T0}, "who keeps it is told the same"


def test_a_red_after_a_treatment_and_one_after_what_only_waited_to_be_read_tell_their_own_minutes():
    treated = confirmed()
    treated.hear(asked(RecordTreatment, at=treated.now, treatment=Treatment.PCI_WIRE))
    treated.now += 13 * HOUR
    read = World()
    read.hear(assessed(Priority.YELLOW))
    read.wait(HOUR + MINUTE)
    for world in (treated, read):
        assert {page.received_at for page in pages(raised(world, Priority.RED))} == {world.now}
    (opened,) = [event for event in treated.log[-10:] if isinstance(event, CaseOpened)]
    assert opened.received_at == treated.now
