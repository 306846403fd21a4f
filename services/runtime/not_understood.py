"""What is wrong with a request's fields, for the person who sent it: pydantic's findings without its words, which are a programmer's, and
without the values, which may be a patient's."""

from collections.abc import Mapping, Sequence
from typing import Any

LONGEST_CHARACTERS = 400

_SAID: Mapping[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "json_invalid": "the body is not JSON",
    "model_attributes_type": "is to be a JSON object",
    "model_type": "is to be a JSON object",
    "dict_type": "is to be a JSON object",
    "union_tag_not_found": "is missing",
    "union_tag_invalid": "is to be one of {expected_tags}",
    "literal_error": "is to be one of {expected}",
    "enum": "is to be one of {expected}",
    "string_type": "is to be text",
    "string_too_short": "is too short: at least {min_length} character(s)",
    "string_too_long": "is too long: at most {max_length} characters",
    "string_pattern_mismatch": "is not written as it must be",
    "int_type": "is to be a whole number",
    "int_parsing": "is to be a whole number",
    "int_from_float": "is to be a whole number",
    "float_type": "is to be a number",
    "float_parsing": "is to be a number",
    "greater_than": "is to be more than {gt}",
    "greater_than_equal": "is to be at least {ge}",
    "less_than": "is to be less than {lt}",
    "less_than_equal": "is to be at most {le}",
    "uuid_type": "is to be a whole id, as it was shown",
    "uuid_parsing": "is to be a whole id, as it was shown",
    "datetime_type": "is to be a time with its offset, 2026-03-01T14:05:00+08:00",
    "datetime_parsing": "is to be a time with its offset, 2026-03-01T14:05:00+08:00",
    "datetime_from_date_parsing": "is to be a time with its offset, 2026-03-01T14:05:00+08:00",
    "timezone_aware": "lacks the time's offset: 2026-03-01T14:05:00+08:00",
}


def in_words(findings: Sequence[Mapping[str, Any]], body: object) -> str:
    """Return what is wrong with each field, by its name in the body, the query or the path. findings are those of a ValidationError."""
    return "; ".join(_sentence(each, body) for each in findings)[:LONGEST_CHARACTERS]


def _sentence(finding: Mapping[str, Any], body: object) -> str:
    kind, context = str(finding["type"]), finding.get("ctx", {})
    ours = kind == "value_error"  # raised by our own check, with a sentence
    said = str(finding["msg"]).removeprefix("Value error, ") if ours else _SAID.get(kind, "cannot be used").format_map(context)
    name = str(context["discriminator"]).strip("'") if "discriminator" in context else _name(finding["loc"], body)
    return f"{name}: {said}" if name and kind != "json_invalid" else said


def _name(place: Sequence[str | int], body: object) -> str:
    """Return where it stands, as who wrote it knows it: without the part of the request, and without the kind of body that it was taken for."""
    part, *names = place
    if part == "body" and names and isinstance(body, dict) and names[0] in [value for value in body.values() if isinstance(value, str)]:
        names = names[1:]
    return ".".join(map(str, names))
