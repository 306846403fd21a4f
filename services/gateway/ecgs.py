"""`POST /v1/ecgs` in HTTP's words: who asks, what came, and how it is answered. What it means is decided in facts and intake."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from structlog import get_logger

from contracts.access import Access, ClinicTokenAdded
from contracts.answering import nearest_centre
from contracts.directory import Centre, Directory
from contracts.ids import ClinicId
from contracts.intake import EcgUploaded
from contracts.vocabulary import Lane
from services.gateway import metrics, refusals
from services.gateway.body import declared_bytes, read_body
from services.gateway.facts import clean, not_understood, read_facts, says_routine
from services.gateway.intake import Arrived, FactsRefused, Intake, KeyReused
from services.gateway.openapi import ECGS
from services.gateway.room import Full, Room
from services.runtime.archive import BadArchive
from services.runtime.errors import Away
from services.runtime.http import Problem, ProblemRoute, bearer_token, unauthorized

PATH = "/v1/ecgs"
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_SHOWN_IN_OPENAPI = Depends(HTTPBearer(auto_error=False, scheme_name="bearer"))  # the desk checks the token itself

log = get_logger()


def router(access: Callable[[], Access], directory: Callable[[], Directory], intake: Intake, room: Room) -> APIRouter:
    """Return the gateway's routes. access and directory raise Away while they are not known: then nothing is taken in."""
    routes = APIRouter(route_class=ProblemRoute)
    desk = _Desk(access, directory, intake, room)

    @routes.post(PATH, status_code=202, response_model=None, summary="Send an ECG", dependencies=[_SHOWN_IN_OPENAPI], openapi_extra=ECGS)
    async def ecgs(request: Request) -> Response:
        return await desk.answer(request)

    @routes.api_route(PATH, methods=["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"], response_model=None, include_in_schema=False)
    async def other_methods() -> Response:
        raise refusals.not_that_method()

    return routes


class _Desk:
    def __init__(self, access: Callable[[], Access], directory: Callable[[], Directory], intake: Intake, room: Room) -> None:
        self._access, self._directory, self._intake, self._room = access, directory, intake, room

    async def answer(self, request: Request) -> Response:
        """Take an upload in and answer; whatever goes wrong is counted, and is a problem."""
        try:
            return await self._receive(request)
        except Problem as refused:
            reason = refused.reason if isinstance(refused, refusals.Refusal) else "no_token"
            metrics.REFUSED.labels(reason).inc()
            log.info("upload refused", reason=reason)
            raise
        except Away:
            metrics.REFUSED.labels("away").inc()
            raise
        except Exception as error:  # a stranger's error is answered like the rest; the log has where it came from, and not what it quotes
            metrics.REFUSED.labels("error").inc()
            log.error("upload failed", exc_info=True)
            raise refusals.failed() from error

    async def _receive(self, request: Request) -> Response:
        clinic_id = self._clinic_of(request)
        _, centre = nearest_centre(self._directory(), clinic_id)
        _must_be_own(request.query_params.getlist("clinic"), clinic_id)
        idempotency_key = _idempotency_key(request)
        size_bytes = declared_bytes(request)
        # A form's lane is known only when the form has been read: until then it is an emergency. What says so in the query is routine at once.
        lane = Lane.ROUTINE if says_routine(request.query_params.getlist("lane")) else Lane.EMERGENCY
        try:
            async with self._room.place(lane, size_bytes, clinic_id):
                body = await read_body(request)
                received_at, begun_s = datetime.now(UTC), time.monotonic()
                given = (*request.query_params.multi_items(), *body.fields)
                _must_be_own([value for name, value in given if name == "clinic"], clinic_id)
                facts = read_facts(given, received_at)
                if facts.lane is Lane.ROUTINE:
                    self._room.stay_as_routine()
                event = await self._intake.accept(Arrived(clinic_id, facts, body.files, idempotency_key, received_at))
        except Full:
            raise refusals.busy(centre.standing_number) from None
        except Away as away:
            log.warning("answered 503", what=away.what, cause=away.cause)
            raise refusals.away(away.what, centre.standing_number) from None
        except FactsRefused as error:
            raise refusals.bad_facts(error.names) from None
        except KeyReused as error:
            raise refusals.key_reused(str(error.upload_id)) from None
        except BadArchive as error:
            raise refusals.not_packed(error.reason) from None
        metrics.ACCEPTED.labels(event.lane).inc()
        metrics.ACCEPTING_SECONDS.labels(event.lane).observe(time.monotonic() - begun_s)
        log.info("upload accepted", upload_id=str(event.upload_id), clinic=clinic_id, lane=event.lane.value)
        if strange := not_understood(given):
            metrics.NOT_UNDERSTOOD.inc(len(strange))
            log.warning("fields not understood", upload_id=str(event.upload_id), clinic=clinic_id, names=strange)
        return _accepted(event, centre, strange)

    def _clinic_of(self, request: Request) -> ClinicId:
        holder = self._access().holder(bearer_token(request))
        if holder is None:
            raise unauthorized("This token is not known here. Ask who runs the server for the clinic's token.")
        if not isinstance(holder, ClinicTokenAdded):
            raise refusals.not_a_clinic()
        return holder.clinic_id


def _accepted(event: EcgUploaded, centre: Centre, strange: tuple[str, ...]) -> Response:
    content = {
        "upload_id": str(event.upload_id),
        "lane": event.lane.value,
        "standing_number": centre.standing_number,
        "unknown_facts": list(event.unknown_facts),
        "not_understood": list(strange),
        "received_at": event.at.isoformat(),
    }
    return JSONResponse(content, status_code=202, headers={"Location": f"/v1/uploads/{event.upload_id}"})


def _must_be_own(said: list[str], own: ClinicId) -> None:
    if any(clean(value) not in ("", own) for value in said):
        raise refusals.not_that_clinic(own)


def _idempotency_key(request: Request) -> str | None:
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise refusals.bad_key()
    return keys[0]
