"""What the gateway answers where it does not accept: each a problem (RFC 9457) and a reason for the metric. None quotes what was sent."""

from collections.abc import Sequence
from typing import Any

from services.gateway.facts import ALLOWED
from services.runtime.archive import MAX_FILES, MAX_TOTAL_BYTES
from services.runtime.http import RETRY_AFTER_S, Problem

MAX_MIB = MAX_TOTAL_BYTES // 1024 // 1024


class Refusal(Problem):
    def __init__(
        self, reason: str, status: int, title: str, detail: str, more: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, title, detail, more, headers)
        self.args = (reason, status, title, detail, more, headers)
        self.reason = reason


def not_a_clinic() -> Refusal:
    return Refusal("not_a_clinic", 403, "Not a clinic's token", "This token is a person's. Recordings are sent with the token of a clinic.")


def not_that_clinic(own: str) -> Refusal:
    return Refusal("not_that_clinic", 403, "Another clinic", f"This token is of clinic {own}. Send `clinic={own}`, or leave it out.")


def too_large() -> Refusal:
    return Refusal("too_large", 413, "Too many bytes", f"An upload has at most {MAX_MIB} MiB in all. Send one 12-lead recording of 10 s.")


def too_slow(limit_s: float) -> Refusal:
    return Refusal("too_slow", 408, "Not received in time", f"The upload did not arrive whole within {limit_s:g} s. Send it again.")


def broken_off() -> Refusal:
    return Refusal("broken_off", 400, "Broken off", "The connection ended before the upload did. Send it again.")


def no_bytes() -> Refusal:
    return Refusal("no_bytes", 400, "No bytes", "The upload holds no bytes of a recording. Send the file as `files`, or as the body.")


def too_many_files() -> Refusal:
    return Refusal(
        "too_many_files", 400, "Too many files", f"An upload is one recording, of at most {MAX_FILES} files. Send one recording at a time."
    )


def not_a_form() -> Refusal:
    return Refusal("malformed", 400, "Not a form", "The multipart body cannot be read. Send the file itself as the body, and the facts in the query.")


def not_packed(reason: str) -> Refusal:
    return Refusal("malformed", 400, "Files not accepted", reason)


def bad_length() -> Refusal:
    return Refusal("malformed", 400, "Bad length", "Content-Length is not a number of bytes.")


def bad_key() -> Refusal:
    return Refusal("bad_key", 400, "Bad Idempotency-Key", "An Idempotency-Key is 1 to 200 visible ASCII characters, sent once.")


def key_reused(upload_id: str) -> Refusal:
    detail = f"This Idempotency-Key came before, with other bytes or facts, as upload {upload_id}. Make a new key for a new upload."
    return Refusal("key_reused", 422, "Idempotency-Key used before", detail, {"upload_id": upload_id})


def bad_facts(names: Sequence[str]) -> Refusal:
    facts = [{"name": name, "allowed": ALLOWED[name]} for name in names]
    detail = "; ".join(f"{name}: {ALLOWED[name]}" for name in names)
    return Refusal(
        "bad_facts", 422, "Facts that cannot be true", f"Correct them or leave them out. {detail}.", {"unknown_facts": list(names), "facts": facts}
    )


def busy(standing_number: str) -> Refusal:
    return _not_now("busy", "Busy for the moment", "Too many uploads are in hand.", standing_number)


def away(what: str, standing_number: str) -> Refusal:
    return _not_now("away", "Away for the moment", f"{what} cannot be reached.", standing_number)


def _not_now(reason: str, title: str, why: str, standing_number: str) -> Refusal:
    detail = f"{why} Send the same again in a few seconds; where it is urgent, call the centre meanwhile: {standing_number}."
    return Refusal(reason, 503, title, detail, {"standing_number": standing_number}, {"Retry-After": str(RETRY_AFTER_S)})


def not_that_method() -> Refusal:
    return Refusal("method", 405, "Not that method", "Recordings are sent here with POST.", headers={"Allow": "POST"})


def failed() -> Refusal:
    return Refusal("error", 500, "Failed", "The gateway failed on this upload; nothing was accepted. Call the centre, and send it again.")
