"""The life of a case in people's hands: what is done in its phase, and refused with the reason outside it."""

from datetime import timedelta

import pytest

from contracts.cases import CaseClosed, CommandRefused, NoteRequested, Said
from contracts.commands import (
    AcceptReferral,
    ActivateLab,
    CancelActivation,
    ChooseStrategy,
    CloseCase,
    Confirm,
    FinishReading,
    LinkCase,
    RecordArrival,
    RecordDeparture,
    RecordTreatment,
    Say,
    StandDown,
    TakeOver,
)
from contracts.ids import CaseId
from contracts.vocabulary import Arrival, Diagnosis, Lane, Outcome, Priority, Strategy, Treatment
from services.cases.state import Phase
from tests.unit.cases.case_world import (
    ALL,
    CASE,
    FIRST,
    MINUTE,
    SECOND,
    T0,
    World,
    acknowledge,
    asked,
    assessed,
    kinds,
    pages,
    rung,
)

IT_IS = asked(Confirm, diagnosis=Diagnosis.STEMI)


def in_hand(*commands) -> World:
    world = World()
    world.hear(assessed(Priority.RED))
    world.hear(acknowledge("ann"))
    for command in commands:
        assert "CommandRefused" not in kinds(world.hear(command)), command
    return world


def refusal(world: World, command) -> str:
    (refused,) = world.hear(command, f"refused {len(world.log)}")
    assert isinstance(refused, CommandRefused)
    return refused.reason


def test_confirming_a_case_that_nobody_has_takes_it_in_hand_with_one_thumb():
    world = World()
    world.hear(assessed(Priority.RED))
    events = world.hear(asked(Confirm, diagnosis=Diagnosis.STEMI, seen_sequence=1_000))
    assert [kind for kind in kinds(events) if kind != "NoteRequested"] == ["Acknowledged", "Confirmed"]
    assert (world.case.phase, world.case.owner) == (Phase.CONFIRMED, "ann")


def test_who_has_not_seen_the_newest_red_neither_confirms_nor_stands_it_down():
    for command in (asked(Confirm, diagnosis=Diagnosis.STEMI, seen_sequence=1), asked(StandDown, reason="noise", seen_sequence=1)):
        world = World()
        world.hear(assessed(Priority.RED))
        assert refusal(world, command).startswith("new since you looked")
        assert world.case.phase is Phase.OPENED


def test_of_two_who_press_at_once_one_owns_it_and_the_other_is_told_who():
    world = in_hand()
    assert refusal(world, acknowledge("bob")) == "Test Ann has it in hand"
    assert refusal(world, asked(Confirm, "bob", diagnosis=Diagnosis.STEMI)) == "Test Ann has it in hand: ask them, or take it over"
    assert world.case.owner == "ann"


def test_a_lab_is_activated_only_for_what_is_confirmed_and_only_once():
    world = in_hand()
    assert refusal(world, asked(ActivateLab)) == "it is not confirmed yet: confirm it, then activate the lab"
    world.hear(IT_IS)
    world.hear(asked(ActivateLab))
    assert world.case.phase is Phase.ACTIVATED
    assert refusal(world, asked(ActivateLab)) == "the lab is activated already"


def test_an_activated_case_is_not_stood_down_before_the_lab_is():
    world = in_hand(IT_IS, asked(ActivateLab))
    assert refusal(world, asked(StandDown, reason="artefact")) == "the lab is activated: cancel the activation first"


def test_a_cancelled_activation_asks_for_a_repeat_and_is_looked_at_again_or_the_policy_goes_on():
    world = in_hand(IT_IS, asked(ActivateLab))
    events = world.hear(asked(CancelActivation, reason="ST has come down"))
    assert kinds(events) == ["ActivationCancelled", "RepeatAsked"]
    assert "ST has come down" in events[1].reasons[0]
    assert events[1].reasons[1] == "do not bring the patient straight to the lab, but call 555-0100"
    assert (world.case.phase, world.case.owner) == (Phase.ACKNOWLEDGED, "ann")
    assert rung(world.wait(5 * MINUTE)) == [("ann", "phone")]
    assert "OwnerReleased" in kinds(world.wait(MINUTE))


