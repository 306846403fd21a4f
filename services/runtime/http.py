"""What HTTP services share: problem details (RFC 9457) for every error, bearer tokens, and what is away as a 503.

A router made with `route_class=ProblemRoute` answers its own errors so, whatever app it is mounted into."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from structlog import get_logger

from services.runtime.errors import Away, GreenchannelError, NotFolded, NotLoaded
from services.runtime.not_understood import in_words

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2

log = get_logger()


class Problem(GreenchannelError):
    """Raised by an endpoint: becomes the answer. `more` are extension members; title and detail are shown to whoever asked."""

    def __init__(self, status: int, title: str, detail: str, more: dict[str, Any] | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, title, detail, more, headers)
        self.status, self.title, self.detail, self.more, self.headers = status, title, detail, more or {}, headers

    def __str__(self) -> str:
        return f"{self.status} {self.title}: {self.detail}"

    def response(self) -> Response:
        return problem(self.status, self.title, self.detail, headers=self.headers, **self.more)


def problem(status: int, title: str, detail: str, *, headers: dict[str, str] | None = None, **more: Any) -> Response:
    """Return an answer as problem details; `more` are its extension members."""
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail} | more
    return JSONResponse(content, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def away_problem(away: Away) -> Response:
    """Return 503: nothing was accepted; the same request may be sent again."""
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    if isinstance(away, NotLoaded):
        detail = (
            f"This server has no {away.what} yet. Ask whoever runs it to load it; then send the same again. Until then call the centre by telephone."
        )
        return problem(503, "Not set up yet", detail, headers=headers)
    if isinstance(away, NotFolded):
        detail = "Whether there is something to show is not known: it is being read again from the log. Ask again in a few seconds."
        return problem(503, "Not known yet", f"{detail} Where it is urgent, call by telephone.", headers=headers)
    return problem(503, "Away for the moment", f"{away.what} cannot be reached. Send the same again in a few seconds.", headers=headers)


def bearer_token(request: Request) -> str:
    """Return the token of the Authorization header; Problem 401 where there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized("Send your token: `Authorization: Bearer TOKEN`.")
    return token.strip()


def unauthorized(detail: str) -> Problem:
    return Problem(401, "Not authorized", detail, headers={"WWW-Authenticate": "Bearer"})


class ProblemRoute(APIRoute):
    """A route whose errors are problem details: Problem, Away, what FastAPI refuses."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except Problem as error:
                return error.response()
            except Away as away:
                log.warning("answered 503", what=away.what, cause=away.cause)
                return away_problem(away)
            except RequestValidationError as error:
                return problem(422, "Not understood", in_words(error.errors(), error.body))
            except HTTPException as error:
                return problem(error.status_code, "Refused", str(error.detail), headers=dict(error.headers or {}))

        return answer


def answer_errors(app: FastAPI) -> None:
    """Make problem details of what no route has answered: a path that is not there, a method that it has not, a fault of ours."""

    async def refused(_: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        title, detail = _IN_WORDS.get(status, ("Refused", "See /v1/openapi.json for what can be asked."))
        return problem(status, title, detail, headers=dict(getattr(error, "headers", None) or {}))

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(Exception, refused)


_IN_WORDS = {
    404: ("Not found", "There is nothing at this path. See /v1/openapi.json for what there is."),
    405: ("Method not allowed", "This path does not take this method. See /v1/openapi.json."),
    500: ("A fault in this program", "It was logged. Nothing was accepted; send the same again."),
}
