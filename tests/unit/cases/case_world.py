"""One patient's world for the tests of decisions: messages at hand, and a case that hears them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from contracts.assessments import Assessed, Finding, Quality, QualityProblem
from contracts.cases import CaseEvents, CaseOpened, CaseRaised, PageRequested
from contracts.commands import Acknowledge, OpenUnread, PageAgain
from contracts.deliveries import NoticeSent
from contracts.directory import Directory
from contracts.ids import EventId, UploadId, case_id
from contracts.intake import EcgUploaded
from contracts.vocabulary import Blob, Lane, Priority, Sex
from services.cases.decide import Heard, Told, decide
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
        "centres": {"centre": {"name": "Test Centre", "standing_number": "555-0100", "standing_alarm": "local", "on_call": ["ann", "bob"]}},
        "clinics": {"clinic": {"name": "Test Clinic", "centre": "centre"}},
        "people": {"ann": {"name": "Test Ann", "methods": {"local": "local"}}, "bob": {"name": "Test Bob", "methods": {"local": "local"}}},
    }
)


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


ALL = 1_000_000  # more than a case of these tests has events


def acknowledge(by: str = "ann", at: datetime = T0, seen: int | None = ALL) -> Acknowledge:
    return Acknowledge(case_id=CASE, at=at, by=by, seen_sequence=seen)


def seen_in(log: Sequence[CaseEvents]) -> int | None:
    """Return what a person sees by whom this much of the log is shown: the sequence of what the case is open for; None where there is no case."""
    return max((number for number, event in enumerate(log, 1) if isinstance(event, CaseOpened | CaseRaised)), default=None)


def delivered(page: PageRequested) -> NoticeSent:
    of_notice = {"notice_id": page.notice_id, "person_id": page.person_id, "method": page.method, "round": page.round}
    return NoticeSent(at=page.at, case_id=CASE, patient_key=KEY, **of_notice)


def page_again(round_: int, at: datetime = T0) -> PageAgain:
    return PageAgain(case_id=CASE, at=at, round=round_)


def open_unread(upload: UploadId = FIRST, at: datetime = T0) -> OpenUnread:
    return OpenUnread(case_id=CASE, at=at, upload_id=upload)


class World:
    """A case, its log, and a clock that only the test moves. A message heard again is known by its id, as the store knows it."""

    def __init__(self) -> None:
        self.now = T0
        self.case = Case(case_id=CASE, patient_key=KEY)
        self.log: list[CaseEvents] = []
        self.heard: dict[EventId, Told] = {}

    def hear(self, told: Told, name: str = "") -> list[CaseEvents]:
        """Hear a message; `name` tells two of the same content apart."""
        message_id = EventId(uuid5(NAMES, f"{name}{type(told).__name__}{told.model_dump_json()}"))
        if message_id in self.heard:
            return []
        self.heard[message_id] = told
        events = decide(self.case, Heard(message_id, self.now, told), DIRECTORY)
        self.log += events
        self.case = rebuilt(events, self.case)
        return events

    def wait(self, span: timedelta) -> list[CaseEvents]:
        """Let time pass, and every timer that falls due in it be heard, in its order."""
        end, events = self.now + span, list[CaseEvents]()
        while due := sorted((timer.due_at, name) for name, timer in timers(self.case).items() if timer.due_at <= end):
            self.now, name = max(self.now, due[0][0]), due[0][1]
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
