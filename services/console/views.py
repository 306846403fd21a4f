"""What is shown of an upload and of a case, worked out from their facts. Pure. Every figure names the event that it comes from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from contracts.assessments import Assessed, Reading
from contracts.cases import CaseEvent, ClinicAnswered, RepeatAsked, Said, UploadAssessed, UploadReceived
from contracts.ids import CaseId, CentreId, ClinicId, EventId, PatientKey, PersonId, UploadId
from contracts.intake import EcgUploaded
from contracts.vocabulary import Age, Diagnosis, Frozen, Instant, Lane, Outcome, Priority, Sex, Strategy, Treatment
from services.console.course import Alarm, CallNow, CasePhase, Course, HandOver, Link, Proposal, Tick
from services.console.projection import Fact, Facts, in_order
from services.console.words import Told, line_for_clinic, line_of

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
    """What the clinic is told, and what it and the centre say to each other."""

    kind: Literal["answer", "repeat", "said"]
    by: Literal["centre", "clinic"] = "centre"
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
    call_now: CallNow | None = Field(description="nobody has it in hand yet: to be shown in large; null once somebody has")
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
    hand_over: HandOver | None
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


class Clock(Tick):
    min_from_start: float = Field(description="minutes since `clocks_from`")


class CaseMessage(Frozen):
    by: PersonId | None = Field(description="a person of the centre; none: the clinic")
    clinic_id: ClinicId
    text: str
    event_id: EventId
    at: Instant


class CaseView(CaseSummary):
    centre_number: str
    route_reason: str
    travel_min: int | None
    directory_version: str
    diagnosis: Diagnosis | None
    stood_down_reason: str | None
    strategy_proposed: Proposal | None
    strategy: Strategy | None
    strategy_reason: str | None
    referral_centre: CentreId | None = Field(description="the centre that takes the patient")
    lab_centre: CentreId | None = Field(description="whose catheter lab is activated")
    clocks_from: Literal["first_contact", "received"] = Field(description="what minutes count from: first medical contact where it is given")
    clocks: tuple[Clock, ...]
    wire_min: float | None = Field(description="minutes from there until the wire crossed the lesion")
    outcome: Outcome | None
    links: tuple[Link, ...]
    alarms: tuple[Alarm, ...]
    messages: tuple[CaseMessage, ...]
    uploads: tuple[UploadOfCase, ...]
    timeline: tuple[Entry, ...]
    timeline_cut: bool = Field(description="older pages were left out: only the newest are kept")


@dataclass(frozen=True)
class Ground:
    """What a command stands on: whose case it is, the upload and the event that were seen, how urgent it is."""

    patient_key: PatientKey
    upload_id: UploadId
    received_at: Instant
    priority: Priority | None
    event_id: EventId


def entry(fact: Fact, in_words: Callable[[Told], str] = line_of) -> Entry:
    text = in_words(fact.event())
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
    course = Course(case_facts)
    assessment, case = assessment_of(facts), _case_of_upload(course)
    return UploadView(
        upload_id=upload_id,
        clinic_id=clinic_id,
        received_at=_received_at(facts),
        state=_state(assessment, case),
        assessment=assessment,
        case=case,
        call_now=course.call_now if course.phase == "opened" else None,
        messages=tuple(_messages({**_said(case_facts, clinic_id), **facts})),
        timeline=tuple(entry(fact, line_for_clinic) for fact in in_order(facts)),
    )


def _said(case_facts: Facts, clinic_id: ClinicId) -> dict[EventId, Fact]:
    """Return what was said between centre and clinic about any of the case's uploads: they are one patient's."""
    said = {event_id: fact.event() for event_id, fact in case_facts.items() if fact.type == Said.__name__}
    return {event_id: case_facts[event_id] for event_id, event in said.items() if isinstance(event, Said) and event.clinic_id == clinic_id}


def _state(assessment: AssessmentView | None, case: CaseOfUpload | None) -> UploadState:
    if case is not None and case.phase != "opened":
        return "closed" if case.phase == "closed" else "in_hand"
    return "assessed" if assessment else "received"


def _messages(facts: Facts) -> Sequence[ClinicMessage]:
    found = list[ClinicMessage]()
    for fact in in_order(facts):
        event = fact.event()
        if isinstance(event, ClinicAnswered):
            found.append(ClinicMessage(kind="answer", text=event.text, event_id=fact.event_id, at=fact.at))
        elif isinstance(event, RepeatAsked):
            found.append(ClinicMessage(kind="repeat", text=f"Record again: {'; '.join(event.reasons)}", event_id=fact.event_id, at=fact.at))
        elif isinstance(event, Said):
            by: Literal["centre", "clinic"] = "clinic" if event.by is None else "centre"
            found.append(ClinicMessage(kind="said", by=by, text=event.text, event_id=fact.event_id, at=fact.at))
    return found


def _case_of_upload(course: Course) -> CaseOfUpload | None:
    if course.opened is None:
        return None
    return CaseOfUpload(case_id=course.opened.case_id, phase=course.phase, owner=course.owner, event_id=course.sources["phase"])


def summary_of(course: Course, clinic_names: dict[ClinicId, str]) -> CaseSummary | None:
    """Return a case for people; None where no case was opened, or its opening is not known here."""
    opened, by = course.opened, course.by
    if opened is None or by is None:
        return None
    person = course.people.get(by.upload_id)
    sources = {name: event_id for name, event_id in course.sources.items() if name in CaseSummary.model_fields}
    if person is not None:
        of_upload = ("age_y", "sex", "clinic_id", *(() if by.received_at else ("received_at",)))  # raised by one who did not say it yet
        sources |= dict.fromkeys(of_upload, course.sources[f"upload/{by.upload_id}"])
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
        centre_id=course.centre_id or opened.centre_id,
        owner=course.owner,
        hand_over=course.hand_over,
        rounds=course.rounds,
        upload_id=by.upload_id,
        received_at=by.received_at or (person.received_at if person else opened.received_at),
        opened_at=opened.at,
        seen=course.seen,
        sources=sources,
    )


def case_view(facts: Facts, uploads: dict[UploadId, Facts], clinic_names: dict[ClinicId, str], *, cut: bool) -> CaseView | None:
    """Return a case whole, with what is known of its uploads; cut says that older facts were left out."""
    course = Course(facts)
    short = summary_of(course, clinic_names)
    if short is None:
        return None
    entries = {fact.event_id: fact for fact in facts.values()}
    for of_upload in uploads.values():
        entries |= {fact.event_id: fact for fact in of_upload.values() if not isinstance(fact.event(), CaseEvent)}
    return CaseView(
        **short.model_dump(exclude={"sources"}),
        **_decided(course, short),
        uploads=tuple(
            UploadOfCase(
                upload_id=upload_id, clinic_id=clinic_of(each) or short.clinic_id, received_at=_received_at(each), assessment=assessment_of(each)
            )
            for upload_id, each in uploads.items()
        ),
        messages=tuple(_said_of_case(facts)),
        timeline=tuple(entry(fact) for fact in in_order(entries)),
        timeline_cut=cut,
    )


def _decided(course: Course, short: CaseSummary) -> dict[str, Any]:
    """Return the figures of a case that only its own page shows, by the names of CaseView, with the sources of all."""
    opened = course.opened
    assert opened is not None  # noqa: S101 - a case that has a summary was opened
    start = _start(course)
    clocks = tuple(
        Clock(**tick.model_dump(), min_from_start=_minutes(start, tick))
        for tick in sorted({*course.ticks.values(), start}, key=lambda tick: (tick.at, str(tick.event_id), tick.name))
    )
    wire = next((clock for clock in clocks if clock.what == Treatment.PCI_WIRE), None)
    sources = short.sources | {name: event_id for name, event_id in course.sources.items() if name in CaseView.model_fields}
    return {
        "centre_number": course.centre_number,
        "route_reason": opened.route_reason,
        "travel_min": opened.travel_min,
        "directory_version": opened.directory_version,
        **{name: course.figures.get(name) for name in ("diagnosis", "stood_down_reason", "strategy", "strategy_reason", "referral_centre")},
        "strategy_proposed": course.proposal,
        "lab_centre": course.lab_centre,
        "clocks_from": start.name,
        "clocks": clocks,
        "wire_min": wire.min_from_start if wire else None,
        "outcome": course.outcome,
        "links": tuple(course.links.values()),
        "alarms": tuple(course.alarms),
        "sources": sources | ({"wire_min": wire.event_id} if wire else {}) | {"clocks_from": start.event_id},
    }


def _start(course: Course) -> Tick:
    """Return what minutes count from: the earliest first contact that was given with what it was opened for, or later; else its receipt."""
    receipt = course.ticks["received", None]
    given = [
        Tick(name="first_contact", at=upload.first_contact_at, event_id=course.sources[f"upload/{upload.upload_id}"])
        for upload in course.people.values()
        if upload.first_contact_at is not None and upload.received_at >= receipt.at
    ]
    return min(given, key=lambda tick: (tick.at, str(tick.event_id)), default=receipt)


def _minutes(start: Tick, tick: Tick) -> float:
    return round((tick.at - start.at).total_seconds() / 60, 1)


def _said_of_case(facts: Facts) -> Sequence[CaseMessage]:
    found = [(fact, fact.event()) for fact in in_order(facts)]
    return [
        CaseMessage(**event.model_dump(include={"by", "clinic_id", "text"}), event_id=fact.event_id, at=fact.at)
        for fact, event in found
        if isinstance(event, Said)
    ]


def ground_of(facts: Facts, course: Course) -> Ground | None:
    """Return what a command about the case goes out on; None where nothing says yet whose case it is."""
    patient_key = next((event.patient_key for event in _events(facts) if isinstance(event, CaseEvent)), None)
    short = summary_of(course, {})
    if patient_key is None:
        return None
    if short is not None:
        return Ground(patient_key, short.upload_id, short.received_at, short.priority, short.sources["phase"])
    if not course.people:
        return None
    last = list(course.people.values())[-1]  # not opened for people: its last upload
    priority = last.priority if isinstance(last, UploadAssessed) else None
    return Ground(patient_key, last.upload_id, last.received_at, priority, course.sources[f"upload/{last.upload_id}"])


def _received_at(facts: Facts) -> Instant | None:
    for event in _events(facts):
        if isinstance(event, EcgUploaded):
            return event.at
        if isinstance(event, Assessed | UploadReceived | UploadAssessed):
            return event.received_at
    return None


def _events(facts: Facts) -> Sequence[Told]:
    return [fact.event() for fact in in_order(facts)]