def test_what_was_stood_down_is_said_to_the_clinic_and_a_new_red_opens_it_again():
    world = in_hand(asked(StandDown, reason="early repolarisation"))
    (said,) = [event for event in world.log if isinstance(event, Said)]
    assert "early repolarisation" in said.text
    assert world.case.phase is Phase.STOOD_DOWN
    events = world.hear(assessed(Priority.RED, SECOND))
    assert "CaseRaised" in kinds(events)
    assert {page.priority for page in pages(events)} == {Priority.RED}


def test_a_case_that_was_stood_down_closes_by_itself_when_nothing_followed():
    world = in_hand(asked(StandDown, reason="early repolarisation"))
    assert kinds(world.wait(12 * 60 * MINUTE)) == ["CaseClosed"]
    assert not world.case.is_live


@pytest.mark.parametrize("who", ["ann", "bob"])
@pytest.mark.parametrize(
    "command", [asked(Confirm, diagnosis=Diagnosis.STEMI), asked(TakeOver, reason="I see a STEMI")], ids=["confirm", "take over"]
)
def test_what_one_has_stood_down_another_takes_up_again_and_the_former_is_told(command, who):
    world = in_hand(asked(StandDown, reason="early repolarisation"))
    assert refusal(world, acknowledge(who)) == "Test Ann has stood it down: to go on with it, take it over or confirm it"
    events = world.hear(command.model_copy(update={"by": who}))
    assert [event.person_id for event in events if isinstance(event, NoteRequested)] == ["ann"] * (who != "ann")
    assert (world.case.owner, world.case.is_open) == (who, True)
    if isinstance(command, TakeOver):
        assert rung(world.wait(5 * MINUTE)) == [(who, "phone")], "nothing is decided, and it waits for them"
    assert not any(isinstance(event, CaseClosed) for event in world.wait(24 * 60 * MINUTE))


def test_the_patients_course_is_kept_in_any_order_of_decision_and_movement():
    world = in_hand(asked(RecordDeparture))
    assert world.case.phase is Phase.DEPARTED
    world.hear(IT_IS)
    world.hear(asked(ActivateLab))
    assert world.case.phase is Phase.DEPARTED
    world.hear(asked(RecordArrival, place=Arrival.LAB))
    assert world.case.phase is Phase.ARRIVED
    world.hear(asked(RecordTreatment, treatment=Treatment.PCI_WIRE))
    assert world.case.phase is Phase.TREATED
    world.hear(asked(CloseCase, outcome=Outcome.ADMITTED))
    assert (world.case.phase, world.case.is_live) == (Phase.CLOSED, False)


def test_a_patient_on_the_way_whom_nobody_has_decided_about_still_wakes_a_sleeping_owner():
    world = in_hand(asked(RecordDeparture))
    assert rung(world.wait(5 * MINUTE)) == [("ann", "phone")]
    world.wait(MINUTE)
    assert world.case.phase is Phase.OPENED
    world.hear(acknowledge("bob", at=world.now))
    assert world.case.phase is Phase.DEPARTED, "the patient has not gone back"


def test_a_lysis_at_the_clinic_is_a_bridge_and_the_case_goes_on():
    world = in_hand(IT_IS, asked(RecordTreatment, treatment=Treatment.LYSIS_BOLUS))
    assert world.case.phase is Phase.CONFIRMED


@pytest.mark.parametrize(
    "command", [asked(RecordDeparture), asked(AcceptReferral), asked(ChooseStrategy, strategy=Strategy.LYSIS), asked(ActivateLab)]
)
def test_what_needs_a_person_is_refused_while_nobody_has_the_case(command):
    world = World()
    world.hear(assessed(Priority.RED))
    assert refusal(world, command) == "nobody has it in hand: acknowledge it first"
    assert rung(world.wait(MINUTE)), "and paging goes on"


