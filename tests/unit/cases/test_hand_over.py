"""A case passed on: offered, accepted, declined, expired, taken over; whose it is at each moment is plain."""

import pytest

from contracts.cases import CommandRefused, NoteRequested
from contracts.commands import (
    AcceptHandOver,
    AcceptReferral,
    ActivateLab,
    CancelActivation,
    CloseCase,
    Confirm,
    DeclineHandOver,
    OfferHandOver,
    TakeOver,
)
from contracts.directory import Directory
from contracts.vocabulary import Diagnosis, Outcome, Priority
from services.cases.state import Phase
from services.cases.timers import timers
from tests.unit.cases.case_world import ALL, DIRECTORY, MINUTE, SECOND, World, acknowledge, asked, assessed, kinds, pages, rung, silent


def at_city(*targets: str) -> Directory:
    """Return a directory in which the other centre pages these."""
    (step,) = DIRECTORY.policies["city"].steps
    policy = DIRECTORY.policies["city"].model_copy(update={"steps": (step.model_copy(update={"page": targets}),)})
    return DIRECTORY.model_copy(update={"policies": DIRECTORY.policies | {"city": policy}})


TWO_AT_CITY, NOBODY_AT_CITY = at_city("person:cy", "person:dan"), at_city("roster:none")


def in_hand(*commands, directory: Directory = DIRECTORY) -> World:
    world = World(directory=directory)
    world.hear(assessed(Priority.RED))
    world.hear(acknowledge("ann"))
    for command in commands:
        assert "CommandRefused" not in kinds(world.hear(command)), command
    return world


def refusal(world: World, command) -> str:
    (refused,) = world.hear(command, f"refused {len(world.log)}")
    assert isinstance(refused, CommandRefused)
    return refused.reason


def test_a_hand_over_pages_the_other_person_and_is_the_owners_until_it_is_accepted():
    world = in_hand()
    assert rung(world.hear(asked(OfferHandOver, to_person="bob"))) == [("bob", "phone")]
    assert world.case.owner == "ann"
    assert refusal(world, asked(AcceptHandOver, "cy")) == "it is offered to bob"
    world.hear(asked(AcceptHandOver, "bob"))
    assert (world.case.phase, world.case.owner) == (Phase.ACKNOWLEDGED, "bob")
    assert rung(world.wait(5 * MINUTE)) == [("bob", "phone")], "whose time counts now"


def test_a_hand_over_that_nobody_accepts_is_the_owners_again_whose_time_counts_anew():
    world = in_hand(asked(OfferHandOver, to_person="bob"))
    assert "HandOverExpired" in kinds(world.wait(3 * MINUTE))
    assert rung(world.wait(5 * MINUTE)) == [("ann", "phone")]


@pytest.mark.parametrize(
    "press",
    [asked(Confirm, diagnosis=Diagnosis.ARRHYTHMIA, seen_sequence=ALL), asked(CancelActivation, reason="ST came down"), acknowledge()],
    ids=["confirm", "cancel activation", "acknowledge"],
)
def test_what_the_owner_presses_takes_nothing_from_whom_a_hand_over_is_offered_to(press):
    world = in_hand(asked(Confirm, diagnosis=Diagnosis.STEMI), asked(ActivateLab), directory=TWO_AT_CITY)
    world.provider = silent
    world.hear(asked(OfferHandOver, to_centre="city"))
    before = {name for name in timers(world.case) if name.startswith(("method/", "hand-over/"))}
    world.hear(assessed(Priority.RED, SECOND))
    assert "CommandRefused" not in kinds(world.hear(press, "pressed"))
    assert before == timers(world.case).keys()
    (declined, _) = world.hear(asked(DeclineHandOver, "cy", reason="in the lab"))
    assert not declined.is_final
    assert kinds(world.wait(3 * MINUTE))[-2:] == ["HandOverExpired", "NoteRequested"]


def test_a_declined_hand_over_is_said_to_the_owner():
    world = in_hand(asked(OfferHandOver, to_person="bob"))
    events = world.hear(asked(DeclineHandOver, "bob", reason="in the lab"))
    assert kinds(events) == ["HandOverDeclined", "NoteRequested"]
    assert events[1].person_id == "ann"


def test_another_centre_takes_the_case_with_its_number_and_its_way():
    world = in_hand()
    assert rung(world.hear(asked(OfferHandOver, to_centre="city"))) == [("dan", "phone")]
    assert "offered to city" in refusal(world, asked(AcceptHandOver, "bob"))
    events = world.hear(asked(AcceptHandOver, "dan"))
    assert kinds(events) == ["HandOverAccepted", "NoteRequested", "StrategyProposed"]
    assert (world.case.centre_id, world.case.owner) == ("city", "dan")


def test_another_centre_whose_owner_sleeps_begins_its_own_policy_at_its_first_step():
    world = in_hand(asked(OfferHandOver, to_centre="city"), asked(AcceptHandOver, "dan"))
    assert [page.step for page in pages(world.wait(6 * MINUTE)) if page.step is not None] == [0]


def test_another_centre_has_a_lab_of_its_own_which_nobody_has_called_yet():
    world = in_hand(asked(Confirm, diagnosis=Diagnosis.STEMI), asked(ActivateLab), asked(AcceptReferral), asked(OfferHandOver, to_centre="city"))
    (told,) = [event.text for event in world.hear(asked(AcceptHandOver, "dan")) if isinstance(event, NoteRequested)]
    assert "The lab of Test Centre is not needed any more" in told
    assert world.case.phase is Phase.CONFIRMED
    assert [kinds(world.hear(asked(command, "dan"))) for command in (ActivateLab, AcceptReferral)] == [["LabActivated"], ["ReferralAccepted"]]


def test_of_several_at_another_centre_one_declines_for_nobody_else_and_all_hear_who_accepted():
    world = in_hand(directory=TWO_AT_CITY)
    world.hear(asked(OfferHandOver, to_centre="city"))
    (declined, _) = world.hear(asked(DeclineHandOver, "cy", reason="in the lab"))
    assert (declined.is_final, world.case.hand_over is not None) == (False, True)
    accepted = world.hear(asked(AcceptHandOver, "dan"))
    assert {event.person_id for event in accepted if isinstance(event, NoteRequested)} == {"ann", "cy"}


def test_a_gap_at_the_centre_that_is_asked_is_said_and_its_standing_number_rung():
    world = in_hand(directory=NOBODY_AT_CITY)
    events = world.hear(asked(OfferHandOver, to_centre="city"))
    assert kinds(events) == ["HandOverOffered", "NobodyOnCall", "PageRequested"]
    assert [(page.person_id, page.centre_id) for page in pages(events)] == [("standing-number", "city")]


def test_a_case_is_taken_over_with_a_reason_and_the_former_owner_is_told():
    world = in_hand()
    events = world.hear(asked(TakeOver, "bob", reason="ann is in the lab"))
    assert [getattr(event, "person_id", None) for event in events] == [None, "ann"]
    assert world.case.owner == "bob"


def test_what_is_closed_is_said_to_be_and_not_to_be_acknowledged():
    world = in_hand(asked(CloseCase, outcome=Outcome.DISCHARGED))
    assert refusal(world, asked(OfferHandOver, to_person="bob")) == "the case is closed"
    assert refusal(world, asked(TakeOver, reason="mine")) == "the case is closed"
