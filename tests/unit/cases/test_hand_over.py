"""A case passed on: offered, accepted, declined, expired, taken over; whose it is at each moment is plain."""

import pytest

from contracts.cases import CommandRefused, NoteRequested, Said
from contracts.commands import (
    AcceptHandOver,
    AcceptReferral,
    ActivateLab,
    CancelActivation,
    CloseCase,
    Confirm,
    DeclineHandOver,
    OfferHandOver,
    RecordTreatment,
    StandDown,
    TakeOver,
    TryNextMethod,
)
from contracts.directory import Directory
from contracts.vocabulary import Diagnosis, Outcome, Priority, Treatment
from services.cases.state import Phase
from services.cases.timers import timers
from tests.unit.cases.case_world import ALL, CASE, DIRECTORY, MINUTE, SECOND, World, acknowledge, asked, assessed, kinds, pages, rung, silent


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
    assert refusal(world, asked(AcceptHandOver, "cy")) == "it is offered to Test Bob"
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
    expired, *told = world.wait(3 * MINUTE)[-3:]
    assert (kinds([expired]), {note.person_id for note in told}) == (["HandOverExpired"], {"ann", "dan"})  # the owner, and who is not asked any more


def test_a_declined_hand_over_is_said_to_the_owner():
    world = in_hand(asked(OfferHandOver, to_person="bob"))
    events = world.hear(asked(DeclineHandOver, "bob", reason="in the lab"))
    assert kinds(events) == ["HandOverDeclined", "NoteRequested"]
    assert events[1].person_id == "ann"


def test_another_centre_takes_the_case_with_its_number_and_its_way():
    world = in_hand()
    assert rung(world.hear(asked(OfferHandOver, to_centre="city"))) == [("dan", "phone")]
    assert "offered to Test City" in refusal(world, asked(AcceptHandOver, "bob"))
    events = world.hear(asked(AcceptHandOver, "dan"))
    assert kinds(events) == ["HandOverAccepted", "NoteRequested", "StrategyProposed"]
    assert (world.case.centre_id, world.case.owner) == ("city", "dan")


def test_another_centre_whose_owner_sleeps_begins_its_own_policy_at_its_first_step():
    world = in_hand(asked(OfferHandOver, to_centre="city"), asked(AcceptHandOver, "dan"))
    assert [page.step for page in pages(world.wait(6 * MINUTE)) if page.step is not None] == [0]


def test_another_centre_has_a_lab_of_its_own_which_nobody_has_called_yet():
    world = in_hand(asked(Confirm, diagnosis=Diagnosis.STEMI), asked(ActivateLab), asked(AcceptReferral), asked(OfferHandOver, to_centre="city"))
    accepted = world.hear(asked(AcceptHandOver, "dan"))
    (told,), (said,) = ([event.text for event in accepted if isinstance(event, kind)] for kind in (NoteRequested, Said))
    assert "The lab of Test Centre is not needed any more" in told
    assert said.startswith("Test City has the case now: do not bring the patient to the lab of Test Centre. Call 555-0200 now")
    assert world.case.phase is Phase.CONFIRMED
    assert [kinds(world.hear(asked(command, "dan")))[0] for command in (ActivateLab, AcceptReferral)] == ["LabActivated", "ReferralAccepted"]


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


IT_IS = asked(Confirm, diagnosis=Diagnosis.STEMI, seen_sequence=ALL)
OFFER = asked(OfferHandOver, to_person="cy")


def notes_of(events, person: str) -> list[str]:
    return [event.text for event in events if isinstance(event, NoteRequested) and event.person_id == person]


@pytest.mark.parametrize(
    ("before", "ends_it", "why"),
    [
        ([OFFER], asked(TakeOver, "bob", reason="ann is in the lab"), "Test Bob has it in hand"),
        ([OFFER], asked(CloseCase, outcome=Outcome.DISCHARGED), "the case is closed"),
        ([OFFER], asked(StandDown, reason="an artefact", seen_sequence=ALL), "the case is stood down"),
        ([OFFER], assessed(Priority.RED, SECOND), "whoever is on call is paged"),
        ([IT_IS, OFFER], asked(RecordTreatment, treatment=Treatment.PCI_WIRE), "the case is treated"),
        ([OFFER, IT_IS], asked(CloseCase, outcome=Outcome.DISCHARGED), "the case is closed"),
    ],
    ids=["taken over", "closed", "stood down", "raised", "treated", "closed after it was confirmed"],
)
def test_whoever_was_asked_to_take_a_case_hears_when_they_are_not_any_more(before, ends_it, why):
    world = in_hand(*before)
    assert notes_of(world.hear(ends_it), "cy") == [f"You are not asked to take it over any more: {why}"]


def test_a_hand_over_that_ran_out_is_said_to_those_who_were_asked_but_not_to_who_declined():
    world = in_hand(asked(OfferHandOver, to_centre="city"), directory=TWO_AT_CITY)
    world.hear(asked(DeclineHandOver, "cy", reason="in the lab"))
    expired = world.wait(3 * MINUTE)
    assert notes_of(expired, "dan") == ["You are not asked to take it over any more: Test Ann has it in hand"]
    assert notes_of(expired, "cy") == []


def test_who_takes_a_case_that_they_were_asked_to_accept_is_not_told_of_themselves():
    world = in_hand(OFFER)
    assert notes_of(world.hear(asked(TakeOver, "cy", reason="mine")), "cy") == []


def test_who_is_asked_while_the_owner_confirms_is_still_reached_by_their_next_method():
    both = DIRECTORY.people["cy"].model_copy(update={"methods": {"phone": True, "chat": False}})
    world = in_hand(directory=DIRECTORY.model_copy(update={"people": DIRECTORY.people | {"cy": both}}))
    world.provider = silent
    (page,) = pages(world.hear(OFFER))
    world.hear(IT_IS)
    assert rung(world.hear(TryNextMethod(case_id=CASE, at=world.now, notice_id=page.notice_id))) == [("cy", "chat")]
