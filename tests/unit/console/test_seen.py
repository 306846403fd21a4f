"""Nobody takes down what nobody saw: what a press through the console says of it, and what the case then decides."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import TypeAdapter

from contracts.vocabulary import Priority
from services.cases.care import SEEN_AFTER
from services.cases.decide import decide
from services.cases.decision import Heard, Told
from services.cases.evolve import evolve
from services.cases.state import Case
from services.console.asking import Asked, command_of
from tests.unit.cases.case_world import CASE, DIRECTORY, KEY, SECOND, T0, assessed

READ: TypeAdapter[Asked] = TypeAdapter(Asked)
RAISED_AT = T0 + timedelta(seconds=40)
SOON, LATER = timedelta(seconds=0.3), SEEN_AFTER + timedelta(seconds=1)
PRESSES: list[dict[str, Any]] = [
    {"command": "acknowledge"},
    {"command": "confirm", "diagnosis": "stemi"},
    {"command": "stand_down", "reason": "lead off, artefact"},
]


def hear(case: Case, told: Told, at: datetime) -> tuple[Case, list[str]]:
    events = decide(case, Heard(uuid4(), at, told), DIRECTORY)
    for event in events:
        case = evolve(case, event)
    return case, [type(event).__name__ for event in events]


def opened() -> Case:
    return hear(Case(case_id=CASE, patient_key=KEY), assessed(Priority.NOT_EVALUABLE), T0)[0]


def raised() -> Case:
    return hear(opened(), assessed(Priority.RED, SECOND, at=RAISED_AT), RAISED_AT)[0]


def press(case: Case, at: datetime, asked: dict[str, Any]) -> list[str]:
    return hear(case, command_of(READ.validate_python(asked), CASE, at=at, person="ann", clinic=None), at)[1]


@pytest.mark.parametrize("asked", PRESSES, ids=lambda asked: asked["command"])
def test_a_red_of_this_moment_is_not_taken_down_by_who_does_not_say_that_they_saw_it(asked):
    case = raised()
    assert press(case, RAISED_AT + SOON, asked) == ["CommandRefused"]
    assert "Acknowledged" in press(case, RAISED_AT + SOON, asked | {"seen": case.raised_sequence})
    assert press(case, RAISED_AT + LATER, asked | {"seen": case.raised_sequence - 1}) == ["CommandRefused"]


@pytest.mark.parametrize("asked", PRESSES, ids=lambda asked: asked["command"])
def test_who_is_paged_and_presses_without_looking_is_heard_once_they_may_have_seen_it(asked):
    assert "Acknowledged" in press(opened(), T0 + LATER, asked)
    assert "Acknowledged" in press(raised(), RAISED_AT + LATER, asked)
