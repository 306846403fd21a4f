"""JSON values that a schema admits, for hypothesis: every form, every bound, optional fields there and not there."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

Values = st.SearchStrategy[Any]

TEXT = st.sampled_from('aZ9 _-."\\/é心😀\x00')
UNDERSTOOD = frozenset(
    {"$defs", "$id", "$ref", "$schema", "additionalProperties", "anyOf", "const", "default", "description", "enum", "format", "items"}
    | {"maxItems", "maxLength", "maximum", "minItems", "minLength", "minimum", "oneOf", "pattern", "prefixItems", "properties", "required", "title"}
    | {"maxProperties", "minProperties", "patternProperties", "type", "writeOnly"}
)
INSTANTS = st.builds(
    lambda at, offset_min: at.replace(tzinfo=timezone(timedelta(minutes=offset_min))).isoformat(),
    st.datetimes(min_value=datetime(2000, 1, 2), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001 - the zone is put in beside
    st.sampled_from([0, 480, -330]),
)
WALL_CLOCK = st.datetimes(min_value=datetime(2000, 1, 2), max_value=datetime(2100, 1, 1)).map(datetime.isoformat)  # noqa: DTZ001 - it has no zone
OF_FORMAT: dict[str, Values] = {
    "uuid": st.uuids().map(str),
    "date-time": INSTANTS,
    "date-time-local": WALL_CLOCK,
    "password": st.text(TEXT, max_size=40),
}


def instances(schema: Mapping[str, Any], root: Mapping[str, Any] | None = None) -> Values:
    """Return a strategy of values that the schema admits; ValueError where it holds a keyword that is not understood here."""
    root = schema if root is None else root
    if unknown := schema.keys() - UNDERSTOOD:
        raise ValueError(f"instances do not know {sorted(unknown)}")
    if "$ref" in schema:
        return st.deferred(lambda: instances(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root))  # a part may hold itself
    if branches := schema.get("anyOf") or schema.get("oneOf"):
        return st.one_of([instances(branch, root) for branch in branches])
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    return OF_TYPE[schema["type"]](schema, root)


def _objects(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Values:
    fields = {name: instances(part, root) for name, part in schema.get("properties", {}).items()}
    needed = set(schema.get("required", ()))
    others = schema.get("additionalProperties")
    fewest = schema.get("minProperties", 0)
    most = min(schema.get("maxProperties", fewest + 2), fewest + 2)
    if patterns := schema.get("patternProperties"):
        ((pattern, part),) = patterns.items()
        return st.dictionaries(st.from_regex(pattern, fullmatch=True), instances(part, root), min_size=fewest, max_size=most)
    if not fields and isinstance(others, Mapping):
        return st.dictionaries(st.text(TEXT, max_size=4), instances(others, root), min_size=fewest, max_size=most)
    optional = {name: part for name, part in fields.items() if name not in needed}
    return st.fixed_dictionaries({name: fields[name] for name in sorted(needed)}, optional=optional)


def _arrays(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Values:
    if first := schema.get("prefixItems"):
        return st.tuples(*(instances(part, root) for part in first)).map(list)
    fewest = schema.get("minItems", 0)
    return st.lists(instances(schema["items"], root), min_size=fewest, max_size=min(schema.get("maxItems", fewest + 2), fewest + 2))


def _strings(schema: Mapping[str, Any], _: Mapping[str, Any]) -> Values:
    if "format" in schema:
        return OF_FORMAT[schema["format"]]
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True)
    fewest = schema.get("minLength", 0)
    texts = st.text(TEXT, min_size=fewest, max_size=min(schema.get("maxLength", 40), 40))
    return texts.filter(lambda text: len(text.strip()) >= fewest)  # no schema tells that blanks at the ends are taken away


def _integers(schema: Mapping[str, Any], _: Mapping[str, Any]) -> Values:
    return st.integers(schema.get("minimum"), schema.get("maximum"))


def _numbers(schema: Mapping[str, Any], _: Mapping[str, Any]) -> Values:
    return st.floats(schema.get("minimum"), schema.get("maximum"), allow_nan=False, allow_infinity=False)


OF_TYPE: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Values]] = {
    "object": _objects,
    "array": _arrays,
    "string": _strings,
    "integer": _integers,
    "number": _numbers,
    "boolean": lambda *_: st.booleans(),
    "null": lambda *_: st.none(),
}
