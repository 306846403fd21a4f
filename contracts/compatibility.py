"""Whether readers bear a change of an event: a judgement over two JSON Schemas, both ways. What it does not understand, it calls broken.

A schema is a set of JSON values. Where each value that one side writes is one that the other side reads, nothing breaks. Fields that a reader
does not know pass, unless it forbids them; fields that a writer does not name, it does not write."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]
Seen = frozenset[tuple[int, int]]

_WORDS = frozenset({"title", "description", "default", "examples", "deprecated", "writeOnly", "discriminator", "$defs", "$id", "$schema", "$comment"})
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_SAME = ("pattern", "format", "multipleOf", "uniqueItems", "contentEncoding", "contentMediaType")
_PARTS = ("type", "enum", "properties", "required", "additionalProperties", "patternProperties", "propertyNames", "items", "prefixItems")
_UNDERSTOOD = _WORDS | {*_LOWER, *_UPPER, *_SAME, *_PARTS}
_FROM_ZERO = frozenset({"minLength", "minItems", "minProperties"})  # without them nothing is shorter than 0 either


def breaks(old: Schema, new: Schema) -> list[str]:
    """Return what breaks between two versions of one event, a sentence each that names the field and who breaks; [] where both read both."""
    name = str(new.get("title", "event"))
    backward = _Way(old, new, writer="an old event", reader="a new reader")
    forward = _Way(new, old, writer="a new event", reader="an old reader")
    return [*_gaps(backward, old, new, name, frozenset()), *_gaps(forward, new, old, name, frozenset())]


def breaks_with_kept(kept: Mapping[int, Schema], new: Schema) -> list[str]:
    """Return what breaks between the new version and any of the kept ones: events of all of them lie in the topics."""
    return [f"version {number}: {sentence}" for number, old in sorted(kept.items()) for sentence in breaks(old, new)]


@dataclass(frozen=True)
class _Way:
    """One way to look: from what is written, by one version, to what can be read, by the other."""

    writers: Schema
    readers: Schema
    writer: str
    reader: str


def _gaps(way: _Way, written: Any, read: Any, path: str, seen: Seen) -> list[str]:
    """Return what of the written values the reader does not take. seen: the places under comparison, by identity, since a part may hold itself."""
    if (id(written), id(read)) in seen:
        return []
    seen |= {(id(written), id(read))}
    reading = list(_forms(way.readers, read))
    found: list[str] = []
    for form in _forms(way.writers, written):
        able = [each for each in reading if _takes_type(form.get("type"), each.get("type"))]
        if able:
            fewest: list[str] = min((_form_gaps(way, form, each, path, seen) for each in able), key=len)
            found += fewest
        else:
            known = sorted({str(each.get("type", "anything")) for each in reading}) or ["nothing"]
            found.append(f"{path}: {way.writer} may hold {form.get('type', 'anything')}, {way.reader} takes {' or '.join(known)}")
    return found


def _forms(root: Schema, schema: Any) -> Iterator[Schema]:
    """Yield the alternatives of a schema, each of one type at most, references followed."""
    if isinstance(schema, bool):
        yield from ({},) if schema else ()
        return
    beside = schema.keys() - _WORDS
    if "$ref" in schema and beside == {"$ref"}:
        yield from _forms(root, _named_part(root, schema["$ref"]))
    elif beside in ({"anyOf"}, {"oneOf"}):
        for branch in schema.get("anyOf") or schema["oneOf"]:
            yield from _forms(root, branch)
    elif "const" in schema:
        yield from _forms(root, {**{key: value for key, value in schema.items() if key != "const"}, "enum": [schema["const"]]})
    elif isinstance(schema.get("type"), list):
        for each in schema["type"]:
            yield {**schema, "type": each}
    elif "enum" in schema and "type" not in schema:
        for each in sorted({_type_of(value) for value in schema["enum"]}):
            yield {**schema, "type": each, "enum": [value for value in schema["enum"] if _type_of(value) == each]}
    else:
        yield schema


def _named_part(root: Schema, ref: str) -> Any:
    if not ref.startswith("#/"):
        raise ValueError(f"{ref} lies outside the schema: only its own parts can be followed")
    part: Any = root
    for step in ref[2:].split("/"):
        part = part[step.replace("~1", "/").replace("~0", "~")]
    return part


def _type_of(value: Any) -> str:
    if isinstance(value, bool):  # before the numbers: to Python it is one
        return "boolean"
    names = {type(None): "null", int: "integer", float: "number", str: "string", dict: "object", list: "array"}
    return names[type(value)]


def _takes_type(written: str | None, read: str | None) -> bool:
    return read is None or written == read or (written, read) == ("integer", "number")


def _form_gaps(way: _Way, written: Schema, read: Schema, path: str, seen: Seen) -> list[str]:
    return [
        *_not_judged(written, read, path),
        *_enum_gaps(way, written, read, path),
        *_bound_gaps(way, written, read, path),
        *_object_gaps(way, written, read, path, seen),
        *_array_gaps(way, written, read, path, seen),
    ]


def _not_judged(written: Schema, read: Schema, path: str) -> Iterator[str]:
    for keyword in sorted((written.keys() | read.keys()) - _UNDERSTOOD):
        yield f"{path}: {keyword} is not understood here, so it may break; teach contracts/compatibility.py to judge it"


def _enum_gaps(way: _Way, written: Schema, read: Schema, path: str) -> Iterator[str]:
    if "enum" not in read:
        return
    if "enum" not in written:
        yield f"{path}: {way.writer} may hold any {written.get('type', 'value')}, {way.reader} knows only {_listed(read['enum'])}"
        return
    known = {json.dumps(value, sort_keys=True) for value in read["enum"]}
    unknown = [value for value in written["enum"] if json.dumps(value, sort_keys=True) not in known]
    if unknown:
        yield f"{path}: {way.writer} may hold {_listed(unknown)}, {way.reader} does not know it"


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(json.dumps(value, ensure_ascii=False) for value in values)


def _bound_gaps(way: _Way, written: Schema, read: Schema, path: str) -> Iterator[str]:
    for keyword in (*_LOWER, *_UPPER, *_SAME):
        kept_to, asked = written.get(keyword, 0 if keyword in _FROM_ZERO else None), read.get(keyword)
        if asked is None or asked is False or kept_to == asked:
            continue
        within = kept_to is not None and ((keyword in _LOWER and kept_to > asked) or (keyword in _UPPER and kept_to < asked))
        if not within:
            keeps_to = "to none" if kept_to is None else f"to {kept_to}"
            yield f"{path}: {way.reader} asks for {keyword} {asked}, {way.writer} keeps {keeps_to}"


def _object_gaps(way: _Way, written: Schema, read: Schema, path: str, seen: Seen) -> Iterator[str]:
    fields, known = written.get("properties", {}), read.get("properties", {})
    others, others_known = written.get("additionalProperties", False), read.get("additionalProperties", True)
    for name in sorted(set(read.get("required", ())) - set(written.get("required", ()))):
        yield f"{path}.{name}: {way.reader} needs it, {way.writer} may be without it"
    for name in sorted(fields.keys() | known.keys()):
        if name in fields and name not in known and others_known is False:
            yield f"{path}.{name}: {way.writer} may hold it, {way.reader} forbids what it does not know"
        else:
            yield from _gaps(way, fields.get(name, others), known.get(name, others_known), f"{path}.{name}", seen)
    if others is not False:
        yield from _gaps(way, others, others_known, f"{path}.*", seen)
    if others is not False or "patternProperties" in written:
        yield from _gaps(way, written.get("propertyNames", True), read.get("propertyNames", True), f"{path}, its names", seen)
    yield from _pattern_gaps(way, written, read, path, seen)
    if fields and "propertyNames" in read:
        yield from _gaps(way, {"enum": sorted(fields)}, read["propertyNames"], f"{path}, its names", seen)


def _pattern_gaps(way: _Way, written: Schema, read: Schema, path: str, seen: Seen) -> Iterator[str]:
    """Values under names of a pattern. Whether one pattern holds all names of another is not judged, so both must have the same."""
    patterns, known = written.get("patternProperties", {}), read.get("patternProperties", {})
    for pattern in sorted(patterns.keys() | known.keys()):
        if pattern in patterns and pattern in known:
            yield from _gaps(way, patterns[pattern], known[pattern], f"{path}.*", seen)
        else:
            has, lacks = (way.writer, way.reader) if pattern in patterns else (way.reader, way.writer)
            yield f"{path}: {has} has names of the pattern {pattern}, {lacks} does not"
    if patterns or known:
        for name in sorted(written.get("properties", {}).keys() ^ read.get("properties", {}).keys()):
            yield f"{path}.{name}: one side names it beside names of a pattern, which is not judged here, so it may break"


def _array_gaps(way: _Way, written: Schema, read: Schema, path: str, seen: Seen) -> Iterator[str]:
    if "array" not in (written.get("type"), read.get("type")):
        return
    first, first_known = written.get("prefixItems", ()), read.get("prefixItems", ())
    rest, rest_known = written.get("items", True), read.get("items", True)
    longest = written.get("maxItems", float("inf"))
    for place in range(min(max(len(first), len(first_known)), longest)):
        item = first[place] if place < len(first) else rest
        item_known = first_known[place] if place < len(first_known) else rest_known
        yield from _gaps(way, item, item_known, f"{path}[{place}]", seen)
    if longest > max(len(first), len(first_known)):
        yield from _gaps(way, rest, rest_known, f"{path}[]", seen)
