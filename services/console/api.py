"""The read API of uploads and cases, and people's commands. What is shown is worked out in views; this only asks and answers."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
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
from services.console.course import CasePhase, Course
from services.console.projection import Fact, Facts
from services.console.readings import ReadingView, may_still_come, reading_view
from services.console.redis_projection import PAGES_AT_MOST, Listed, RedisProjection, in_ms
from services.console.views import CaseSummary, CaseView, UploadView, case_of, case_view, ground_of, summary_of, upload_view
from services.console.who import Clinic, Person, may_command, may_read_upload, person_of, who_asks
from services.console.words import in_snake_case
from services.runtime.errors import Away
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
        return who_asks(request, self._access(), self._directory())

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1", route_class=ProblemRoute)
        router.add_api_route("/uploads/{upload_id}", self.upload, methods=["GET"])
        router.add_api_route("/readings", self.readings, methods=["GET"])
        router.add_api_route("/cases", self.cases, methods=["GET"])
        router.add_api_route("/cases/{case_id}", self.case, methods=["GET"])
        router.add_api_route("/cases/{case_id}/commands", self.command, methods=["POST"], status_code=202, response_model=Told)
        return router

    async def upload(self, request: Request, upload_id: UUID) -> UploadView:
        """What became of an upload."""
        who = self._who(request)
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
        person = person_of(self._who(request))
        before = _listed(cursor) if cursor is not None else None
        shown = list[CaseSummary]()
        for _ in range(LOOKS_THROUGH // LOOKS_AT_ONCE):
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
        """Return the next of all of a person's centres; those whose facts are forgotten are None, and are taken off the list.

        A case that was handed from one of them to another stands in both lists: it is shown where it stands first, and is None behind."""
        of_centres = await asyncio.gather(*(self._projection.listed(centre_id, before, LOOKS_AT_ONCE) for centre_id in person.centres))
        newest = sorted({each for of_one in of_centres for each in of_one}, reverse=True)[:LOOKS_AT_ONCE]
        found = await self._projection.cases([CaseId(UUID(each.case_id)) for each in newest], pages=LATEST_PAGES)
        forgotten = [each.case_id for each, (facts, _) in zip(newest, found, strict=True) if not facts]
        if forgotten:
            await asyncio.gather(*(self._projection.forget(centre_id, forgotten) for centre_id in person.centres))
        names = self._names()
        courses = [Course(facts) for facts, _ in found]
        return [
            (each, summary_of(course, names) if _stands_first(each, course, person) else None) for each, course in zip(newest, courses, strict=True)
        ]

    async def case(self, request: Request, case_id: UUID) -> CaseView:
        """A case with its uploads and its timeline."""
        person = person_of(self._who(request))
        facts, course, cut = await self._found(CaseId(case_id), lambda course: course.is_for(person.person_id, person.centres), pages=PAGES_AT_MOST)
        ids = tuple(course.people)
        uploads = dict(zip(ids, await asyncio.gather(*(self._projection.upload(each) for each in ids)), strict=True))
        view = case_view(facts, uploads, self._names(), cut=cut)
        if view is None:
            raise _no_case()
        return view

    async def _found(self, case_id: CaseId, may_see: Callable[[Course], bool], *, pages: int = LATEST_PAGES) -> tuple[Facts, Course, bool]:
        """Return what is known of a case, and whether pages of it were left out; Problem 404 where it is not for who asks, or not known."""

        async def look() -> tuple[Facts, Course, bool] | None:
            facts, cut = (await self._projection.cases([case_id], pages=pages))[0]
            course = Course(facts)
            return (facts, course, cut) if may_see(course) else None

        found = await _soon(look, KNOWN_WITHIN_S)
        if found is None:
            raise _no_case()
        return found

    async def readings(self, request: Request, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Readings:
        """What a physician of the person's centres is to read, the earliest deadline first."""
        person, names = person_of(self._who(request)), self._names()
        of_centres = await asyncio.gather(*(self._to_read(centre_id, limit + 1, names) for centre_id in person.centres))
        found = sorted((each for of_one, _ in of_centres for each in of_one), key=lambda each: (each.read_by, str(each.upload_id)))
        return Readings(readings=found[:limit], more=len(found) > limit or any(more for _, more in of_centres))

    async def _to_read(self, centre_id: CentreId, limit: int, names: dict[ClinicId, str]) -> tuple[list[ReadingView], bool]:
        """Return the first of a centre's reading list, and whether it was not looked through; what was read is taken off it."""
        found, read = list[ReadingView](), list[tuple[CaseId, UploadId]]()
        at_its_end = False
        for start in range(0, LOOKS_THROUGH, LOOKS_AT_ONCE):
            page = await self._projection.to_read(centre_id, start, LOOKS_AT_ONCE)
            of_cases = await self._projection.cases([case_id for case_id, _ in page], pages=1)
            for (case_id, upload_id), (facts, _) in zip(page, of_cases, strict=True):
                view = reading_view(facts, upload_id, names)
                if view is not None:
                    found.append(view)
                elif not may_still_come(facts, upload_id):
                    read.append((case_id, upload_id))
            at_its_end = len(page) < LOOKS_AT_ONCE
            if at_its_end or len(found) >= limit:
                break
        await self._projection.take_off_reading_list(centre_id, read)
        return found[:limit], not at_its_end

    async def command(
        self,
        request: Request,
        case_id: UUID,
        asked: Asked,
        wait: Annotated[float, Query(ge=0, le=10, description="seconds to wait for the outcome")] = 0,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Ask something of a case, as the person whose token it is: 202, or with `wait` 200 or 409 with the event that tells the outcome.

        A clinic's token asks only `say`, of the cases of its own uploads."""
        who = self._who(request)
        if isinstance(who, Clinic) and not isinstance(asked, AskSay):
            raise Problem(403, "Not allowed", "A clinic's token only says something: the command `say`. The rest is for the centre's people.")
        if isinstance(who, Person):
            may_command(person_of(who))
        if idempotency_key is not None and not _KEY.match(idempotency_key):
            raise Problem(422, "Unusable Idempotency-Key", "Send 1 to 200 visible ASCII characters, a UUID for one.")
        case = CaseId(case_id)
        facts, course, _ = await self._found(case, lambda course: _may_ask(who, asked, course))
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
        facts, course, _ = await self._found(asked.other_case_id, lambda course: _may_ask(who, asked, course))
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
            command_of(asked, case_id, at=now, person=person, clinic=clinic, seen=course.seen),
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


def _may_ask(who: Clinic | Person, asked: Asked, course: Course) -> bool:
    """Return whether it is for who asks: a clinic's own, a person's; a reading is finished, and said something about, where it is listed."""
    if isinstance(who, Clinic):
        return who.clinic_id in course.clinics()
    if isinstance(asked, AskFinishReading | AskSay) and course.is_read_at(who.centres):
        return True
    return course.is_for(who.person_id, who.centres)


def _stands_first(each: Listed, course: Course, person: Person) -> bool:
    return each.opened_ms == max((in_ms(at) for centre_id, at in course.listed_at.items() if centre_id in person.centres), default=None)


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
