"""What the console shows of a case is what cases has of it: after every event, whatever people, timers and recordings did before."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import commands, topics
from contracts.cases import CaseEvents
from contracts.ids import EventId, UploadId
from contracts.vocabulary import Arrival, Diagnosis, Lane, Priority, Treatment
from services.cases.state import AFTERWARDS, IN_HAND, Case, Phase
from services.console.course import Course
from services.console.projection import Fact
from services.console.views import summary_of
from tests.unit.cases.case_world import ALL, CASE, KEY, SECOND, World, asked, assessed, rebuilt, uploaded

NOT_FOR_PEOPLE = {Phase.NEW, Phase.WAITING, Phase.ANSWERED}
WHO = st.sampled_from(["owner", "owner", "owner", "asked", "ann", "bob", "dan"])
SEEN = {"seen_sequence": st.just(ALL)}
WHY = {"reason": st.just("seen")}
FIELDS: dict[type[commands.Command], dict[str, st.SearchStrategy[Any]]] = {
    commands.Acknowledge: SEEN,
    commands.Confirm: SEEN | {"diagnosis": st.just(Diagnosis.STEMI)},
    commands.StandDown: SEEN | WHY,
    commands.TakeOver: WHY,
    commands.OfferHandOver: {"to_person": st.sampled_from([None, "bob", "cy"]), "to_centre": st.sampled_from([None, "centre", "city"])},
    commands.AcceptHandOver: {},
    commands.DeclineHandOver: WHY,
    commands.AcceptReferral: {},
    commands.ActivateLab: {},
    commands.CancelActivation: WHY,
    commands.RecordDeparture: {},
    commands.RecordArrival: {"place": st.sampled_from(Arrival)},
    commands.RecordTreatment: {"treatment": st.sampled_from(Treatment)},
    commands.CloseCase: {"outcome": st.just("admitted")},
}
LIKELY = {
    **dict.fromkeys(IN_HAND, tuple(kind for kind in FIELDS if kind not in {commands.Acknowledge, commands.CloseCase})),
    **dict.fromkeys(AFTERWARDS, (commands.Confirm, commands.CloseCase)),
}
TO_TAKE = (commands.Acknowledge, commands.Acknowledge, commands.Confirm, commands.StandDown)
Step = Callable[[World, str], None]


@st.composite
def command(draw: st.DrawFn) -> Step:
    """Ask what is likely to be asked now, or anything."""
    place, who, anything = draw(st.integers(0, 99)), draw(WHO), draw(st.integers(0, 4)) == 0
    fields = {kind: draw(st.fixed_dictionaries(each)) for kind, each in FIELDS.items()}

    def ask(world: World, name: str) -> None:
        likely = tuple(FIELDS) if anything else LIKELY.get(world.case.phase, TO_TAKE)
        kind = likely[place % len(likely)]
        world.hear(asked(kind, by(world, who), at=world.now, **fields[kind]), name)

    return ask


@st.composite
def recording(draw: st.DrawFn) -> Step:
    """A recording comes: a new one, or an earlier one is assessed once more."""
    priority, lane, earlier = draw(st.sampled_from(Priority)), draw(st.sampled_from(Lane)), draw(st.integers(0, 9))

    def come(world: World, name: str) -> None:
        known = [upload.upload_id for upload in world.case.uploads]
        upload = known[earlier] if earlier < len(known) and name.endswith("0") else UploadId(uuid5(CASE, name))
        if lane is Lane.EMERGENCY and earlier % 2:
            world.hear(uploaded(upload, at=world.now), name)
        world.hear(assessed(priority, upload, lane, at=world.now), name)

    return come


def waiting(seconds: int) -> Step:
    return lambda world, _: world.wait(timedelta(seconds=seconds)) and None


def press(kind: type[commands.Command], who: str = "ann", **fields: object) -> Step:
    return lambda world, name: world.hear(asked(kind, who, at=world.now, **fields), name) and None


def by(world: World, who: str) -> str:
    if who == "owner":
        return world.case.owner or "ann"
    if who == "asked":
        offered = world.case.hand_over
        return "dan" if offered is None else offered.to_person or {"city": "dan"}.get(offered.to_centre or "", "bob")
    return who


STEPS = st.one_of(command(), command(), command(), recording(), st.integers(0, 400).map(waiting))
SCRIPTS = st.lists(STEPS, min_size=5, max_size=25)


def played(script: Sequence[Step]) -> World:
    world = World()
    world.hear(assessed(Priority.RED))
    for number, step in enumerate(script):
        step(world, str(number))
    return world


def facts_of(log: list[CaseEvents]) -> dict[EventId, Fact]:
    ids = {number: EventId(UUID(int=number)) for number in range(1, len(log) + 1)}
    return {
        ids[number]: Fact(
            event_id=ids[number],
            type=type(event).__name__,
            at=event.at,
            topic=topics.CASES.name,
            sequence=number,
            causation_id=CASE,
            told=event.model_dump_json(exclude_none=True),
        )
        for number, event in enumerate(log, 1)
    }


def after_each(log: list[CaseEvents]) -> Iterator[tuple[Case, Course]]:
    """Yield the case as cases has it and as the console shows it, after each event."""
    state, facts = Case(case_id=CASE, patient_key=KEY), list(facts_of(log).items())
    for number, event in enumerate(log, 1):
        state = rebuilt([event], state)
        yield state, Course(dict(facts[:number]))


def of_cases(state: Case, course: Course) -> dict[str, object]:
    # What comes in after a case is closed is not shown to people before it is opened for them once more.
    phase = state.phase.value if state.phase not in NOT_FOR_PEOPLE else "closed" if course.opened else "opened"
    return {
        "phase": phase,
        "owner": state.owner,
        "centre": state.centre_id,
        "diagnosis": state.diagnosis,
        "moved": state.moved,
        "is activated": state.is_activated,
        "is referred": state.is_referred,
        "offered to": (state.hand_over.to_person, state.hand_over.to_centre) if state.hand_over else None,
        "open for": state.upload_id,
        "seen": state.raised_sequence or None,
        "waits since": state.called_from,
    }


def of_console(course: Course) -> dict[str, object]:
    short = summary_of(course, {})
    return {
        "phase": course.phase,
        "owner": course.owner,
        "centre": course.centre_id,
        "diagnosis": course.figures.get("diagnosis"),
        "moved": course.moved,
        "is activated": course.lab_centre is not None,
        "is referred": course.figures.get("referral_centre") is not None,
        "offered to": (course.hand_over.to_person, course.hand_over.to_centre) if course.hand_over else None,
        "open for": course.by.upload_id if course.by else None,
        "seen": course.seen,
        "waits since": short.received_at if short else None,
    }


@settings(max_examples=200)
@given(SCRIPTS)
def test_after_every_event_the_console_shows_the_case_as_cases_has_it(script):
    for state, course in after_each(played(script).log):
        assert of_console(course) == of_cases(state, course)


@settings(max_examples=200)
@given(SCRIPTS)
def test_the_clinic_is_shown_to_call_while_it_was_told_to_and_nobody_has_the_case(script):
    """What it was told for an earlier call, that somebody answered, is not shown for a later one."""
    log = played(script).log
    for (state, course), number in zip(after_each(log), range(1, len(log) + 1), strict=True):
        if state.phase is Phase.OPENED and state.priority is not Priority.YELLOW:
            assert (course.call_now is None) is (state.call_at is not None), log[number - 1]


ACK, CONFIRM = press(commands.Acknowledge, seen_sequence=ALL), press(commands.Confirm, seen_sequence=ALL, diagnosis=Diagnosis.STEMI)
LAB, LEFT, CANCEL = press(commands.ActivateLab), press(commands.RecordDeparture), press(commands.CancelActivation, reason="seen")
BOLUS, NO_STEMI = press(commands.RecordTreatment, treatment=Treatment.LYSIS_BOLUS), press(commands.StandDown, seen_sequence=ALL, reason="seen")
SLEEPS = waiting(480)  # the owner is paged again, and the policy goes on
CITY = [press(commands.OfferHandOver, to_centre="city"), press(commands.AcceptHandOver, "dan")]


def anew(world: World, name: str) -> None:
    world.hear(assessed(Priority.RED, SECOND, at=world.now), name)


@pytest.mark.parametrize(
    ("script", "phase"),
    [
        ([ACK, CONFIRM, BOLUS], "confirmed"),
        ([ACK, CONFIRM, LAB, BOLUS], "activated"),
        ([ACK, LEFT, CONFIRM], "departed"),
        ([ACK, CONFIRM, LAB, LEFT, CANCEL], "departed"),
        ([ACK, LEFT, SLEEPS, ACK], "departed"),
        ([ACK, LEFT, anew, ACK], "departed"),
        ([ACK, CONFIRM, LAB, *CITY], "confirmed"),
        ([ACK, NO_STEMI, anew], "opened"),
    ],
)
def test_a_case_stands_as_far_as_it_has_come(script, phase):
    *_, (state, course) = after_each(played(script).log)
    assert (course.phase, state.phase.value) == (phase, phase)
    assert of_console(course) == of_cases(state, course)
