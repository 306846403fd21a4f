"""One patient's world for the tests of decisions: messages at hand, and a case that hears them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from contracts.assessments import Assessed, Finding, Quality, QualityProblem
from contracts.cases import CaseEvents, CaseOpened, CaseRaised, NoticeReported, PageRequested
from contracts.commands import Acknowledge, Command, OpenUnread, PageAgain
from contracts.deliveries import Deliveries, Failure, NoticeFailed, NoticeSent
from contracts.directory import Directory
from contracts.ids import EventId, UploadId, case_id
from contracts.intake import EcgUploaded
from contracts.vocabulary import Blob, Lane, Priority, Sex
from services.cases.decide import decide
from services.cases.decision import Heard, Told
from services.cases.evolve import evolve
from services.cases.state import Case
from services.cases.timers import timers

T0 = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NAMES = UUID("00000000-0000-5000-8000-000000000001")
KEY = str(uuid5(NAMES, "patient"))
FIRST, SECOND, THIRD = (UploadId(uuid5(NAMES, name)) for name in ("first", "second", "third"))
CASE = case_id(FIRST)

DIRECTORY = Directory.model_validate(
    {
        "version": "test-1",
        "centres": {
            "centre": {"name": "Test Centre", "network": "net", "standing_number": "555-0100", "capabilities": ["pci"], "policy": "red"},
            "city": {"name": "Test City", "network": "net", "standing_number": "555-0200", "capabilities": ["pci"], "policy": "city"},
        },
        "clinics": {"clinic": {"name": "Test Clinic", "network": "net", "travel_min": {"centre": 35, "city": 50}, "lysis_min": 10}},
        "people": {
            "ann": {"name": "Test Ann", "methods": {"phone": True, "chat": False}},
            "bob": {"name": "Test Bob", "methods": {"phone": True}},
            "cy": {"name": "Test Cy", "methods": {"phone": True}},
            "dan": {"name": "Test Dan", "methods": {"phone": True}},
        },
        "teams": {"all": {"name": "Everybody", "members": ["ann", "bob", "cy"]}},
        "policies": {
            "red": {"steps": [{"page": ["person:ann", "person:bob"], "wait_s": 60}]},
            "two-steps": {"steps": [{"page": ["person:ann", "person:bob"], "wait_s": 60}, {"page": ["team:all"], "wait_s": 90}]},
            "city": {"steps": [{"page": ["person:dan"], "wait_s": 60}]},
        },
    }
)

RED = DIRECTORY.centres["centre"]
ESCALATING = DIRECTORY.model_copy(update={"centres": DIRECTORY.centres | {"centre": RED.model_copy(update={"policy": "two-steps"})}})


def uploaded(upload: UploadId = FIRST, at: datetime = T0) -> EcgUploaded:
    blob = Blob(dataref="raw/00/0", sha256="0" * 64, size_bytes=1, media_type="application/octet-stream")
    return EcgUploaded(at=at, upload_id=upload, clinic_id="clinic", patient_key=KEY, lane=Lane.EMERGENCY, recording=blob, age_y=61, sex=Sex.MALE)


def assessed(priority: Priority, upload: UploadId = FIRST, lane: Lane = Lane.EMERGENCY, at: datetime = T0) -> Assessed:
    finding = Finding(rule="stemi", version="1", source="test", title="Anterior STEMI", priority=priority, leads=("V2", "V3"))
    unreadable = priority is Priority.NOT_EVALUABLE
    problems = (QualityProblem(code="flat", leads=("V3",), text="V3 is loose: press it on and record again"),) if unreadable else ()
    return Assessed(
        at=at,
        rulebook="test",
        rulebook_version="1",
        priority=priority,
        findings=() if unreadable or priority is Priority.GREEN else (finding,),
        quality=Quality(evaluable=not unreadable, problems=problems),
        age_y=61,
        sex=Sex.MALE,
        upload_id=upload,
        clinic_id="clinic",
        patient_key=KEY,
        lane=lane,
        received_at=at,
    )


def asked(command: type[Command], by: str = "ann", at: datetime = T0, **fields: object) -> Any:
    """Return a person's command on the case."""
    return command(case_id=CASE, at=at, by=by, **fields)