def test_a_time_that_cannot_be_is_refused():
    world = in_hand(IT_IS)
    for happened_at in (T0 + MINUTE, T0 - MINUTE):
        assert "cannot be" in refusal(world, asked(RecordDeparture, happened_at=happened_at))
    world.now += 10 * MINUTE
    world.hear(asked(RecordDeparture, happened_at=T0 + 5 * MINUTE))
    assert "cannot be" in refusal(world, asked(RecordArrival, place=Arrival.LAB, happened_at=T0 + 4 * MINUTE))


def test_messages_go_both_ways_and_neither_side_is_anybody():
    world = in_hand(asked(Say, text="give aspirin 300 mg"))
    world.hear(Say(case_id=CASE, at=T0, clinic_id="clinic", text="given"))
    assert [(event.by, event.text) for event in world.log if isinstance(event, Said)] == [("ann", "give aspirin 300 mg"), (None, "given")]
    assert "not both" in refusal(world, Say(case_id=CASE, at=T0, text="who is it?"))
    assert "no upload" in refusal(world, Say(case_id=CASE, at=T0, clinic_id="other", text="given"))


def test_a_bolus_that_is_entered_after_the_departure_keeps_its_own_time():
    world = in_hand(IT_IS)
    world.now += 20 * MINUTE
    world.hear(asked(RecordDeparture, at=world.now))
    (given,) = world.hear(asked(RecordTreatment, at=world.now, treatment=Treatment.LYSIS_BOLUS, happened_at=T0 + 5 * MINUTE))
    assert given.happened_at == T0 + 5 * MINUTE


def test_two_cases_of_one_patient_are_linked_and_both_page_on():
    world = World()
    world.hear(assessed(Priority.RED))
    assert kinds(world.hear(asked(LinkCase, other_case_id=CaseId(SECOND)))) == ["CaseLinked"]
    assert rung(world.wait(MINUTE))
    assert "itself" in refusal(world, asked(LinkCase, other_case_id=CASE))


def test_a_yellow_waits_on_the_reading_list_and_pages_when_its_time_has_passed():
    world = World()
    events = world.hear(assessed(Priority.YELLOW))
    assert kinds(events) == ["UploadAssessed", "ClinicAnswered", "ReadingListed"]
    assert world.wait(60 * MINUTE - timedelta(seconds=1)) == []
    overdue = world.wait(timedelta(seconds=1))
    assert kinds(overdue)[:2] == ["ReadingOverdue", "CaseOpened"]
    assert {page.priority for page in pages(overdue)} == {Priority.YELLOW}
    assert kinds(world.hear(asked(FinishReading, upload_id=FIRST))) == ["ReadingDone", "CaseSettled"]
    assert world.wait(60 * MINUTE) == []


def test_a_yellow_that_was_read_in_time_pages_nobody():
    world = World()
    world.hear(assessed(Priority.YELLOW, lane=Lane.ROUTINE))
    assert kinds(world.hear(asked(FinishReading, upload_id=FIRST))) == ["ReadingDone"]
    assert world.wait(48 * 60 * MINUTE) == []
    assert "not on the reading list" in refusal(world, asked(FinishReading, upload_id=FIRST))


def test_a_yellow_that_waits_to_be_read_becomes_a_red_case_with_the_next_recording():
    world = World()
    world.hear(assessed(Priority.YELLOW))
    events = world.hear(assessed(Priority.RED, SECOND))
    assert "CaseOpened" in kinds(events)
    assert not [kind for kind in kinds(world.wait(60 * MINUTE)) if kind == "CaseOpened"], "people have this patient before them"


def notes(events) -> list[tuple[str, str]]:
    return [(event.person_id, event.text) for event in events if isinstance(event, NoteRequested)]


@pytest.mark.parametrize("before", [(), (asked(RecordDeparture),), (IT_IS, asked(ActivateLab), asked(CancelActivation, reason="ST came down"))])
def test_what_nobody_has_judged_is_closed_by_its_owner_alone(before):
    world = in_hand(*before)
    assert refusal(world, asked(CloseCase, "bob", outcome=Outcome.DISCHARGED)) == "Test Ann has it in hand: ask them, or take it over"
    assert world.case.owner == "ann"
    assert rung(world.wait(5 * MINUTE)) == [("ann", "phone")], "and they are woken for it as before"
    assert kinds(world.hear(asked(CloseCase, at=world.now, outcome=Outcome.DISCHARGED))) == ["CaseClosed"]


