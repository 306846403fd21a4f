"""What `breaks` says of a change is held against what pydantic's models really read."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from contracts.compatibility import breaks, breaks_with_kept
from tests.contract.instances import instances

STRICT = ConfigDict(strict=True)  # "5" for 5 is pydantic's kindness, not the contract


class Part(BaseModel):
    model_config = STRICT
    a: int


class OtherPart(BaseModel):
    model_config = STRICT
    a: int
    b: str


class WiderPart(BaseModel):
    model_config = STRICT
    a: int
    b: str = ""


class Branch(BaseModel):
    """A part that holds itself."""

    model_config = STRICT
    a: int
    below: "Branch | None" = None


class OtherBranch(BaseModel):
    model_config = STRICT
    a: int | None
    below: "OtherBranch | None" = None


Model = type[BaseModel]
Fields = dict[str, tuple[Any, bool]]  # by name: the type, and whether it must be there

AGE = Annotated[int, Field(ge=0, le=125)]
OLDER_AGE = Annotated[int, Field(ge=0, le=150)]
SHORT = Annotated[str, Field(max_length=5)]
SLUG = Annotated[str, Field(pattern="^[a-z]{1,5}$")]
OTHER_SLUG = Annotated[str, Field(pattern="^[a-z]{1,9}$")]
SOME = Annotated[tuple[int, ...], Field(min_length=1)]

TYPES: list[Any] = [
    int,
    AGE,
    float,
    str,
    SHORT,
    SLUG,
    bool,
    UUID,
    datetime,
    int | None,
    int | str,
    float | None,
    Literal["red"],
    Literal["red", "green"],
]
TYPES += [
    tuple[int, ...],
    SOME,
    tuple[int, str],
    dict[str, int],
    dict[str, float | str],
    dict[SLUG, int],
    dict[SLUG, float | str],
    dict[SLUG, Part],
    dict[OTHER_SLUG, int],
    Annotated[dict[SLUG, int], Field(min_length=1)],
    Annotated[dict[SLUG, int], Field(max_length=3)],
    Part,
    OtherPart,
    WiderPart,
    Branch,
    OtherBranch,
    Part | None,
]
TYPES += [tuple[Part, ...], tuple[WiderPart, ...]]


def model_of(fields: Fields) -> Model:
    """A default is not validated, so None does for every type; it is never written here."""
    named: dict[str, Any] = {name: (kind, ... if needed else None) for name, (kind, needed) in fields.items()}
    return create_model("Event", __config__=STRICT, **named)


def schema_of(model: Model) -> dict[str, Any]:
    """The default None stands in for all, so it is taken out of the schema."""
    schema = model.model_json_schema()
    for part in schema.get("properties", {}).values():
        part.pop("default", None)
    return schema


def reads(model: Model, written: str) -> bool:
    try:
        model.model_validate_json(written)
    except ValidationError:
        return False
    return True


one_field = st.tuples(st.sampled_from(TYPES), st.booleans())


@st.composite
def versions(draw: st.DrawFn) -> tuple[Model, Model]:
    """Two versions of an event: what is in both mostly stays as it was, as in life."""
    old: Fields = draw(st.dictionaries(st.sampled_from("xyz"), one_field, max_size=3))
    new: Fields = dict(old)
    for name in draw(st.lists(st.sampled_from("xyz"), unique=True, max_size=2)):
        if draw(st.booleans()):
            new[name] = draw(one_field)
        else:
            new.pop(name, None)
    return model_of(old), model_of(new)


@given(versions(), st.data())
def test_what_is_called_compatible_is_read_both_ways(pair: tuple[Model, Model], data: st.DataObject) -> None:
    old, new = pair
    assume(breaks(schema_of(old), schema_of(new)) == [])
    for writer, reader in ((old, new), (new, old)):
        value = data.draw(instances(schema_of(writer)))
        assert reads(reader, json.dumps(value)), value


@given(st.dictionaries(st.sampled_from("xyz"), one_field, max_size=3))
def test_what_stayed_as_it_was_breaks_nobody(fields: Fields) -> None:
    assert breaks(schema_of(model_of(fields)), schema_of(model_of(fields))) == []


@given(versions())
def test_a_change_is_judged_alike_from_both_ends(pair: tuple[Model, Model]) -> None:
    old, new = map(schema_of, pair)
    assert len(breaks(old, new)) == len(breaks(new, old))


OLD, NEW = "an old event", "a new event"
BREAKING: list[tuple[str, Fields, Fields, str, str, str]] = [  # what, old, new, the sentence, who wrote, what the other does not read
    ("a required field is added", {}, {"x": (int, True)}, "Event.x: a new reader needs it, an old event may be without it", OLD, "{}"),
    ("a required field goes", {"x": (int, True)}, {}, "Event.x: an old reader needs it, a new event may be without it", NEW, "{}"),
    ("required becomes optional", {"x": (int, True)}, {"x": (int, False)}, "Event.x: an old reader needs it", NEW, "{}"),
    ("optional becomes required", {"x": (int, False)}, {"x": (int, True)}, "Event.x: a new reader needs it", OLD, "{}"),
    ("a type changes", {"x": (int, True)}, {"x": (str, True)}, "Event.x: an old event may hold integer, a new reader takes string", OLD, '{"x": 1}'),
    ("an optional type changes", {"x": (int, False)}, {"x": (str, False)}, "Event.x: a new event may hold string", NEW, '{"x": "a"}'),
    ("an integer is widened", {"x": (int, True)}, {"x": (float, True)}, "Event.x: a new event may hold number", NEW, '{"x": 1.5}'),
    ("an integer is narrowed", {"x": (float, True)}, {"x": (int, True)}, "Event.x: an old event may hold number", OLD, '{"x": 1.5}'),
    ("null is let in", {"x": (int, True)}, {"x": (int | None, True)}, "Event.x: a new event may hold null", NEW, '{"x": null}'),
    ("null is shut out", {"x": (int | None, True)}, {"x": (int, True)}, "Event.x: an old event may hold null", OLD, '{"x": null}'),
    ("a union grows", {"x": (int, True)}, {"x": (int | str, True)}, "Event.x: a new event may hold string", NEW, '{"x": "a"}'),
    ("a union shrinks", {"x": (int | str, True)}, {"x": (int, True)}, "Event.x: an old event may hold string", OLD, '{"x": "a"}'),
    ("a maximum comes", {"x": (int, True)}, {"x": (AGE, True)}, "Event.x: a new reader asks for maximum 125", OLD, '{"x": 126}'),
    ("a maximum goes", {"x": (AGE, True)}, {"x": (int, True)}, "Event.x: an old reader asks for minimum 0", NEW, '{"x": -1}'),
    ("a length is cut", {"x": (str, True)}, {"x": (SHORT, True)}, "Event.x: a new reader asks for maxLength 5", OLD, '{"x": "aaaaaa"}'),
    ("a pattern comes", {"x": (str, True)}, {"x": (SLUG, True)}, "Event.x: a new reader asks for pattern", OLD, '{"x": "A"}'),
    ("a pattern goes", {"x": (SLUG, True)}, {"x": (str, True)}, "Event.x: an old reader asks for pattern", NEW, '{"x": "A"}'),
    ("a format comes", {"x": (str, True)}, {"x": (UUID, True)}, "Event.x: a new reader asks for format uuid", OLD, '{"x": "a"}'),
    ("a format goes", {"x": (datetime, True)}, {"x": (str, True)}, "Event.x: an old reader asks for format date-time", NEW, '{"x": "a"}'),
    (
        "an enum grows",
        {"x": (Literal["red"], True)},
        {"x": (Literal["red", "green"], True)},
        'Event.x: a new event may hold "green", an old reader does not know it',
        NEW,
        '{"x": "green"}',
    ),
    (
        "an enum shrinks",
        {"x": (Literal["red", "green"], True)},
        {"x": (Literal["red"], True)},
        'Event.x: an old event may hold "green", a new reader does not know it',
        OLD,
        '{"x": "green"}',
    ),
    ("an enum becomes text", {"x": (Literal["red"], True)}, {"x": (str, True)}, "Event.x: a new event may hold any string", NEW, '{"x": "a"}'),
    ("an empty list is shut out", {"x": (tuple[int, ...], True)}, {"x": (SOME, True)}, "Event.x: a new reader asks for minItems 1", OLD, '{"x": []}'),
    ("an empty list is let in", {"x": (SOME, True)}, {"x": (tuple[int, ...], True)}, "Event.x: an old reader asks for minItems 1", NEW, '{"x": []}'),
    ("items change", {"x": (tuple[int, ...], True)}, {"x": (tuple[str, ...], True)}, "Event.x[]: a new event may hold string", NEW, '{"x": ["a"]}'),
    ("a pair is turned", {"x": (tuple[int, str], True)}, {"x": (tuple[str, int], True)}, "Event.x[0]: a new event may hold", NEW, '{"x": ["a", 1]}'),
    (
        "a pair becomes a list",
        {"x": (tuple[int, int], True)},
        {"x": (tuple[int, ...], True)},
        "an old reader asks for maxItems 2",
        NEW,
        '{"x": [1, 2, 3]}',
    ),
    ("a nested field is added", {"x": (Part, True)}, {"x": (OtherPart, True)}, "Event.x.b: a new reader needs it", OLD, '{"x": {"a": 1}}'),
    (
        "a field in a list goes",
        {"x": (tuple[OtherPart, ...], True)},
        {"x": (tuple[Part, ...], True)},
        "Event.x[].b: an old",
        NEW,
        '{"x": [{"a": 1}]}',
    ),
    ("a part that holds itself changes", {"x": (Branch, True)}, {"x": (OtherBranch, True)}, "Event.x.a: a new event", NEW, '{"x": {"a": null}}'),
    ("values change", {"x": (dict[str, int], True)}, {"x": (dict[str, str], True)}, "Event.x.*: a new event", NEW, '{"x": {"k": "a"}}'),
    (
        "values under names of a pattern change",
        {"x": (dict[SLUG, int], True)},
        {"x": (dict[SLUG, str], True)},
        "Event.x.*: a new event may hold string, an old reader takes integer",
        NEW,
        '{"x": {"k": "a"}}',
    ),
    (
        "a part under names of a pattern grows",
        {"x": (dict[SLUG, Part], True)},
        {"x": (dict[SLUG, OtherPart], True)},
        "Event.x.*.b: a new reader needs it, an old event may be without it",
        OLD,
        '{"x": {"k": {"a": 1}}}',
    ),
    (
        "the pattern of names changes",
        {"x": (dict[SLUG, int], True)},
        {"x": (dict[OTHER_SLUG, int], True)},
        "Event.x: a new event has names of the pattern ^[a-z]{1,9}$, an old reader does not",
        NEW,
        '{"x": {"abcdefgh": 1}}',
    ),
    (
        "a pattern of names comes",
        {"x": (dict[str, int], True)},
        {"x": (dict[SLUG, int], True)},
        "Event.x: a new reader has names of the pattern ^[a-z]{1,5}$, an old event does not",
        OLD,
        '{"x": {"K": 1}}',
    ),
    (
        "names of a pattern are cut",
        {"x": (dict[SLUG, int], True)},
        {"x": (dict[Annotated[SLUG, Field(max_length=2)], int], True)},
        "Event.x, its names: a new reader asks for maxLength 2",
        OLD,
        '{"x": {"abc": 1}}',
    ),
]


@pytest.mark.parametrize(("old", "new", "sentence", "writer", "witness"), [row[1:] for row in BREAKING], ids=[row[0] for row in BREAKING])
def test_a_change_that_breaks_somebody_is_told_with_the_field_and_who(old: Fields, new: Fields, sentence: str, writer: str, witness: str) -> None:
    before, after = model_of(old), model_of(new)
    written_by, read_by = (before, after) if writer == OLD else (after, before)
    assert reads(written_by, witness)
    assert not reads(read_by, witness)  # the witness: it really is not read
    assert any(sentence in told for told in breaks(schema_of(before), schema_of(after)))


BEARABLE: list[tuple[str, Fields, Fields]] = [
    ("an optional field is added", {"x": (int, True)}, {"x": (int, True), "y": (str, False)}),
    ("a field that was never needed goes", {"x": (int, True), "y": (str, False)}, {"x": (int, True)}),
    ("an optional field in a part is added", {"x": (Part, True)}, {"x": (WiderPart, True)}),
    ("an optional field in a list's parts is added", {"x": (tuple[Part, ...], True)}, {"x": (tuple[WiderPart, ...], True)}),
    ("an optional field in parts under names of a pattern is added", {"x": (dict[SLUG, Part], True)}, {"x": (dict[SLUG, WiderPart], True)}),
    ("a union is turned round", {"x": (int | str, True)}, {"x": (str | int, True)}),
    ("a union of parts is turned round", {"x": (Part | OtherPart, True)}, {"x": (OtherPart | Part, True)}),
    ("an enum is turned round", {"x": (Literal["red", "green"], True)}, {"x": (Literal["green", "red"], True)}),
]


@pytest.mark.parametrize(("old", "new"), [row[1:] for row in BEARABLE], ids=[row[0] for row in BEARABLE])
def test_a_change_that_breaks_nobody_passes(old: Fields, new: Fields) -> None:
    assert breaks(schema_of(model_of(old)), schema_of(model_of(new))) == []


def test_a_bound_that_moves_breaks_one_side_and_says_which() -> None:
    old, new = schema_of(model_of({"x": (AGE, True)})), schema_of(model_of({"x": (OLDER_AGE, True)}))
    assert breaks(old, new) == ["Event.x: an old reader asks for maximum 125, a new event keeps to 150"]
    assert breaks(new, old) == ["Event.x: a new reader asks for maximum 125, an old event keeps to 150"]


def test_a_reader_that_forbids_unknown_fields_breaks_by_a_new_one() -> None:
    closed = {"type": "object", "title": "Event", "properties": {}, "additionalProperties": False}
    opened = {"type": "object", "title": "Event", "properties": {"x": {"type": "integer"}}, "additionalProperties": False}
    assert breaks(closed, opened) == ["Event.x: a new event may hold it, an old reader forbids what it does not know"]


def test_a_field_named_beside_names_of_a_pattern_counts_as_broken() -> None:
    plain = {"type": "object", "title": "Event", "patternProperties": {"^x": {"type": "integer"}}}
    named = {**plain, "properties": {"xy": {"type": "string"}}}
    assert any("Event.xy: one side names it" in told for told in breaks(plain, named))


def test_what_is_not_understood_counts_as_broken() -> None:
    plain = {"type": "object", "title": "Event", "properties": {"x": {"type": "integer"}}}
    clever = {"type": "object", "title": "Event", "properties": {"x": {"type": "integer", "not": {"const": 3}}}}
    assert any("not is not understood" in told for told in breaks(plain, clever))


def test_a_field_that_comes_back_as_another_type_breaks_the_version_before_last() -> None:
    first, second, third = (schema_of(model_of(fields)) for fields in ({"x": (int, False)}, {}, {"x": (str, False)}))
    assert breaks(first, second) == breaks(second, third) == []
    told = breaks_with_kept({1: first, 2: second}, third)
    assert told
    assert all(sentence.startswith("version 1: Event.x: ") for sentence in told)