ALL = 1_000_000  # more than a case of these tests has events


def acknowledge(by: str = "ann", at: datetime = T0, seen: int | None = ALL) -> Acknowledge:
    return Acknowledge(case_id=CASE, at=at, by=by, seen_sequence=seen)


def seen_in(log: Sequence[CaseEvents]) -> int | None:
    """Return what a person sees by whom this much of the log is shown: the sequence of what the case is open for; None where there is no case."""
    return max((number for number, event in enumerate(log, 1) if isinstance(event, CaseOpened | CaseRaised)), default=None)


Provider = Callable[[PageRequested], Deliveries | None]


def sent(page: PageRequested) -> NoticeSent:
    return NoticeSent(at=page.at, **_of_notice(page))


def failed(page: PageRequested) -> NoticeFailed:
    return NoticeFailed(at=page.at, failure=Failure.PERMANENT, reason="test", **_of_notice(page))


def silent(page: PageRequested) -> None:
    """Nothing is heard of it."""


def _of_notice(page: PageRequested) -> dict[str, Any]:
    of_notice = {"notice_id": page.notice_id, "person_id": page.person_id, "method": page.method, "round": page.round}
    return {"case_id": CASE, "patient_key": KEY, **of_notice}


def page_again(round_: int, at: datetime = T0) -> PageAgain:
    return PageAgain(case_id=CASE, at=at, round=round_)


def open_unread(upload: UploadId = FIRST, at: datetime = T0) -> OpenUnread:
    return OpenUnread(case_id=CASE, at=at, upload_id=upload)


class World:
    """A case, its log, a clock that only the test moves, and a provider that answers for each notice at once, or not at all.

    A message heard again is known by its id, as the store knows it. What the provider's answers lead to is in the log, and comes after."""

    def __init__(self, provider: Provider = sent, directory: Directory = DIRECTORY) -> None:
        self.now = T0
        self.case = Case(case_id=CASE, patient_key=KEY)
        self.log: list[CaseEvents] = []
        self.heard: dict[EventId, Told] = {}
        self.fired: set[str] = set()
        self.provider, self.directory = provider, directory

    def hear(self, told: Told, name: str = "") -> list[CaseEvents]:
        """Hear a message; `name` tells two of the same content apart. Return what follows but for what is only known of notices."""
        message_id = EventId(uuid5(NAMES, f"{name}{type(told).__name__}{told.model_dump_json()}"))
        if message_id in self.heard:
            return []
        self.heard[message_id] = told
        events = decide(self.case, Heard(message_id, self.now, told), self.directory)
        self.log += events
        self.case = rebuilt(events, self.case)
        answers = [self.provider(event) for event in events if isinstance(event, PageRequested)]
        after = [event for answer in answers if answer is not None for event in self.hear(answer)]
        return [event for event in (*events, *after) if not isinstance(event, NoticeReported)]

    def wait(self, span: timedelta) -> list[CaseEvents]:
        """Let time pass, and every timer that falls due in it be heard, in its order."""
        end, events = self.now + span, list[CaseEvents]()
        while due := sorted((timer.due_at, name) for name, timer in timers(self.case).items() if timer.due_at <= end):
            self.now, name = max(self.now, due[0][0]), due[0][1]
            self.fired.add(name)
            events += self.hear(timers(self.case)[name].command, name)
        self.now = end
        return events


def rebuilt(log: Sequence[CaseEvents], case: Case | None = None) -> Case:
    state = case or Case(case_id=CASE, patient_key=KEY)
    for event in log:
        state = evolve(state, event)
    return state


def kinds(events: Sequence[CaseEvents]) -> list[str]:
    return [type(event).__name__ for event in events]


def pages(events: Sequence[CaseEvents]) -> list[PageRequested]:
    return [event for event in events if isinstance(event, PageRequested)]


def rung(events: Sequence[CaseEvents]) -> list[tuple[str, str]]:
    """Return who is paged, and how."""
    return [(page.person_id, page.method) for page in pages(events)]
