"""The read API of uploads and cases, and people's commands. What is shown is worked out in views; this only asks and answers."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from structlog import get_logger

from contracts.access import Access
from contracts.cases import CommandRefused
from contracts.directory import Directory
from contracts.envelope import Record, seal
from contracts.ids import CaseId, CentreId, ClinicId, EventId, UploadId, event_id
from services.console.asking import Asked, AskFinishReading, AskLink, AskSay, NotThen, check_time, command_id, command_of, done_id
from services.console.body import COMMAND, read_asked
from services.console.course import CasePhase, Course
from services.console.projection import Fact, Facts
from services.console.readings import ReadingView, may_still_come, reading_view
from services.console.redis_projection import PAGES_AT_MOST, CaseList, Known, Listed, RedisProjection
from services.console.views import CaseSummary, CaseView, UploadView, case_of, case_view, ground_of, summary_of, upload_view
from services.console.who import Clinic, Person, is_for, may_command, may_read_upload, person_of, who_asks
from services.console.words import in_snake_case
from services.runtime.errors import Away, NotFolded
from services.runtime.http import Problem, ProblemRoute

KNOWN_WITHIN_S = 2.0  # the projection is a moment behind the 202, and a page may be read before it
LOOKS_EVERY_S = 0.05
LOOKS_THROUGH = 1000
LOOKS_AT_ONCE = 100
LATEST_PAGES = 20  # enough to know a case's round
_KEY = re.compile(r"^[\x21-\x7e]{1,200}$")
_CURSOR = re.compile(r"^([0-9]{1,15})-([0-9a-f-]{36})$")

T = TypeVar("T")

log = get_logger()


class Cases(BaseModel):
    cases: list[CaseSummary]
    next: str | None  # the cursor of the next page


class Readings(BaseModel):
    """What is to be read, the earliest deadline first; `more` where there is more than was asked for, or looked through."""

    readings: list[ReadingView]
    more: bool


class Told(BaseModel):
    """What is known of a command: without an outcome, it is on its way."""

    case_id: CaseId
    command_id: EventId
    outcome: str | None = Field(default=None, description="the event that tells it, in snake case: acknowledged, stood_down, lab_activated")
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

    def _names(self) -> dict[ClinicId, str]:
        return {clinic_id: clinic.name for clinic_id, clinic in self._directory().clinics.items()}

    def _who(self, request: Request) -> Clinic | Person:
        """Return who asks; a person has to be in the directory, whatever they ask for."""
        who = who_asks(request, self._access(), self._directory(), self._now())
        return who if isinstance(who, Clinic) else person_of(who, self._directory())

    def _person(self, request: Request) -> Person:
        return person_of(self._who(request), self._directory())

    def _is_for(self, person: Person, course: Course, known: Known) -> bool:
        return is_for(person, course, known.paged, self._directory())

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1", route_class=ProblemRoute)
        router.add_api_route("/uploads/{upload_id}", self.upload, methods=["GET"])
        router.add_api_route("/readings", self.readings, methods=["GET"])
        router.add_api_route("/cases", self.cases, methods=["GET"])
        router.add_api_route("/cases/{case_id}", self.case, methods=["GET"])
        commands = "/cases/{case_id}/commands"
        router.add_api_route(commands, self.command, methods=["POST"], status_code=202, response_model=Told, openapi_extra=COMMAND)
        return router

    async def upload(self, request: Request, upload_id: UUID) -> UploadView:
        """What became of an upload."""
        who = self._who(request)
        found = await _soon(lambda: self._upload(who, UploadId(upload_id)), KNOWN_WITHIN_S)
        if found is None:
            raise Problem(404, "Unknown upload", "No upload of yours has this id. Send the recording again: the same upload is counted once.")
        return found

    async def _upload(self, who: Clinic | Person, upload_id: UploadId) -> UploadView | None:
        facts = await self._projection.upload(upload_id)
        case_id = case_of(facts)
        known = (await self._projection.cases([case_id], pages=1))[0] if case_id else None
        view = upload_view(upload_id, facts, known.facts if known else {})
        if view is None or may_read_upload(who, view.clinic_id, self._directory()):
            return view
        is_of_their_case = isinstance(who, Person) and known is not None and self._is_for(who, Course(known.facts), known)
        return view if is_of_their_case else None

    async def cases(
        self,
        request: Request,
        phase: CasePhase | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=60)] = None,
    ) -> Cases:
        """The cases of the person's centres, and those that they have in hand or were called for, newest first."""
        person = self._person(request)
        before = _listed(cursor) if cursor is not None else None
        shown = list[CaseSummary]()
        for _ in range(LOOKS_THROUGH // LOOKS_AT_ONCE):
            listed = await _soon(partial(self._next, person, before), KNOWN_WITHIN_S) or []
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
        """Return the next of all of a person's lists; those that are not for them any more, or whose facts are forgotten, are None.

        What is forgotten is taken off the lists. A case may stand in several: it is shown where it stands first in those of the centres, and is
        None in the others."""
        of_centres = [CaseList("centre", centre_id) for centre_id in person.centres]
        lists = [CaseList("person", person.person_id), *of_centres]
        of_lists = await asyncio.gather(*(self._projection.listed(each, before, LOOKS_AT_ONCE) for each in lists))
        newest = sorted({each for of_one in of_lists for each in of_one}, reverse=True)[:LOOKS_AT_ONCE]
        ids = [each.case_id for each in newest]
        found = await self._projection.cases([CaseId(UUID(each)) for each in ids], pages=LATEST_PAGES)
        at_centres = await self._projection.listed_at(of_centres, ids)
        forgotten = [case_id for case_id, known in zip(ids, found, strict=True) if not known.facts]
        if forgotten:
            await asyncio.gather(*(self._projection.forget(each, forgotten) for each in lists))
        names, shown = self._names(), list[tuple[Listed, CaseSummary | None]]()
        for each, known, first_ms in zip(newest, found, at_centres, strict=True):
            course = Course(known.facts)
            is_shown = first_ms in {None, each.opened_ms} and self._is_for(person, course, known)
            shown.append((each, summary_of(course, names) if is_shown else None))
        return shown

    async def case(self, request: Request, case_id: UUID) -> CaseView:
        """A case with its uploads and its timeline."""
        person = self._person(request)

        async def look() -> tuple[Known, Course] | None:
            known = (await self._projection.cases([CaseId(case_id)], pages=PAGES_AT_MOST))[0]
            course = Course(known.facts)
            return (known, course) if self._is_for(person, course, known) else None

        found = await _soon(look, KNOWN_WITHIN_S)
        if found is None:
            raise _no_case()
        known, course = found
        ids = tuple(course.people)
        uploads = dict(zip(ids, await asyncio.gather(*(self._projection.upload(each) for each in ids)), strict=True))
        view = case_view(known.facts, uploads, self._names(), cut=known.cut)
        if view is None:
            raise _no_case()
        return view

    async def _asked_of(self, case_id: CaseId, who: Clinic | Person, asked: Asked) -> tuple[Facts, Course]:
        """Return what is known of a case of which something is asked; Problem 404 where it is not for who asks, or not known.

        What is known so far is enough: cases decides, and a press must not wait for all to be read again. That there is none takes all."""

        async def look() -> tuple[Facts, Course] | None:
            known = await self._projection.case_so_far(case_id, pages=LATEST_PAGES)
            course = Course(known.facts)
            if self._may_ask(who, asked, course, known):
                return known.facts, course
            if not known.is_whole:
                raise NotFolded("redis", "not folded yet")
            return None

        found = await _soon(look, KNOWN_WITHIN_S)
        if found is None:
            raise _no_case()
        return found

    def _may_ask(self, who: Clinic | Person, asked: Asked, course: Course, known: Known) -> bool:
        """Return whether it is for who asks: a clinic's own, a person's; a reading is finished, and said something about, where it is listed."""
        if isinstance(who, Clinic):
            return who.clinic_id in course.clinics()
        if isinstance(asked, AskFinishReading | AskSay) and course.is_read_at(who.centres):
            return True
        return self._is_for(who, course, known)

    async def readings(self, request: Request, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Readings:
        """What a physician of the person's centres is to read, the earliest deadline first."""
        person, names = self._person(request), self._names()
        reads = (partial(self._to_read, centre_id, limit + 1, names) for centre_id in person.centres)
        looked = await asyncio.gather(*(_soon(read, KNOWN_WITHIN_S) for read in reads))
        of_centres = [each for each in looked if each is not None]
        found = sorted((each for of_one, _ in of_centres for each in of_one), key=lambda each: (each.read_by, str(each.upload_id)))
        return Readings(readings=found[:limit], more=len(found) > limit or any(more for _, more in of_centres))

    async def _to_read(self, centre_id: CentreId, limit: int, names: dict[ClinicId, str]) -> tuple[list[ReadingView], bool]:
        """Return the first of a centre's reading list, and whether it was not looked through; what is done with is taken off it."""
        found, done = list[ReadingView](), list[tuple[CaseId, UploadId]]()
        at_its_end = False
        for start in range(0, LOOKS_THROUGH, LOOKS_AT_ONCE):
            page = await self._projection.to_read(centre_id, start, LOOKS_AT_ONCE)
            of_cases = await self._projection.cases([case_id for case_id, _ in page], pages=1)
            for (case_id, upload_id), known in zip(page, of_cases, strict=True):
                view = reading_view(known.facts, upload_id, names)
                if view is not None:
                    found.append(view)
                elif not may_still_come(known.facts, upload_id):
                    done.append((case_id, upload_id))
            at_its_end = len(page) < LOOKS_AT_ONCE
            if at_its_end or len(found) >= limit:
                break
        await self._take_off(centre_id, done, names)
        return found[:limit], not at_its_end

    async def _take_off(self, centre_id: CentreId, done: list[tuple[CaseId, UploadId]], names: dict[ClinicId, str]) -> None:
        """Take what is done with off a reading list; what was listed anew since it was looked at stands there again."""
        if not done:
            return
        await self._projection.take_off_reading_list(centre_id, done)
        by_now = await self._projection.cases([case_id for case_id, _ in done], pages=1)
        views = (reading_view(known.facts, upload_id, names) for (_, upload_id), known in zip(done, by_now, strict=True))
        anew = [(view.case_id, view.upload_id, view.read_by) for view in views if view is not None and view.centre_id == centre_id]
        await self._projection.put_on_reading_list(centre_id, anew)

    async def command(
        self,
        request: Request,
        case_id: UUID,
        wait: Annotated[float, Query(ge=0, le=10, description="seconds to wait for the outcome")] = 0,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Ask something of a case, as the person whose token it is: 202, or with `wait` 200 or 409 with the event that tells the outcome.

        A clinic's token asks only `say`, of the cases of its own uploads."""
        who = self._who(request)
        if isinstance(who, Person):
            may_command(who)
        if idempotency_key is not None and not _KEY.match(idempotency_key):
            raise Problem(422, "Unusable Idempotency-Key", "Send 1 to 200 visible ASCII characters, a UUID for one.")
        asked = await read_asked(request)
        if isinstance(who, Clinic) and not isinstance(asked, AskSay):
            raise Problem(403, "Not allowed", "A clinic's token only says something: the command `say`. The rest is for the centre's people.")
        case = CaseId(case_id)
        facts, course = await self._asked_of(case, who, asked)
        name = f"clinic/{who.clinic_id}" if isinstance(who, Clinic) else who.person_id
        asked_id = command_id(asked, case, name, idempotency_key)
        record = self._sealed(who, asked, case, facts, course, asked_id)
        if isinstance(asked, AskLink):
            await self._link_back(who, asked, case, asked_id)
        await self._publish(record)
        return _answer(case, asked_id, await self._outcome(case, asked_id, done_id(asked, asked_id), wait))

    async def _link_back(self, who: Clinic | Person, asked: AskLink, case: CaseId, asked_id: EventId) -> None:
        """Ask the other case, which has to be for the same person, to be linked with this one: who looks at either sees both."""
        if asked.other_case_id == case:
            raise Problem(422, "Not understood", "other_case_id: a case is not linked with itself.")
        facts, course = await self._asked_of(asked.other_case_id, who, asked)
        back = AskLink(command="link", other_case_id=case)
        await self._publish(self._sealed(who, back, asked.other_case_id, facts, course, event_id(asked_id, "link back")))

    async def _outcome(self, case: CaseId, asked_id: EventId, done: EventId, wait: float) -> Fact | None:
        """Return what came of a command in so many seconds; None where it is not known, which takes nothing from its being on its way."""
        try:
            return await _soon(lambda: self._projection.outcome(case, asked_id, done), wait) if wait else None
        except Away as away:
            log.warning("outcome not known", what=away.what, cause=away.cause, case_id=str(case))
            return None

    def _sealed(self, who: Clinic | Person, asked: Asked, case_id: CaseId, facts: Facts, course: Course, asked_id: EventId) -> Record:
        ground = ground_of(facts, course)
        if ground is None:
            raise _no_case()
        now = self._now()
        try:
            check_time(asked, ground.received_at, now)
        except NotThen as wrong:
            raise Problem(422, "Not understood", str(wrong)) from None
        person, clinic = (None, who.clinic_id) if isinstance(who, Clinic) else (who.person_id, None)
        return seal(
            command_of(asked, case_id, at=now, person=person, clinic=clinic),
            event_id=asked_id,
            source="console",
            subject=case_id,
            key=ground.patient_key,
            time=now,
            recorded=now,
            correlation=ground.upload_id,
            causation=ground.event_id,
            priority=ground.priority,
        )


def _answer(case_id: CaseId, asked_id: EventId, outcome: Fact | None) -> Response:
    if outcome is None:
        return JSONResponse(Told(case_id=case_id, command_id=asked_id).model_dump(mode="json"), status_code=202)
    event = outcome.event()
    if isinstance(event, CommandRefused):
        more = {"case_id": str(case_id), "command_id": str(asked_id), "event_id": str(outcome.event_id)}
        raise Problem(409, "The case refused", f"{event.reason}.", more)
    told = Told(case_id=case_id, command_id=asked_id, outcome=in_snake_case(outcome.type), event_id=outcome.event_id)
    return JSONResponse(told.model_dump(mode="json"))


def _no_case() -> Problem:
    return Problem(
        404,
        "Unknown case",
        "No case of yours, or of your centre, is known here by this id. GET /v1/cases lists them; one just opened may take a moment.",
    )


def _cursor(at: Listed) -> str:
    return f"{at.opened_ms}-{at.case_id}"


def _listed(cursor: str) -> Listed:
    found = _CURSOR.match(cursor)
    if found is None:
        raise Problem(422, "Unusable cursor", "Send `next` of the page before, or none.")
    return Listed(int(found.group(1)), found.group(2))


async def _soon(look: Callable[[], Awaitable[T | None]], within_s: float) -> T | None:
    """Return what look finds, looked for again until the time is over; NotFolded where it is not known by then."""
    until = time.monotonic() + within_s
    while True:
        try:
            found = await look()
            if found is not None or time.monotonic() >= until:
                return found
        except NotFolded:
            if time.monotonic() >= until:
                raise
        await asyncio.sleep(LOOKS_EVERY_S)
