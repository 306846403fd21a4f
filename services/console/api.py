"""The read API of uploads and cases, and people's commands. What is shown is worked out in views; this only asks and answers."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Literal, TypeVar
from uuid import UUID, uuid4

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from structlog import get_logger

from contracts.access import Access
from contracts.cases import Acknowledged, CommandRefused
from contracts.commands import Acknowledge
from contracts.directory import Directory
from contracts.envelope import Record, seal
from contracts.ids import CaseId, ClinicId, EventId, PersonId, UploadId, event_id
from services.console.projection import Fact, Facts
from services.console.redis_projection import PAGES_AT_MOST, Listed, RedisProjection
from services.console.views import CasePhase, CaseSummary, CaseView, UploadView, case_of, case_view, patient_key_of, summary, upload_view, uploads_of
from services.console.who import Person, may_command, may_read_upload, person_of, who_asks
from services.runtime.errors import Away
from services.runtime.http import Problem, ProblemRoute

KNOWN_WITHIN_S = 2.0  # the projection is a moment behind the 202, and a page may be read before it
LOOKS_EVERY_S = 0.05
LOOKS_THROUGH_CASES = 1000
LOOKS_AT_ONCE = 100
LATEST_PAGES = 20  # enough to know a case's round
COMMANDS = ("acknowledge",)
_KEY = re.compile(r"^[\x21-\x7e]{1,200}$")
_CURSOR = re.compile(r"^([0-9]{1,15})-([0-9a-f-]{36})$")

T = TypeVar("T")

log = get_logger()


class Cases(BaseModel):
    cases: list[CaseSummary]
    next: str | None  # the cursor of the next page


class Asked(BaseModel):
    """What a person asks of a case."""

    command: str
    seen: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="`seen` of the case as it was shown to the person; else what the console knows of it by now"
    )


class Told(BaseModel):
    """What is known of a command: without an outcome, it is on its way."""

    case_id: CaseId
    command_id: EventId
    outcome: Literal["acknowledged"] | None = None
    event_id: EventId | None = None


class Api:
    def __init__(
        self,
        projection: RedisProjection,
        publish: Callable[[Record], Awaitable[None]],
        directory: Callable[[], Directory],
        access: Callable[[], Access],
        now: Callable[[], datetime],
    ) -> None:
        self._projection, self._publish, self._directory, self._access, self._now = projection, publish, directory, access, now

    @property
    def _names(self) -> dict[ClinicId, str]:
        return {clinic_id: clinic.name for clinic_id, clinic in self._directory().clinics.items()}

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1", route_class=ProblemRoute)
        router.add_api_route("/uploads/{upload_id}", self.upload, methods=["GET"])
        router.add_api_route("/cases", self.cases, methods=["GET"])
        router.add_api_route("/cases/{case_id}", self.case, methods=["GET"])
        router.add_api_route("/cases/{case_id}/commands", self.command, methods=["POST"], status_code=202, response_model=Told)
        return router

    async def upload(self, request: Request, upload_id: UUID) -> UploadView:
        """What became of an upload."""
        who = who_asks(request, self._access(), self._directory())
        found = await _soon(lambda: self._upload(UploadId(upload_id)), KNOWN_WITHIN_S)
        if found is None or not may_read_upload(who, found.clinic_id, self._directory()):
            raise Problem(404, "Unknown upload", "No upload of yours has this id. Send the recording again: the same upload is counted once.")
        return found

    async def _upload(self, upload_id: UploadId) -> UploadView | None:
        facts = await self._projection.upload(upload_id)
        case_id = case_of(facts)
        of_case: Facts = (await self._projection.cases([case_id], pages=1))[0][0] if case_id else {}
        return upload_view(upload_id, facts, of_case)

    async def cases(
        self,
        request: Request,
        phase: CasePhase | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=60)] = None,
    ) -> Cases:
        """The cases of the person's centres, newest first."""
        person = person_of(who_asks(request, self._access(), self._directory()))
        before = _listed(cursor) if cursor is not None else None
        shown = list[CaseSummary]()
        for _ in range(LOOKS_THROUGH_CASES // LOOKS_AT_ONCE):
            listed = await self._next(person, before)
            for at, case in listed:
                before = at
                if case is not None and (phase is None or case.phase == phase):
                    shown.append(case)
                if len(shown) == limit:
                    return Cases(cases=shown, next=_cursor(before))
            if len(listed) < LOOKS_AT_ONCE:
                return Cases(cases=shown, next=None)
        return Cases(cases=shown, next=_cursor(before) if before else None)

    async def _next(self, person: Person, before: Listed | None) -> list[tuple[Listed, CaseSummary | None]]:
        """Return the next of all of a person's centres; those whose facts are forgotten are None, and are taken off the list."""
        of_centres = await asyncio.gather(*(self._projection.listed(centre_id, before, LOOKS_AT_ONCE) for centre_id in person.centres))
        newest = sorted((each for of_one in of_centres for each in of_one), reverse=True)[:LOOKS_AT_ONCE]
        found = await self._projection.cases([CaseId(UUID(each.case_id)) for each in newest], pages=LATEST_PAGES)
        forgotten = [each.case_id for each, (facts, _) in zip(newest, found, strict=True) if not facts]
        if forgotten:
            await asyncio.gather(*(self._projection.forget(centre_id, forgotten) for centre_id in person.centres))
        names = self._names
        return [(each, summary(facts, names)) for each, (facts, _) in zip(newest, found, strict=True)]

    async def case(self, request: Request, case_id: UUID) -> CaseView:
        """A case with its uploads and its timeline."""
        person = person_of(who_asks(request, self._access(), self._directory()))
        facts, cut = await self._case(person, CaseId(case_id), pages=PAGES_AT_MOST)
        ids = uploads_of(facts)
        uploads = dict(zip(ids, await asyncio.gather(*(self._projection.upload(each) for each in ids)), strict=True))
        view = case_view(facts, uploads, self._names, cut=cut)
        if view is None:
            raise _no_case()
        return view

    async def _case(self, person: Person, case_id: CaseId, *, pages: int) -> tuple[Facts, bool]:
        """Return the facts of a case of one of the person's centres; Problem 404 where there is none."""

        async def opened() -> tuple[Facts, bool] | None:
            facts, cut = (await self._projection.cases([case_id], pages=pages))[0]
            short = summary(facts, self._names)
            if short is not None and short.centre_id not in person.centres:
                raise _no_case()
            return (facts, cut) if short is not None else None

        found = await _soon(opened, KNOWN_WITHIN_S)
        if found is None:
            raise _no_case()
        return found

    async def command(
        self,
        request: Request,
        case_id: UUID,
        asked: Asked,
        wait: Annotated[float, Query(ge=0, le=10, description="seconds to wait for the outcome")] = 0,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Ask something of a case, as the person whose token it is: 202, or with `wait` 200 or 409 with the event that tells the outcome."""
        person = may_command(person_of(who_asks(request, self._access(), self._directory())))
        if asked.command not in COMMANDS:
            raise Problem(422, "Unknown command", f"A case is asked to {', '.join(COMMANDS)}.", {"command": asked.command[:40]})
        if idempotency_key is not None and not _KEY.match(idempotency_key):
            raise Problem(422, "Unusable Idempotency-Key", "Send 1 to 200 visible ASCII characters, a UUID for one.")
        case = CaseId(case_id)
        facts, _ = await self._case(person, case, pages=LATEST_PAGES)
        command_id = _command_id(case, person.person_id, idempotency_key, asked.seen)
        await self._publish(self._acknowledge(case, facts, person.person_id, asked.seen, command_id))
        acknowledged_id = event_id(command_id, Acknowledged.__name__)
        return _answer(case, command_id, await self._outcome(case, command_id, acknowledged_id, wait))

    async def _outcome(self, case: CaseId, command_id: EventId, acknowledged_id: EventId, wait: float) -> Fact | None:
        """Return what came of a command in so many seconds; None where it is not known, which takes nothing from its being on its way."""
        try:
            return await _soon(lambda: self._projection.outcome(case, command_id, acknowledged_id), wait) if wait else None
        except Away as away:
            log.warning("outcome not known", what=away.what, cause=away.cause, case_id=str(case))
            return None

    def _acknowledge(self, case_id: CaseId, facts: Facts, by: PersonId, seen: int | None, command_id: EventId) -> Record:
        short, key = summary(facts, self._names), patient_key_of(facts)
        if short is None or key is None:
            raise _no_case()
        now = self._now()
        return seal(
            Acknowledge(case_id=case_id, at=now, by=by, seen_sequence=seen or short.seen),
            event_id=command_id,
            source="console",
            subject=case_id,
            key=key,
            time=now,
            recorded=now,
            correlation=short.upload_id,
            causation=short.sources["phase"],  # what the person saw
            priority=short.priority,
        )


def _answer(case_id: CaseId, command_id: EventId, outcome: Fact | None) -> Response:
    if outcome is None:
        return JSONResponse(Told(case_id=case_id, command_id=command_id).model_dump(mode="json"), status_code=202)
    event = outcome.event()
    if isinstance(event, CommandRefused):
        more = {"case_id": str(case_id), "command_id": str(command_id), "event_id": str(outcome.event_id)}
        raise Problem(409, "The case refused", f"{event.reason}.", more)
    told = Told(case_id=case_id, command_id=command_id, outcome="acknowledged", event_id=outcome.event_id)
    return JSONResponse(told.model_dump(mode="json"))


def _command_id(case_id: CaseId, person: PersonId, key: str | None, seen: int | None) -> EventId:
    """Return the same id for the same key of the same person and case: pressing twice is asking once. Pressing after another look is not."""
    if key is None:
        return EventId(uuid4())
    return event_id(case_id, json.dumps(["command", person, key] if seen is None else ["command", person, key, seen]))


def _no_case() -> Problem:
    return Problem(
        404, "Unknown case", "No case of your centre is known here by this id. GET /v1/cases lists them; one just opened may take a moment."
    )


def _cursor(at: Listed) -> str:
    return f"{at.opened_ms}-{at.case_id}"


def _listed(cursor: str) -> Listed:
    found = _CURSOR.match(cursor)
    if found is None:
        raise Problem(422, "Unusable cursor", "Send `next` of the page before, or none.")
    return Listed(int(found.group(1)), found.group(2))


async def _soon(look: Callable[[], Awaitable[T | None]], within_s: float) -> T | None:
    """Return what look finds, looked for again until the time is over."""
    until = time.monotonic() + within_s
    while True:
        found = await look()
        if found is not None or time.monotonic() >= until:
            return found
        await asyncio.sleep(LOOKS_EVERY_S)
