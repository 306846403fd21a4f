"""What the console remembers: facts, each an event with its origin, gathered by upload and by case. Pure.

Remembering is the union of facts by event id. So the same event twice changes nothing, and the order in which they come, across topics or
within one, does not matter; what is shown is worked out from the facts when it is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal
from uuid import UUID

from contracts import topics
from contracts.assessments import Assessed
from contracts.cases import (
    Acknowledged,
    CaseEvent,
    CaseOpened,
    CommandRefused,
    HandOverAccepted,
    HandOverOffered,
    NobodyOnCall,
    NoteRequested,
    NoticeReached,
    NoticeReported,
    PageReason,
    PageRequested,
    ReadingListed,
    TakenOver,
)
from contracts.envelope import Envelope
from contracts.ids import CentreId, EventId, PersonId, UploadId
from contracts.intake import EcgUploaded
from contracts.topics import Topic, read_event
from contracts.vocabulary import Event, Frozen, Instant
from services.console.words import Told

TOPICS = MappingProxyType({topic.name: topic for topic in topics.TOPICS})
# As long as a case is open there are more of them.
REPEATING = (PageRequested, NobodyOnCall, NoteRequested, NoticeReported, NoticeReached, CommandRefused)
# Who is asked to take a case over reads it while they are asked; the next method follows one that was paged before, for whatever it was.
_NOT_FOR_THE_CASE = {PageReason.HAND_OVER, PageReason.NEXT_METHOD, PageReason.NOBODY_ON_CALL}


class Fact(Frozen):
    """One event, and where it came from. `told` is the event's JSON as it stood in its topic's value, without what is not known here."""

    event_id: EventId
    type: str
    at: Instant
    topic: str
    sequence: int | None = None
    causation_id: UUID
    told: str

    @property
    def is_known(self) -> bool:
        """False where a newer version stored a kind that this one does not know: it is left out."""
        topic = TOPICS.get(self.topic)
        return topic is not None and any(event.__name__ == self.type for event in topic.events)

    def event(self) -> Told:
        event: Told = read_event(TOPICS[self.topic], self.type, self.told.encode())  # type: ignore[assignment] # only these are stored
        return event


Facts = Mapping[EventId, Fact]


@dataclass(frozen=True)
class Place:
    """Where a fact belongs: to an upload or a case; among the few that are kept whole, or the many of which the newest are kept."""

    of: Literal["upload", "case"]
    id: UUID
    repeating: bool = False
    listed_at: CentreId | None = None  # the centre in whose list of cases this fact puts the case
    listed_for: PersonId | None = None  # the person in whose list it does so, whatever their centre
    paged: PersonId | None = None  # who was called for the case: they read and command it from now on
    to_read: "ToRead | None" = None  # what this fact puts on a reading list


@dataclass(frozen=True)
class ToRead:
    """An upload on a centre's reading list. That it was read is another fact of its case, and is looked for when the list is shown."""

    centre_id: CentreId
    upload_id: UploadId
    read_by: Instant


def fact_of(topic: Topic, envelope: Envelope, event: Told) -> Fact:
    return Fact(
        event_id=envelope.id,
        type=envelope.type,
        at=event.at,
        topic=topic.name,
        sequence=envelope.sequence,
        causation_id=envelope.causationid,
        told=event.model_dump_json(exclude_none=True),
    )


def places_of(event: Told) -> tuple[Place, ...]:
    """Return what an event is a fact about: its upload, its case, or both. A page concerns only the case."""
    if isinstance(event, EcgUploaded | Assessed):
        return (Place("upload", event.upload_id),)
    assert isinstance(event, CaseEvent)  # noqa: S101 - the union of words.py says so; a type checker is told
    if isinstance(event, REPEATING):
        return (Place("case", event.case_id, repeating=True, listed_for=lists_for(event), paged=_pages(event)),)
    to_read = ToRead(event.centre_id, event.upload_id, event.read_by) if isinstance(event, ReadingListed) else None
    of_case = Place("case", event.case_id, listed_at=lists_at(event), listed_for=lists_for(event), to_read=to_read)
    upload_id = getattr(event, "upload_id", None)
    return (of_case, Place("upload", upload_id)) if upload_id else (of_case,)


def lists_at(event: Event) -> CentreId | None:
    """Return the centre that has to do with the case from this event on: it was opened there, offered to it, taken over by it."""
    match event:
        case CaseOpened() | HandOverAccepted():
            return event.centre_id
        case HandOverOffered():
            return event.to_centre
        case _:
            return None


def lists_for(event: Event) -> PersonId | None:
    """Return the person who may have to do with the case from this event on: paged, asked by name to take it, having it in hand."""
    match event:
        case PageRequested() if event.reason is not PageReason.NOBODY_ON_CALL:
            return event.person_id
        case HandOverOffered():
            return event.to_person
        case Acknowledged() | TakenOver() | HandOverAccepted():
            return event.by
        case _:
            return None


def _pages(event: Event) -> PersonId | None:
    return event.person_id if isinstance(event, PageRequested) and event.reason not in _NOT_FOR_THE_CASE else None


def in_order(facts: Facts) -> list[Fact]:
    """Return the facts in the order of a timeline: by time; a case's own by their sequence where times are equal."""
    return sorted(facts.values(), key=lambda fact: (fact.at, fact.sequence or 0, str(fact.event_id)))
