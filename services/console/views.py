"""What is shown of an upload and of a case, worked out from their facts. Pure. Every figure names the event that it comes from."""

from collections.abc import Sequence
from typing import Literal, assert_never
from uuid import UUID

from pydantic import Field

from contracts.assessments import Assessed, Reading
from contracts.cases import (
    Acknowledged,
    AssessmentMissed,
    CaseEvent,
    CaseOpened,
    CaseRaised,
    CaseSettled,
    ClinicAnswered,
    CommandRefused,
    NoticeReported,
    PageRequested,
    RepeatAsked,
    UploadAssessed,
    UploadReceived,
)
from contracts.ids import CaseId, CentreId, ClinicId, EventId, PatientKey, PersonId, UploadId
from contracts.intake import EcgUploaded
from contracts.vocabulary import Age, Frozen, Instant, Lane, Priority, Sex
from services.console.projection import Fact, Facts, in_order
from services.console.words import Told, line_of

CasePhase = Literal["opened", "acknowledged", "closed"]
UploadState = Literal["received", "assessed", "in_hand", "closed"]


class Entry(Frozen):
    """A line of a timeline."""

    event_id: EventId
    type: str
    at: Instant
    text: str
    topic: str
    sequence: int | None
    causation_id: UUID


class AssessmentView(Reading):
    """An assessment as triage made it, with its event."""

    upload_id: UploadId
    lane: Lane
    event_id: EventId
    at: Instant


class ClinicMessage(Frozen):
    """What the clinic is told."""

    kind: Literal["answer", "repeat"]
    text: str
    event_id: EventId
    at: Instant


class CaseOfUpload(Frozen):
    case_id: CaseId
    phase: CasePhase
    owner: PersonId | None
    event_id: EventId = Field(description="the event by which it has this phase and owner")


class UploadView(Frozen):
    upload_id: UploadId
    clinic_id: ClinicId
    received_at: Instant | None
    state: UploadState
    assessment: AssessmentView | None
    case: CaseOfUpload | None
    messages: tuple[ClinicMessage, ...]
    timeline: tuple[Entry, ...]


class CaseSummary(Frozen):
    """A case in a list. `sources` names for each figure the event that it comes from."""

    case_id: CaseId
    phase: CasePhase
    priority: Priority
    headline: str
    age_y: Age | None
    sex: Sex | None
    clinic_id: ClinicId
    clinic: str = Field(description="the clinic's name in the directory; its id where it is not listed any more")
    centre_id: CentreId
    owner: PersonId | None
    rounds: int
    upload_id: UploadId
    received_at: Instant
    opened_at: Instant
    seen: int | None = Field(description="the sequence of what it is open for: sent along, an acknowledgement is for this and for nothing later")
    sources: dict[str, EventId]


class UploadOfCase(Frozen):
    upload_id: UploadId
    clinic_id: ClinicId
    received_at: Instant | None
    assessment: AssessmentView | None


class CaseView(CaseSummary):
    uploads: tuple[UploadOfCase, ...]
    timeline: tuple[Entry, ...]
    timeline_cut: bool = Field(description="older pages were left out: only the newest are kept")


def entry(fact: Fact) -> Entry:
    text = line_of(fact.event())
    return Entry(text=text, **fact.model_dump(include={"event_id", "type", "at", "topic", "sequence", "causation_id"}))


def case_of(facts: Facts) -> CaseId | None:
    """Return the case that an upload's facts name."""
    found = [event.case_id for event in _events(facts) if isinstance(event, CaseEvent)]
    return min(found, key=str) if found else None


def clinic_of(facts: Facts) -> ClinicId | None:
    """Return the clinic whose upload it is; None where no fact says so."""
    return next((event.clinic_id for event in _events(facts) if isinstance(event, EcgUploaded | Assessed | UploadReceived | UploadAssessed)), None)


def assessment_of(facts: Facts) -> AssessmentView | None:
    """Return the first assessment of an upload: it stands."""
    for fact in in_order(facts):
        event = fact.event()
        if isinstance(event, Assessed):
            read = {name: getattr(event, name) for name in Reading.model_fields}
            return AssessmentView(**read, upload_id=event.upload_id, lane=event.lane, event_id=fact.event_id, at=event.at)
    return None


def upload_view(upload_id: UploadId, facts: Facts, case_facts: Facts) -> UploadView | None:
    """Return what became of an upload, from its own facts and its case's; None where nothing says whose it is."""
    clinic_id = clinic_of(facts)
    if clinic_id is None:
        return None
    assessment, case = assessment_of(facts), _case_of_upload(case_facts)
    return UploadView(
        upload_id=upload_id,
        clinic_id=clinic_id,
        received_at=_received_at(facts),
        state=_state(assessment, case),
        assessment=assessment,
        case=case,
        messages=tuple(_messages(facts)),
        timeline=tuple(entry(fact) for fact in in_order(facts)),
    )


def _state(assessment: AssessmentView | None, case: CaseOfUpload | None) -> UploadState:
    if case is not None and case.phase == "closed":
        return "closed"
    if case is not None and case.phase == "acknowledged":
        return "in_hand"
    return "assessed" if assessment else "received"


def _messages(facts: Facts) -> Sequence[ClinicMessage]:
    found = list[ClinicMessage]()
    for fact in in_order(facts):
        event = fact.event()
        if isinstance(event, ClinicAnswered):
            found.append(ClinicMessage(kind="answer", text=event.text, event_id=fact.event_id, at=fact.at))
        elif isinstance(event, RepeatAsked):
            found.append(ClinicMessage(kind="repeat", text=f"Record again: {'; '.join(event.reasons)}", event_id=fact.event_id, at=fact.at))
    return found


