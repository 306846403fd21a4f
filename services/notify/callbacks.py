"""Over HTTP: a provider's signed word of what became of a notice. Nothing else makes a notice *delivered* or *opened*."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Request, Response
from pydantic import ConfigDict, ValidationError

from contracts.deliveries import Failure
from contracts.ids import NoticeId
from contracts.vocabulary import Frozen, Instant
from services.notify.handing_over import Publish
from services.notify.metrics import NOTICES
from services.notify.notice import Failed, delivery, reported, sealed
from services.notify.sent_notices import SentNotices
from services.notify.signatures import FRESH_FOR, is_signed, secret_of
from services.runtime.http import Problem, ProblemRoute
from services.runtime.inbox import KEPT

MAX_BODY_BYTES = 8 * 1024
AHEAD_AT_MOST = timedelta(minutes=5)  # of a provider's clock
SPOKEN_FOR = Failed(Failure.PERMANENT, "not sent: another said the same, and its provider says that it did not reach the telephone")


class Word(Frozen):
    """What a provider says of one notice, in its address as {notice_id}."""

    model_config = ConfigDict(extra="forbid")

    notice_id: NoticeId
    status: Literal["delivered", "opened", "failed"]
    at: Instant


def router(secrets: Path | None, notices: SentNotices, publish: Publish, now: Callable[[], datetime]) -> APIRouter:
    """Return the route that providers call; a provider without a file in the folder of secrets finds none."""
    routes = APIRouter(route_class=ProblemRoute)

    @routes.post("/v1/callbacks/{provider}", status_code=204, summary="What became of a notice: delivered, opened or failed")
    async def hear(
        provider: str,
        request: Request,
        greenchannel_timestamp: Annotated[str, Header(max_length=20, description="seconds since 1970")] = "",
        greenchannel_signature: Annotated[str, Header(max_length=80, description="HMAC-SHA-256 of timestamp, dot and body; hexadecimal")] = "",
    ) -> Response:
        secret = secret_of(secrets, provider)
        if secret is None:
            raise Problem(404, "Not found", "No provider of this name may call back here.")
        body = await _body(request)
        if not is_signed(secret, greenchannel_timestamp, greenchannel_signature, body, now()):
            minutes = FRESH_FOR // timedelta(minutes=1)
            raise Problem(401, "Not authorized", f"Sign the timestamp, a dot and the body with your secret, and send it within {minutes} minutes.")
        word = _word(body, now())
        origin = await notices.find(word.notice_id)
        if origin is None:
            raise Problem(404, "Not found", "No such page or note was sent in the last seven days.")
        said = await notices.failed(origin.notice_id) if word.status == "failed" else []  # before cases hears of it, and pages again at once
        told = reported(origin, word.status, min(word.at, now()))
        await publish(sealed(told, origin, now()))
        for other in said:
            await publish(sealed(delivery(other, SPOKEN_FOR, now()), other, now()))
        NOTICES.labels(f"callback_{word.status}", origin.priority.value if origin.priority else "note").inc()
        return Response(status_code=204)

    return routes


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Problem(413, "Too large", f"A word about one notice has at most {MAX_BODY_BYTES} bytes.")
    return body


def _word(body: bytes, now: datetime) -> Word:
    try:
        word = Word.model_validate_json(body)
    except ValidationError as error:
        wrong = ", ".join(sorted({".".join(map(str, part["loc"])) or "json" for part in error.errors(include_input=False)}))
        raise Problem(422, "Not understood", f"Missing, malformed or not known: {wrong[:200]}.") from None
    if not now - KEPT <= word.at <= now + AHEAD_AT_MOST:
        raise Problem(422, "Not understood", "`at` is more than seven days ago or more than five minutes ahead: mend your clock.")
    return word
