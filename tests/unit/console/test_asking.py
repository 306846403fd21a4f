"""What may be asked of a case: every command of the contract has a name, and what is not understood is refused by its field."""

from datetime import UTC, datetime, timedelta
from typing import get_args
from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

from contracts.commands import PeoplesCommand
from contracts.ids import CaseId, event_id
from services.console.asking import COMMANDS, Asked, NotThen, check_time, command_id, command_of, done_id

READ: TypeAdapter[Asked] = TypeAdapter(Asked)
NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
CASE = CaseId(UUID(int=1))
REASONED = ("stand_down", "take_over", "decline_hand_over", "cancel_activation")
FIELDS = {
    "confirm": {"diagnosis": "stemi"},
    "offer_hand_over": {"to_person": "bob"},
    "choose_strategy": {"strategy": "lysis"},
    "record_arrival": {"place": "lab"},
    "record_treatment": {"treatment": "pci_wire", "happened_at": "2026-03-01T10:58:00+08:00"},
    "close": {"outcome": "admitted"},
    "link": {"other_case_id": str(UUID(int=2))},
    "say": {"text": "Aspirin 300 mg."},
    "finish_reading": {"upload_id": str(UUID(int=3))},
    **{name: {"reason": "seen again"} for name in REASONED},
}


def read(name: str, **more: object) -> Asked:
    return READ.validate_python({"command": name, **FIELDS.get(name, {}), **more})


@pytest.mark.parametrize("name", COMMANDS)
def test_each_name_makes_its_command_with_what_was_asked(name):
    kind, done = COMMANDS[name]
    command = command_of(read(name), CASE, at=NOW, person="ann", clinic=None)
    told = command.model_dump(mode="json")
    assert type(command) is kind
    assert (command.case_id, command.at, told["by"]) == (CASE, NOW, "ann")
    assert {field: told[field] for field in FIELDS.get(name, {}) if field != "happened_at"} == {
        field: value for field, value in FIELDS.get(name, {}).items() if field != "happened_at"
    }
    assert done_id(read(name), CASE) == event_id(CASE, done.__name__)


def test_every_command_of_the_contract_can_be_asked_by_one_name():
    assert sorted(kind.__name__ for kind, _ in COMMANDS.values()) == sorted(kind.__name__ for kind in get_args(PeoplesCommand))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_field_that_is_not_known_or_is_missing_is_refused_by_its_name(name):
    with pytest.raises(ValidationError, match="by\n"):
        read(name, by="bob")
    for field in FIELDS.get(name, {}).keys() - {"happened_at"}:
        with pytest.raises(ValidationError, match=field):
            READ.validate_python({"command": name} | {key: value for key, value in FIELDS[name].items() if key != field})


@pytest.mark.parametrize("name", ["acknowledge", "confirm", "stand_down"])
def test_what_a_person_has_seen_is_theirs_to_say_and_else_is_not_known(name):
    said = [command_of(read(name, **seen), CASE, at=NOW, person="ann", clinic=None).model_dump()["seen_sequence"] for seen in ({"seen": 3}, {})]
    assert said == [3, None]


@pytest.mark.parametrize(("name", "field"), [("say", "text"), *((name, "reason") for name in REASONED)])
def test_what_somebody_writes_goes_on_as_one_line_that_does_nothing_to_a_terminal(name, field):
    forged = "ok \x1b[8m hidden\r\n  10:01  dr-li:\tstood\x00 down \x9b2J \u202eback\u2028end "
    assert getattr(read(name, **{field: forged}), field) == "ok [8m hidden 10:01 dr-li: stood down 2J back end"
    assert len(getattr(read(name, **{field: "x\n" * 150}), field)) == 299
    with pytest.raises(ValidationError, match=field):
        read(name, **{field: "\x1b\r\n\u200b"})


def test_a_clinic_says_something_as_the_clinic():
    said = command_of(read("say"), CASE, at=NOW, person=None, clinic="clinic").model_dump()
    assert (said["by"], said["clinic_id"]) == (None, "clinic")


def test_a_press_is_the_same_for_its_key_its_person_its_case_and_what_it_asks():
    asked = read("say")
    same = command_id(asked, CASE, "ann", "k")
    assert command_id(read("say"), CASE, "ann", "k") == same
    others = [
        command_id(asked, CASE, "ann", "l"),
        command_id(asked, CASE, "bob", "k"),
        command_id(asked, CaseId(UUID(int=2)), "ann", "k"),
        command_id(read("say", text="other"), CASE, "ann", "k"),
        command_id(asked, CASE, "ann", None),
        command_id(asked, CASE, "ann", None),
    ]
    assert len({same, *others}) == len(others) + 1


@pytest.mark.parametrize(
    ("happened_at", "sentence"),
    [
        (NOW + timedelta(seconds=61), "in the future"),
        (NOW - timedelta(hours=25), "more than a day before"),
        (NOW + timedelta(seconds=59), None),
        (NOW - timedelta(hours=23), None),
        (None, None),
    ],
)
def test_what_happened_happened_about_now(happened_at, sentence):
    asked = read("record_departure", happened_at=happened_at)
    if sentence is None:
        check_time(asked, NOW, NOW)
    else:
        with pytest.raises(NotThen, match=sentence):
            check_time(asked, NOW, NOW)