class _Course:
    """A case's course by the sequence of its events: what holds after the last of them, and by which event."""

    def __init__(self, facts: Facts) -> None:
        self.opened: CaseOpened | None = None
        self.phase: CasePhase = "opened"
        self.owner: PersonId | None = None
        self.by: CaseOpened | CaseRaised | None = None  # what it is open for
        self.headline = ""
        self.seen: int | None = None
        self.rounds = 0
        self.people: dict[UploadId, UploadReceived | UploadAssessed] = {}
        self.sources: dict[str, EventId] = {}
        for fact in sorted(facts.values(), key=lambda fact: (fact.sequence or 0, str(fact.event_id))):
            self._add(fact.event(), fact.event_id, fact.sequence)

    def _add(self, event: Told, event_id: EventId, sequence: int | None) -> None:
        match event:
            case CaseOpened() | CaseRaised():
                self.phase, self.owner, self.by, self.headline, self.seen = "opened", None, event, event.headline, sequence
                self.sources |= dict.fromkeys(
                    ("phase", "owner", "priority", "headline", "clinic_id", "centre_id", "upload_id", "received_at", "seen"), event_id
                )
                if isinstance(event, CaseOpened):
                    self.opened = event
            case Acknowledged():
                self.phase, self.owner = "acknowledged", event.by
                self.sources |= {"phase": event_id, "owner": event_id}
            case CaseSettled():
                self.phase = "closed"
                self.sources["phase"] = event_id
            case PageRequested() | NoticeReported():
                self.rounds = max(self.rounds, event.round)
                self.sources["rounds"] = event_id
            case UploadReceived() | UploadAssessed():
                self.people[event.upload_id] = event
                self.sources[f"upload/{event.upload_id}"] = event_id
                if isinstance(event, UploadAssessed) and self._is_reason(event):
                    self.headline, self.sources["headline"] = event.headline, event_id
            case AssessmentMissed() | RepeatAsked() | ClinicAnswered() | CommandRefused() | EcgUploaded() | Assessed():
                pass  # these change nothing that is shown but the timeline
            case _:
                assert_never(event)

    def _is_reason(self, event: UploadAssessed) -> bool:
        """Return whether an assessment says why the upload that it is open for cannot be judged: it was paged as not read in time before."""
        by = self.by
        return by is not None and by.upload_id == event.upload_id and by.priority is event.priority is Priority.NOT_EVALUABLE


def _case_of_upload(facts: Facts) -> CaseOfUpload | None:
    course = _Course(facts)
    if course.opened is None:
        return None
    return CaseOfUpload(case_id=course.opened.case_id, phase=course.phase, owner=course.owner, event_id=course.sources["phase"])


def summary(facts: Facts, clinic_names: dict[ClinicId, str]) -> CaseSummary | None:
    """Return a case for people, from its facts; None where no case was opened, or its opening is not known here."""
    course = _Course(facts)
    opened, by = course.opened, course.by
    if opened is None or by is None:
        return None
    person = course.people.get(by.upload_id)
    sources = {name: event_id for name, event_id in course.sources.items() if not name.startswith("upload/")}
    if person is not None:
        sources |= dict.fromkeys(("age_y", "sex", "clinic_id", "received_at"), course.sources[f"upload/{by.upload_id}"])
    clinic_id = person.clinic_id if person else opened.clinic_id
    return CaseSummary(
        case_id=opened.case_id,
        phase=course.phase,
        priority=by.priority,
        headline=course.headline,
        age_y=person.age_y if person else None,
        sex=person.sex if person else None,
        clinic_id=clinic_id,
        clinic=clinic_names.get(clinic_id, clinic_id),
        centre_id=opened.centre_id,
        owner=course.owner,
        rounds=course.rounds,
        upload_id=by.upload_id,
        received_at=person.received_at if person else opened.received_at,
        opened_at=opened.at,
        seen=course.seen,
        sources=sources,
    )


def case_view(facts: Facts, uploads: dict[UploadId, Facts], clinic_names: dict[ClinicId, str], *, cut: bool) -> CaseView | None:
    """Return a case whole, with what is known of its uploads; cut says that older facts were left out."""
    short = summary(facts, clinic_names)
    if short is None:
        return None
    entries = {fact.event_id: fact for fact in facts.values()}
    for of_upload in uploads.values():
        entries |= {fact.event_id: fact for fact in of_upload.values() if not isinstance(fact.event(), CaseEvent)}
    return CaseView(
        **short.model_dump(),
        uploads=tuple(
            UploadOfCase(
                upload_id=upload_id, clinic_id=clinic_of(each) or short.clinic_id, received_at=_received_at(each), assessment=assessment_of(each)
            )
            for upload_id, each in uploads.items()
        ),
        timeline=tuple(entry(fact) for fact in in_order(entries)),
        timeline_cut=cut,
    )


def uploads_of(facts: Facts) -> tuple[UploadId, ...]:
    """Return a case's uploads, the first to be heard of first."""
    return tuple(_Course(facts).people)


def patient_key_of(facts: Facts) -> PatientKey | None:
    """Return the key under which everything of the case travels."""
    return next((event.patient_key for event in _events(facts) if isinstance(event, CaseEvent)), None)


def _received_at(facts: Facts) -> Instant | None:
    for event in _events(facts):
        if isinstance(event, EcgUploaded):
            return event.at
        if isinstance(event, Assessed | UploadReceived | UploadAssessed):
            return event.received_at
    return None


def _events(facts: Facts) -> Sequence[Told]:
    return [fact.event() for fact in in_order(facts)]