def test_who_takes_over_what_nobody_has_judged_may_close_it():
    world = in_hand(asked(TakeOver, "bob", reason="ann has gone home"))
    assert kinds(world.hear(asked(CloseCase, "bob", outcome=Outcome.SAME_PATIENT))) == ["CaseClosed"]


@pytest.mark.parametrize("decided", [IT_IS, asked(StandDown, reason="artefact", seen_sequence=ALL)], ids=["confirmed", "stood down"])
def test_what_was_decided_is_closed_by_anybody_and_its_owner_is_told(decided):
    world = in_hand(decided)
    events = world.hear(asked(CloseCase, "bob", outcome=Outcome.NOT_AN_EMERGENCY))
    assert (kinds(events), notes(events)) == (["CaseClosed", "NoteRequested"], [("ann", "Test Bob has closed it: not an emergency")])
    assert not world.case.is_live


def test_a_stand_down_that_is_taken_back_is_said_to_the_clinic_in_the_same_decision():
    world = in_hand(asked(StandDown, reason="artefact", seen_sequence=ALL))
    (confirmed, said) = world.hear(IT_IS)
    assert (kinds([confirmed]), said.by, said.clinic_id, said.upload_id) == (["Confirmed"], "ann", "clinic", FIRST)
    assert said.text.startswith("URGENT: the stand-down is taken back: it is STEMI. Keep the patient lying and monitored")
    assert "call 555-0100 now" in said.text


@pytest.mark.parametrize(("again", "told"), [(Priority.RED, "ClinicAnswered"), (Priority.NOT_EVALUABLE, "RepeatAsked")])
def test_what_raises_a_case_that_was_stood_down_is_said_to_the_clinic(again, told):
    events = in_hand(asked(StandDown, reason="artefact", seen_sequence=ALL)).hear(assessed(again, SECOND))
    assert {"CaseRaised", told} <= set(kinds(events))


def test_the_clinic_is_told_to_bring_the_patient_straight_to_the_lab_that_awaits_them():
    world = in_hand(IT_IS)
    (_, said) = world.hear(asked(ActivateLab))
    assert said.text.startswith("The catheter lab of Test Centre awaits the patient: bring them straight to the lab, past the emergency room.")
    assert "555-0100" in said.text


def test_the_clinic_is_not_told_to_bring_a_patient_who_has_arrived():
    world = in_hand(IT_IS, asked(RecordArrival, place=Arrival.EMERGENCY_ROOM))
    assert kinds(world.hear(asked(ActivateLab))) == ["LabActivated"]


def from_clinic(world: World, text: str):
    return world.hear(Say(case_id=CASE, at=world.now, clinic_id="clinic", text=text))


def test_what_the_clinic_writes_is_told_to_the_owner_without_its_words_and_rings_once_for_what_is_written_line_by_line():
    world = in_hand(IT_IS)
    first = from_clinic(world, "Mr Test: VF! shocking")
    assert (kinds(first), notes(first)) == (["Said", "NoteRequested"], [("ann", "Test Clinic has written to you: read it in the case, and answer")])
    for second in range(1, 11):
        world.now = T0 + timedelta(seconds=second)
        assert kinds(from_clinic(world, f"line {second}")) == ["Said"]
    world.now += timedelta(seconds=1)
    assert kinds(from_clinic(world, "back in rhythm")) == ["Said", "NoteRequested"]
    world.hear(asked(TakeOver, "bob", at=world.now, reason="mine"))
    assert [person for person, _ in notes(from_clinic(world, "pain again"))] == ["bob"]


def test_what_the_clinic_writes_while_nobody_has_the_case_leaves_the_paging_as_it_is():
    world = World()
    world.hear(assessed(Priority.RED))
    assert kinds(from_clinic(world, "worse")) == ["Said"]
    assert rung(world.wait(MINUTE))
