"""One patient's story as its topics tell it: a recording that cannot be judged, a repeat that is red, pages, an acknowledgement."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from contracts import topics
from contracts.assessments import Assessed, Finding, Quality, QualityProblem
from contracts.cases import (
    Acknowledged,
    CaseEvent,
    CaseOpened,
    CaseRaised,
    ClinicAnswered,
    CommandRefused,
    NoticeOutcome,
    NoticeReported,
    PageRequested,
    RepeatAsked,
    UploadAssessed,
    UploadReceived,
)
from contracts.envelope import Envelope, Record, open_envelope, seal
from contracts.ids import CaseId, EventId, UploadId, event_id, notice_id
from contracts.intake import EcgUploaded
from contracts.topics import Topic, read_event
from contracts.vocabulary import Blob, Lane, Priority, Sex
from services.console.projection import Fact, fact_of
from services.console.words import Told

T0 = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


class Story:
    """The events in the order in which they happened, each with its topic; every id is made of the story's name."""

    def __init__(self, name: str = "story", start: datetime = T0) -> None:
        self.names = uuid5(UUID(int=5), name)
        self.start, self.sequence = start, 0
        self.first, self.second = (UploadId(uuid5(self.names, each)) for each in ("first", "second"))
        self.case = CaseId(uuid5(self.names, "case"))
        self.key = str(uuid5(self.names, "patient"))
        self.press = EventId(uuid5(self.names, "press"))
        self.told: list[tuple[Topic, Record]] = []
        self._tell()

    def _at(self) -> datetime:
        return self.start + timedelta(seconds=len(self.told))

    def _add(self, topic: Topic, event: Told, subject: UUID, cause: UUID, upload: UploadId) -> None:
        self.sequence += topic is topics.CASES
        record = seal(
            event,
            event_id=event_id(cause, f"{type(event).__name__} {len(self.told)}"),
            source="test",
            subject=subject,
            key=self.key,
            time=event.at,
            recorded=event.at,
            correlation=upload,
            causation=cause,
            sequence=self.sequence if topic is topics.CASES else None,
            priority=getattr(event, "priority", None),
        )
        self.told.append((topic, record))

    def _upload(self, upload: UploadId, priority: Priority) -> None:
        of_upload = {"upload_id": upload, "clinic_id": "clinic"}
        blob = Blob(dataref="raw/00/0", sha256="0" * 64, size_bytes=1, media_type="application/octet-stream")
        received = self._at()
        about = {"age_y": 61, "sex": Sex.MALE}
        intake = EcgUploaded(at=received, **of_upload, patient_key=self.key, lane=Lane.EMERGENCY, recording=blob, **about)
        self._add(topics.INTAKE_EMERGENCY, intake, upload, upload, upload)
        waits = UploadReceived(at=self._at(), **self.of_case, **of_upload, received_at=received, due_at=received + timedelta(seconds=60), **about)
        self._add(topics.CASES, waits, self.case, upload, upload)
        title = {"title": "Anterior STEMI", "title_zh": "前壁心肌梗死"}
        finding = Finding(rule="stemi", version="1", source="ESC 2023", **title, priority=Priority.RED, leads=("V2", "V3"))
        evaluable = priority is Priority.RED
        problems = () if evaluable else (QualityProblem(code="leads_missing", text="leads V1 to V6 are missing"),)
        assessed = Assessed(
            at=self._at(),
            **of_upload,
            patient_key=self.key,
            lane=Lane.EMERGENCY,
            received_at=received,
            rulebook="stemi",
            rulebook_version="1",
            priority=priority,
            findings=(finding,) if evaluable else (),
            quality=Quality(evaluable=evaluable, problems=problems),
            **{name: about[name] for name in ("age_y", "sex")},
        )
        self._add(topics.ASSESSMENTS_EMERGENCY, assessed, upload, upload, upload)
        headline = "Anterior STEMI (V2, V3)" if evaluable else "leads V1 to V6 are missing"
        judged = {"priority": priority, "headline": headline, "received_at": received}
        known = UploadAssessed(at=self._at(), **self.of_case, **of_upload, lane=Lane.EMERGENCY, assessed_event=upload, **judged, **about)
        self._add(topics.CASES, known, self.case, upload, upload)

    def _say(self, kind: type, cause: UUID, **fields: object) -> None:
        self._add(topics.CASES, kind(at=self._at(), **self.of_case, **fields), self.case, cause, self.first)

    def _add_of_case(self, event: CaseEvent, cause: UUID) -> None:
        self._add(topics.CASES, event, self.case, cause, self.first)

    def _page(self, round_: int, upload: UploadId, priority: Priority) -> None:
        notice = {"notice_id": notice_id(self.case, "ann", "local", round_), "person_id": "ann", "method": "local", "round": round_}
        page = {"priority": priority, "headline": "x", "clinic_id": "clinic", "upload_id": upload, "received_at": self.start}
        self._say(PageRequested, upload, **notice, **page)
        self._say(NoticeReported, upload, **notice, outcome=NoticeOutcome.SENT)

    def _tell(self) -> None:
        self.of_case = {"case_id": self.case, "patient_key": self.key}
        self._upload(self.first, Priority.NOT_EVALUABLE)
        opened = {"priority": Priority.NOT_EVALUABLE, "headline": "leads V1 to V6 are missing", "received_at": self.start}
        at = {"upload_id": self.first, "clinic_id": "clinic"}
        self._say(CaseOpened, self.first, **at, **opened, centre_id="centre", centre_number="555-0100")
        self._page(1, self.first, Priority.NOT_EVALUABLE)
        self._say(RepeatAsked, self.first, **at, reasons=("leads V1 to V6 are missing",))
        self._upload(self.second, Priority.RED)
        self._say(CaseRaised, self.second, upload_id=self.second, priority=Priority.RED, headline="Anterior STEMI (V2, V3)")
        self._page(2, self.second, Priority.RED)
        self._say(ClinicAnswered, self.second, upload_id=self.second, clinic_id="clinic", priority=Priority.RED, text="URGENT: call 555-0100 now.")
        self._say(Acknowledged, self.press, by="ann", round=2)
        self._say(CommandRefused, uuid5(self.press, "again"), command="Acknowledge", command_id=self.press, by="bob", reason="ann has it in hand")

    def heard(self) -> list[tuple[Fact, Told]]:
        """Return every event as the projector hears it."""
        return [(fact_of(topic, envelope, event), event) for topic, envelope, event in map(_opened, self.told)]


def _opened(told: tuple[Topic, Record]) -> tuple[Topic, Envelope, Told]:
    topic, record = told
    envelope = open_envelope(record.headers)
    event: Told = read_event(topic, envelope.type, record.value)  # type: ignore[assignment] # a story holds nothing else
    return topic, envelope, event
