"""A case as its events tell it, by the contracts alone: what the checks hold the services' own state against."""

from dataclasses import dataclass, field

from contracts.cases import (
    Acknowledged,
    ActivationCancelled,
    AssessmentMissed,
    CaseClosed,
    CaseEvents,
    CaseOpened,
    CaseRaised,
    CaseSettled,
    Confirmed,
    HandOverAccepted,
    OwnerReleased,
    StoodDown,
    TakenOver,
    Treated,
    UploadAssessed,
    UploadReceived,
)
from contracts.envelope import Record
from contracts.ids import EventId, UploadId
from contracts.vocabulary import Priority, Treatment


@dataclass(frozen=True)
class Decision:
    """What followed from one message, as it was stepped: its records, one batch, and the events in them."""

    message_id: str
    first: int  # its first event's sequence
    records: tuple[Record, ...]
    events: tuple[CaseEvents, ...]

    @property
    def last(self) -> int:
        return self.first + len(self.records) - 1


@dataclass
class View:
    """Which uploads wait for an assessment, whether the case is open, and whether somebody has it in hand."""

    waiting: dict[UploadId, None] = field(default_factory=dict)
    assessed: dict[UploadId, Priority] = field(default_factory=dict)
    for_people: dict[UploadId, None] = field(default_factory=dict)  # opened, or missed
    is_open: bool = False
    priority: Priority | None = None  # of what it is open for
    owner: str | None = None
    is_confirmed: bool = False  # by the owner: it is what it looks like
    has_news: bool = False  # that the owner has not acknowledged
    is_treated: bool = False  # which ends it once nothing is new

    @property
    def is_decided(self) -> bool:
        return self.is_confirmed and not self.has_news

    @property
    def waits_for_nobody(self) -> bool:
        """Nobody has it in hand, and its pages are not bundled: what can wait rings a person once in ten minutes."""
        return self.is_open and self.owner is None and self.priority is not Priority.YELLOW

    def add(self, event: CaseEvents) -> None:
        match event:
            case UploadReceived() if event.upload_id not in self.assessed:
                self.waiting[event.upload_id] = None
            case UploadAssessed():
                self.waiting.pop(event.upload_id, None)
                self.assessed.setdefault(event.upload_id, event.priority)
            case AssessmentMissed():
                self.waiting.pop(event.upload_id, None)
                self.for_people[event.upload_id] = None
            case CaseRaised() if event.kept_by is not None:
                self.priority, self.has_news = event.priority, True
            case CaseOpened() | CaseRaised():
                self.is_confirmed = self.is_confirmed and self.is_open
                self.is_open, self.owner, self.has_news, self.priority = True, None, False, event.priority
            case _:
                self._add_of_owner(event)

    def _add_of_owner(self, event: CaseEvents) -> None:
        match event:
            case TakenOver() | HandOverAccepted():
                self.owner, self.is_open = event.by, True  # also what was stood down
            case Acknowledged():
                self.owner, self.has_news = event.by, False
            case OwnerReleased():
                self.owner, self.has_news = None, False
            case Confirmed():
                self.is_open, self.is_confirmed, self.has_news = True, True, False
            case ActivationCancelled():
                self.is_confirmed = False
            case Treated():
                self.is_treated |= event.treatment is not Treatment.LYSIS_BOLUS  # after which the patient still goes to the centre
            case CaseSettled() | CaseClosed() | StoodDown():
                self._end()
            case _:
                return
        if self.is_treated and self.is_decided and self.owner is not None:
            self._end()

    def _end(self) -> None:
        self.is_open = self.is_confirmed = self.is_treated = self.has_news = False


@dataclass
class CaseLog:
    """What of a case is in Kafka, in its order, and when each event got there."""

    patient_key: str = ""
    decisions: list[Decision] = field(default_factory=list)
    by_first: dict[int, Decision] = field(default_factory=dict)
    events: list[CaseEvents] = field(default_factory=list)
    logged_at_s: list[float] = field(default_factory=list)
    pressed: dict[EventId, int] = field(default_factory=dict)  # how many events who pressed could see
    view: View = field(default_factory=View)

    @property
    def last(self) -> int:
        return len(self.events)

    def add(self, decision: Decision, at_s: float) -> None:
        self.decisions.append(decision)
        self.by_first[decision.first] = decision
        for event in decision.events:
            self.events.append(event)
            self.logged_at_s.append(at_s)
            self.view.add(event)

    def seen_by(self, at_s: float) -> int:
        """Return how many events a projection shows that has all that was there by then."""
        return sum(logged_at_s <= at_s for logged_at_s in self.logged_at_s)

    def raised_within(self, shown: int) -> int | None:
        """Return the sequence of what people are paged for, as far as it is shown."""
        raised = [number for number, event in enumerate(self.events[:shown], 1) if isinstance(event, CaseOpened | CaseRaised)]
        return raised[-1] if raised else None
