"""The schemas in the tree say what the models say, and every version that was ever kept can be read."""

import json
from itertools import permutations
from pathlib import Path

import pytest
from pydantic import Field

from contracts.compatibility import breaks
from contracts.topics import TOPICS
from contracts.vocabulary import Frozen
from services.program.contract_documents import SCHEMAS, Update, events, kept_schemas, main, update_of, write

NAMES = sorted(events())


class Told(Frozen):
    who: str


class ToldOtherwise(Frozen):
    who: str = Field(description="whom it came from")


class ToldWithMore(Frozen):
    who: str
    how: str = ""


class ToldWithLess(Frozen):
    whom: str


def updated(folder: Path, *, told: type[Frozen]) -> Update:
    update = update_of(folder, {"Told": told})
    if not update.refused:
        write(update)
    return update


def test_the_schemas_in_the_tree_are_what_the_models_say() -> None:
    update = update_of(SCHEMAS, events())
    assert not update.refused, "a reader breaks by this change: add a field with a default, or a new event, instead"
    assert not [path.name for path in (*update.write, *update.remove)], "the models changed: run `make schemas`"
    main(check=True)  # what `make schemas ARGS=--check` does; it raises where they differ


def test_every_event_of_every_topic_has_a_schema() -> None:
    assert {event.__name__ for topic in TOPICS for event in topic.events} | {"Envelope"} == {
        path.stem for path in (SCHEMAS / "current").glob("*.json")
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_version_of_an_event_is_read_by_every_other(name: str) -> None:
    kept = kept_schemas(SCHEMAS, name)
    assert sorted(kept) == list(range(1, len(kept) + 1))
    current = json.loads((SCHEMAS / "current" / f"{name}.json").read_text(encoding="utf-8"))
    told = [sentence for old, new in permutations((*kept.values(), current), 2) for sentence in breaks(old, new)]
    assert told == []


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_named_for_its_event_and_version(name: str) -> None:
    kept = kept_schemas(SCHEMAS, name)
    current = json.loads((SCHEMAS / "current" / f"{name}.json").read_text(encoding="utf-8"))
    assert [schema["$id"] for _, schema in sorted(kept.items())] == [f"urn:greenchannel:schema:{name}:{number}" for number in sorted(kept)]
    assert current["$id"] == kept[max(kept)]["$id"]


def test_a_first_version_is_written_and_kept(tmp_path: Path) -> None:
    updated(tmp_path, told=Told)
    assert kept_schemas(tmp_path, "Told").keys() == {1}
    assert json.loads((tmp_path / "current" / "Told.json").read_text(encoding="utf-8")) == kept_schemas(tmp_path, "Told")[1]


def test_what_stayed_as_it_was_is_not_written_again(tmp_path: Path) -> None:
    updated(tmp_path, told=Told)
    assert updated(tmp_path, told=Told) == Update(write={}, remove=(), refused=())


def test_another_wording_is_not_another_version(tmp_path: Path) -> None:
    updated(tmp_path, told=Told)
    update = update_of(tmp_path, {"Told": type("Told", (ToldOtherwise,), {})})
    assert [path.parent.name for path in update.write] == ["current"]


def test_a_new_field_with_a_default_makes_a_version_and_keeps_the_old_one(tmp_path: Path) -> None:
    updated(tmp_path, told=Told)
    first = (tmp_path / "history" / "Told" / "1.json").read_bytes()
    updated(tmp_path, told=type("Told", (ToldWithMore,), {}))
    assert kept_schemas(tmp_path, "Told").keys() == {1, 2}
    assert (tmp_path / "history" / "Told" / "1.json").read_bytes() == first
    assert updated(tmp_path, told=type("Told", (ToldWithMore,), {})).write == {}


def test_a_change_that_breaks_a_reader_is_refused_with_the_field_and_who(tmp_path: Path) -> None:
    updated(tmp_path, told=Told)
    refused = updated(tmp_path, told=type("Told", (ToldWithLess,), {})).refused
    assert any("Told.whom: a new reader needs it" in sentence for sentence in refused)
    assert any("Told.who: an old reader needs it" in sentence for sentence in refused)
    assert kept_schemas(tmp_path, "Told").keys() == {1}


def test_an_event_that_is_gone_is_refused(tmp_path: Path) -> None:
    updated(tmp_path, told=Told)
    update = update_of(tmp_path, {})
    assert update.refused == ("Told is gone, but its events lie in the topics: keep the class, or nobody can read them",)
