"""What OpenAPI says of `POST /v1/ecgs`, whose body is read by hand: counted, and after the token."""

from typing import Any

from services.gateway.facts import KNOWN, NAMED_AT_MOST, NOT_A_NAME

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "unknown_facts": {"type": "array", "items": {"type": "string"}},
        "standing_number": {"type": "string", "description": "the centre's telephone number, where the upload could not be taken in"},
    },
}

_ACCEPTED: dict[str, Any] = {
    "type": "object",
    "required": ["upload_id", "lane", "standing_number", "unknown_facts", "not_understood", "received_at"],
    "properties": {
        "upload_id": {"type": "string", "format": "uuid"},
        "lane": {"type": "string", "enum": ["emergency", "routine"]},
        "standing_number": {"type": "string", "description": "the centre's telephone number that a person always answers"},
        "unknown_facts": {"type": "array", "items": {"type": "string"}, "description": "facts that came and could not be true"},
        "not_understood": {
            "type": "array",
            "items": {"type": "string"},
            "maxItems": NAMED_AT_MOST,
            "description": f"names of fields that are no facts here, mistyped for one, and had no effect; `{NOT_A_NAME}` for one that is no name",
        },
        "received_at": {"type": "string", "format": "date-time"},
    },
}


def _problem(what: str) -> dict[str, Any]:
    return {"description": what, "content": {"application/problem+json": {"schema": _PROBLEM}}}


ECGS: dict[str, Any] = {
    "description": "One recording, as form files or as the body. Facts are form fields or query parameters; send `lane=routine` in the query. "
    "In the emergency lane a fact that cannot be true is taken as unknown and named; in the routine lane it is refused. "
    "A field of another name has no effect in either lane, and is named in `not_understood`.",
    "parameters": [
        *({"name": name, "in": "query", "required": False, "description": what, "schema": {"type": "string"}} for name, what in KNOWN.items()),
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "a key of the clinic's own for this upload",
            "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
        },
    ],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1, "maxItems": 32},
                        **{name: {"type": "string", "description": what} for name, what in KNOWN.items()},
                    },
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    "responses": {
        "202": {"description": "Durable: from now on a timer runs", "content": {"application/json": {"schema": _ACCEPTED}}},
        "400": _problem("No bytes, too many files, or a form or key that cannot be read"),
        "401": _problem("No token, or one that is not known"),
        "403": _problem("A person's token, or another clinic"),
        "408": _problem("The body did not arrive in time"),
        "413": _problem("More than 32 MiB"),
        "422": _problem("A routine upload's facts cannot be true, or the Idempotency-Key came before with something else"),
        "503": _problem("Kafka or the blob store is away, or too much is in hand: nothing was accepted; see Retry-After"),
    },
}
