"""What is asked of a case, as it comes over HTTP: read by hand, after the token, and counted while it comes; and what OpenAPI says of it."""

from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect

from services.console.asking import Asked
from services.runtime.http import Problem

MAX_BODY_BYTES = 8 * 1024  # the longest words, each character escaped, have 5 KiB

_ASKED: TypeAdapter[Asked] = TypeAdapter(Asked)


async def read_asked(request: Request) -> Asked:
    """Return what is asked; Problem 413 or 400 where the body cannot be taken, RequestValidationError where it is not understood."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise Problem(413, "Too large", f"A command has at most {MAX_BODY_BYTES} bytes. Nothing was asked: send a shorter one.")
    except ClientDisconnect:
        raise Problem(400, "Broken off", "The connection ended before the command did. Send it again.") from None
    try:
        return _ASKED.validate_json(body)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)
        raise RequestValidationError([{**part, "loc": ("body", *part["loc"])} for part in wrong]) from None


def _inlined(part: Any, definitions: dict[str, Any]) -> Any:
    """Return a part of a schema with each definition in the place where it is named: OpenAPI finds none inside of a body's schema."""
    if isinstance(part, list):
        return [_inlined(each, definitions) for each in part]
    if not isinstance(part, dict):
        return part
    named = definitions[part["$ref"].rsplit("/", 1)[-1]] if "$ref" in part else {}
    return {name: _inlined(each, definitions) for name, each in (named | part).items() if name not in {"$ref", "$defs", "discriminator"}}


def _schema() -> dict[str, Any]:
    whole = _ASKED.json_schema()
    schema: dict[str, Any] = _inlined(whole, whole["$defs"])
    return schema


COMMAND: dict[str, Any] = {"requestBody": {"required": True, "content": {"application/json": {"schema": _schema()}}}}
