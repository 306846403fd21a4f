"""When the strategy clock is told again while a case goes on: it never stands at what held an hour ago, and says nothing twice."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.cases import CaseEvents, NoteRequested, StrategyProposed
from contracts.commands import AcceptHandOver, ChooseStrategy, Confirm, OfferHandOver, RecordDeparture, RecordTreatment, StandDown, TakeOver
from contracts.intake import EcgUploaded
from contracts.vocabulary import Diagnosis, Priority, Strategy, Treatment
from services.cases.strategy import propose
from tests.unit.cases.case_world import ALL, MINUTE, SECOND, THIRD, World, acknowledge, asked, assessed, kinds, uploaded

LATE = 60 * MINUTE  # 35 min on the way, 30 to leave and 30 from arrival: by then the wire cannot cross within 120
STEMI = {"diagnosis": Diagnosis.STEMI, "seen_sequence": ALL}


def paged(*owners: str) -> World:
    world = World()
    world.hear(uploaded())
    world.hear(assessed(Priority.RED))
    for owner in owners:
        world.hear(acknowledge(owner))
    return world


def proposed(events: list[CaseEvents]) -> list[Strategy]:
    return [event.strategy for event in events if isinstance(event, StrategyProposed)]


def notes(events: list[CaseEvents]) -> list[tuple[str, str]]:
    return [(event.person_id, event.text) for event in events if isinstance(event, NoteRequested)]


def corrected(first_contact_at: datetime, at: datetime) -> EcgUploaded:
    return uploaded(SECOND, at).model_copy(update={"first_medical_contact_at": first_contact_at})


@pytest.mark.parametrize("command", [acknowledge(), asked(Confirm, **STEMI)], ids=["acknowledge", "confirm"])
def test_who_takes_a_red_in_hand_that_nobody_had_for_an_hour_is_told_that_lysis_is_due(command):
    world = paged()
    world.wait(LATE)
    events = world.hear(command.model_copy(update={"at": world.now}))
    assert proposed(events) == [Strategy.LYSIS]
    ((person, text),) = [note for note in notes(events) if "proposed" in note[1]]
    assert person == "ann"
    assert text.startswith("Now lysis is proposed, not primary PCI any more: ")


def test_who_confirms_takes_over_or_accepts_when_the_time_has_run_out_is_told_what_is_due_by_then():
    for commands in (
        [asked(Confirm, **STEMI)],
        [asked(TakeOver, "bob", reason="mine")],
        [asked(OfferHandOver, to_person="bob"), asked(AcceptHandOver, "bob")],
    ):
        world = paged("ann")
        world.now += LATE
        events = [event for command in commands for event in world.hear(command.model_copy(update={"at": world.now}))]
        assert proposed(events) == [Strategy.LYSIS]
        assert (world.case.owner, "Now lysis is proposed") in [(person, text[:21]) for person, text in notes(events)]


def test_a_corrected_first_contact_turns_the_clock_before_its_recording_is_judged_and_the_owner_is_told():
    world = paged("ann")
    world.now += MINUTE
    events = world.hear(corrected(world.now - 110 * MINUTE, world.now))
    assert proposed(events) == [Strategy.LYSIS]
    assert [person for person, _ in notes(events)] == ["ann"]
    assert proposed(world.hear(assessed(Priority.GREEN, SECOND, at=world.now))) == []


def test_an_earlier_first_contact_that_changes_no_strategy_is_proposed_anew_and_rings_nobody():
    world = paged("ann")
    world.now += MINUTE
    (said, *others) = [event for event in world.hear(corrected(world.now - 10 * MINUTE, world.now)) if kinds([event]) != ["UploadReceived"]]
    assert isinstance(said, StrategyProposed)
    assert (said.strategy, said.first_contact_at, others) == (Strategy.PRIMARY_PCI, world.now - 10 * MINUTE, [])


def test_a_repeat_red_turns_the_clock_which_counts_from_the_first_receipt():
    world = paged()
    world.wait(LATE)
    events = world.hear(assessed(Priority.RED, SECOND, at=world.now))
    assert proposed(events) == [Strategy.LYSIS]
    assert {event.first_contact_at for event in events if isinstance(event, StrategyProposed)} == {world.now - LATE}


def test_the_same_proposal_is_not_made_again_for_a_few_minutes_more():
    world = paged()
    world.wait(10 * MINUTE)
    world.hear(assessed(Priority.RED, SECOND, at=world.now))
    for command in (acknowledge(at=world.now), asked(Confirm, at=world.now, **STEMI), asked(TakeOver, "bob", at=world.now, reason="mine")):
        world.hear(command)
    assert proposed(world.log) == [Strategy.PRIMARY_PCI]


@pytest.mark.parametrize(
    "command",
    [
        asked(ChooseStrategy, strategy=Strategy.PRIMARY_PCI),
        asked(RecordTreatment, treatment=Treatment.LYSIS_BOLUS),
        asked(RecordDeparture),
        asked(Confirm, diagnosis=Diagnosis.NSTE_ACS, seen_sequence=ALL),
    ],
    ids=["chosen", "lysed", "on the way", "no STEMI"],
)
def test_nothing_is_proposed_any_more_once_it_was_chosen_or_begun_or_is_no_infarction_for_lysis(command):
    world = paged("ann")
    world.hear(asked(Confirm, **STEMI) if not isinstance(command, Confirm) else command)
    world.hear(command)
    world.now += LATE
    world.hear(asked(TakeOver, "bob", at=world.now, reason="mine"))
    world.hear(corrected(world.now - 110 * MINUTE, world.now))
    assert proposed(world.log) == [Strategy.PRIMARY_PCI]


def test_a_strategy_that_was_chosen_for_one_centre_is_proposed_anew_for_the_way_to_another():
    world = paged("ann")
    world.hear(asked(ChooseStrategy, strategy=Strategy.PRIMARY_PCI))
    world.now += 20 * MINUTE
    world.hear(asked(OfferHandOver, at=world.now, to_centre="city"))
    assert proposed(world.hear(asked(AcceptHandOver, "dan", at=world.now))) == [Strategy.LYSIS]


TURNS = st.one_of(
    st.integers(1, 40).map(lambda minutes: minutes * MINUTE),
    st.sampled_from(
        [acknowledge(), acknowledge("bob"), asked(Confirm, **STEMI), asked(TakeOver, "bob", reason="mine"), asked(TakeOver, reason="me")]
    ),
    st.just(asked(StandDown, reason="an artefact", seen_sequence=ALL)),
    st.integers(0, 120).map(lambda minutes: minutes),
)


def is_open_red(world: World) -> bool:
    return world.case.is_open and world.case.priority is Priority.RED


@given(st.lists(TURNS, max_size=8))
def test_whoever_takes_a_red_in_hand_finds_the_strategy_that_the_clock_allows_then(turns):
    world, uploads = paged(), [SECOND, THIRD]
    for number, turn in enumerate(turns):
        if isinstance(turn, timedelta):
            world.wait(turn)
        elif isinstance(turn, int):
            if uploads:
                world.hear(corrected(world.now - turn * MINUTE, world.now).model_copy(update={"upload_id": uploads.pop()}))
        elif "CommandRefused" not in kinds(world.hear(turn.model_copy(update={"at": world.now}), str(number))) and is_open_red(world):
            last = next(event for event in reversed(world.log) if isinstance(event, StrategyProposed))
            assert last.strategy is propose(world.directory, "clinic", "centre", last.first_contact_at, world.now).strategy
            told = [upload.first_contact_at for upload in world.case.of_course if upload.first_contact_at is not None]
            assert all(last.first_contact_at <= each for each in told)
