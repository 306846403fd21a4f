"""A case's course by the sequence of its events: what holds after the last of them, and by which event. Pure.

Events may be known in any order, and some not yet: each says what it says by itself, and the sequence tells which was last."""

from collections.abc import Iterable
from typing import Literal, assert_never

from contracts import cases
from contracts.assessments import Assessed
from contracts.cases import CaseEvents, CaseOpened, CaseRaised, UploadAssessed, UploadReceived
from contracts.ids import CaseId, CentreId, ClinicId, EventId, PersonId, UploadId
from contracts.intake import EcgUploaded
from contracts.vocabulary import Frozen, Instant, Outcome, Priority, Strategy, Treatment
from services.console.projection import Facts

CasePhase = Literal["opened", "acknowledged", "confirmed", "stood_down", "activated", "departed", "arrived", "treated", "closed"]
ClockName = Literal["first_contact", "received", "opened", "acknowledged", "confirmed", "activated", "departed", "arrived", "treated"]
_Turns = CaseOpened | CaseRaised | cases.CaseClosed | cases.CaseSettled
_Owns = (
    cases.Acknowledged
    | cases.OwnerReleased
    | cases.TakenOver
    | cases.HandOverOffered
    | cases.HandOverAccepted
    | cases.HandOverDeclined
    | cases.HandOverExpired
)
_Decides = (
    cases.Confirmed
    | cases.StoodDown
    | cases.StrategyProposed
    | cases.StrategyChosen
    | cases.ReferralAccepted
    | cases.LabActivated
    | cases.ActivationCancelled
)
_Travels = cases.PatientDeparted | cases.PatientArrived | cases.Treated
_Tells = (
    cases.PageRequested
    | cases.NoticeReported
    | UploadReceived
    | UploadAssessed
    | cases.ClinicToldToCall
    | cases.CaseLinked
    | cases.NobodyOnCall
    | cases.ReadingListed
    | cases.ReadingDone
    | cases.ReadingOverdue
)
# Shown in the timeline, and among the messages.
_ChangesNothing = (
    cases.AssessmentMissed | cases.RepeatAsked | cases.ClinicAnswered | cases.CommandRefused | cases.Said | cases.NoteRequested | cases.NoticeReached
)
_AFTERWARDS = {"stood_down", "treated"}  # nobody is awaited, and what comes in still belongs to the case
_OF_A_COURSE = ("diagnosis", "stood_down_reason", "strategy", "strategy_reason", "referral_centre")  # figures that end with it


class HandOver(Frozen):
    """It waits for somebody to take it."""

    by: PersonId
    to_person: PersonId | None
    to_centre: CentreId | None
    accept_by: Instant
    event_id: EventId


class Proposal(Frozen):
    """What the clock says about the strategy, with both figures; a physician chooses."""

    strategy: Strategy
    contact_to_wire_min: int | None
    contact_to_bolus_min: int | None
    limit_min: int
    first_contact_at: Instant
    reason: str
    event_id: EventId


class CallNow(Frozen):
    """To be shown in large at the clinic: nobody has it in hand yet, and somebody answers this number."""

    number: str
    text: str
    event_id: EventId


class Link(Frozen):
    other_case_id: CaseId
    by: PersonId
    event_id: EventId


class Alarm(Frozen):
    """Nobody was on call."""

    centre_id: CentreId
    rosters: tuple[str, ...]
    at: Instant
    event_id: EventId


class Tick(Frozen):
    """When something happened, by an event; `what` says more: where the patient arrived, how it was treated."""

    name: ClockName
    at: Instant
    what: str | None = None
    event_id: EventId


class Course:
    """What holds of a case. `sources` names for each figure that is set its event.

    The phase follows from what is known, as cases itself has it: from how far the patient has come, else from the lab, else from the diagnosis."""

    def __init__(self, facts: Facts) -> None:
        self.opened: CaseOpened | None = None
        self.phase: CasePhase = "opened"
        self.owner: PersonId | None = None
        self.by: CaseOpened | CaseRaised | None = None  # what it is open for
        self.headline = ""
        self.seen: int | None = None
        self.rounds = 0
        self.centre_id: CentreId | None = None
        self.centre_number = ""
        self.centres: set[CentreId] = set()  # whose it is, and whose it was before it was handed over
        self.people: dict[UploadId, UploadReceived | UploadAssessed] = {}
        self.listed: dict[UploadId, cases.ReadingListed] = {}
        self.read: set[UploadId] = set()
        self.let_go: set[UploadId] = set()  # nobody read them in time, and the case ended with them before whoever ended it
        self.hand_over: HandOver | None = None
        self.call_now: CallNow | None = None
        self.proposal: Proposal | None = None
        self.links: dict[CaseId, Link] = {}
        self.alarms: list[Alarm] = []
        self.has_news = False  # a recording came that who has decided it has not acknowledged
        self.is_treated = False  # which ends it once what is new was acknowledged
        self.moved: Literal["departed", "arrived"] | None = None  # how far the patient has come
        self.lab_centre: CentreId | None = None
        self.figures: dict[str, str | None] = {}  # what people decided, in words or as a code
        self.ticks: dict[tuple[ClockName, str | None], Tick] = {}
        self.outcome: Outcome | None = None
        self.sources: dict[str, EventId] = {}
        for fact in sorted(facts.values(), key=lambda fact: (fact.sequence or 0, str(fact.event_id))):
            event = fact.event()
            if not isinstance(event, EcgUploaded | Assessed):
                self._add(event, fact.event_id, fact.sequence)

    def clinics(self) -> set[ClinicId]:
        """Return the clinics of the case's uploads."""
        return {upload.clinic_id for upload in self.people.values()}

    def is_in_hands_of(self, person: PersonId) -> bool:
        """Return whether the person has it in hand, or is asked by name to take it."""
        return person == self.owner or (self.hand_over is not None and self.hand_over.to_person == person)

    def asked_centre(self) -> CentreId | None:
        """Return the centre that is asked to take it."""
        return self.hand_over.to_centre if self.hand_over is not None else None

    def is_read_at(self, centres: Iterable[CentreId]) -> bool:
        """Return whether one of its uploads is, or was, on the reading list of one of these centres."""
        return not {listed.centre_id for listed in self.listed.values()}.isdisjoint(centres)

    def _add(self, event: CaseEvents, event_id: EventId, sequence: int | None) -> None:
        if isinstance(event, _Turns):
            self._turns(event, event_id, sequence)
        elif isinstance(event, _Owns):
            self._owns(event, event_id)
        elif isinstance(event, _Decides):
            self._decides(event, event_id)
        elif isinstance(event, _Travels):
            self._travels(event, event_id)
        elif isinstance(event, _Tells):
            self._tells(event, event_id)
        elif not isinstance(event, _ChangesNothing):
            assert_never(event)

    def _turns(self, event: _Turns, event_id: EventId, sequence: int | None) -> None:
        match event:
            case CaseOpened() | CaseRaised():
                self._raise(event, event_id)
                self.by, self.headline, self.seen = event, event.headline, sequence
                self._source(event_id, "priority", "headline", "clinic_id", "upload_id", "received_at", "seen")
                if isinstance(event, CaseOpened):
                    self._begin(event, event_id)
            case cases.CaseClosed():
                self.outcome = event.outcome
                self._source(event_id, "outcome")
                self._end("closed", event_id)
            case cases.CaseSettled():
                self._end("closed", event_id)

    def _raise(self, event: CaseOpened | CaseRaised, event_id: EventId) -> None:
        """People are called: what was decided before holds as far as it is of the same course. Who keeps the case is called alone."""
        if isinstance(event, CaseRaised) and event.kept_by is not None:
            self.call_now = None  # if they do not answer, the clinic is told anew
            self.has_news = True
            return
        if self.opened is None or self.phase in {*_AFTERWARDS, "closed"}:
            self.moved = self.proposal = None
            self._undo(*_OF_A_COURSE, "lab_centre")
        self._undo("stood_down_reason")
        was_yellow = self.by is not None and self.by.priority is Priority.YELLOW
        if self.phase != "opened" or was_yellow is not (event.priority is Priority.YELLOW):
            self.call_now = None  # who is told to call is told anew; where people were called already, it stands
        self.has_news = False
        self._turn("opened", event_id)
        self._own(None, event_id)

    def _begin(self, event: CaseOpened, event_id: EventId) -> None:
        if self.opened is not None:  # what was of an earlier opening is in the timeline; the figures are this one's
            self.sources.pop("outcome", None)
            self.ticks = {}
            self.outcome = self.call_now = None
        self.opened = event
        self._stand_at(event.centre_id, event.centre_number, event_id)
        self._source(event_id, "opened_at", "route_reason", "travel_min", "directory_version")
        self._tick("received", event.received_at, event_id)
        self._tick("opened", event.at, event_id)

    def _owns(self, event: _Owns, event_id: EventId) -> None:
        match event:
            case cases.Acknowledged():
                self.has_news = False
                if event.by != self.owner:  # else whom it is offered to is still asked
                    self._own(event.by, event_id)
                self._turn_by_what_is_known(event_id)
                if ("acknowledged", None) not in self.ticks:  # the first: the owner may say so again
                    self._tick("acknowledged", event.at, event_id)
            case cases.OwnerReleased():
                self.has_news = False
                self._turn("opened", event_id)
                self._own(None, event_id)
            case cases.TakenOver():
                self._undo("stood_down_reason")
                self._own(event.by, event_id)
                self._turn_by_what_is_known(event_id)
            case cases.HandOverOffered():
                whom = {"to_person": event.to_person, "to_centre": event.to_centre}
                self.hand_over = HandOver(by=event.by, **whom, accept_by=event.accept_by, event_id=event_id)
            case cases.HandOverAccepted():
                if event.centre_id != self.centre_id:  # it has a lab of its own, and takes the patient or does not
                    self._undo("lab_centre", "referral_centre")
                self._stand_at(event.centre_id, event.centre_number, event_id)
                self._own(event.by, event_id)
                self._turn_by_what_is_known(event_id)
            case cases.HandOverDeclined():
                if event.is_final:
                    self.hand_over = None
            case cases.HandOverExpired():
                self.hand_over = None

    def _decides(self, event: _Decides, event_id: EventId) -> None:
        match event:
            case cases.Confirmed():
                self.has_news = False
                self._undo("stood_down_reason")
                self._figure("diagnosis", event.diagnosis, event_id)
                self._tick("confirmed", event.at, event_id)
                self._turn_by_what_is_known(event_id)
            case cases.StoodDown():
                self._undo("diagnosis")
                self._figure("stood_down_reason", event.reason, event_id)
                self._end("stood_down", event_id)
            case cases.StrategyProposed():
                self.proposal = Proposal(**event.model_dump(include=set(Proposal.model_fields)), event_id=event_id)
            case cases.StrategyChosen():
                self._figure("strategy", event.strategy, event_id)
                self._figure("strategy_reason", event.reason, event_id)
            case cases.ReferralAccepted():
                self._figure("referral_centre", event.centre_id, event_id)
            case cases.LabActivated():
                self.lab_centre = event.centre_id
                self._source(event_id, "lab_centre")
                self._tick("activated", event.at, event_id)
                self._turn_by_what_is_known(event_id)
            case cases.ActivationCancelled():
                self._undo("lab_centre", "diagnosis")
                self._turn_by_what_is_known(event_id)

    def _travels(self, event: _Travels, event_id: EventId) -> None:
        match event:
            case cases.PatientDeparted():
                self.moved = "departed"
                self._tick("departed", event.happened_at, event_id)
                self._turn_by_what_is_known(event_id)
            case cases.PatientArrived():
                self.moved = "arrived"
                self._tick("arrived", event.happened_at, event_id, event.place)
                self._turn_by_what_is_known(event_id)
            case cases.Treated():
                self._tick("treated", event.happened_at, event_id, event.treatment)
                if event.treatment is not Treatment.LYSIS_BOLUS:  # after which the patient still goes to the centre
                    self.is_treated = True
                    self._turn_by_what_is_known(event_id)

    def _tells(self, event: _Tells, event_id: EventId) -> None:
        match event:
            case cases.PageRequested() | cases.NoticeReported():
                if event.round > self.rounds:
                    self.rounds = event.round
                    self._source(event_id, "rounds")
            case UploadReceived() | UploadAssessed():
                self.people[event.upload_id] = event
                self._source(event_id, f"upload/{event.upload_id}")
                if isinstance(event, UploadAssessed) and self._is_reason(event):
                    self.headline = event.headline
                    self._source(event_id, "headline")
            case cases.ClinicToldToCall():
                self.call_now = CallNow(number=event.number, text=event.text, event_id=event_id)
            case cases.CaseLinked():
                self.links[event.other_case_id] = Link(other_case_id=event.other_case_id, by=event.by, event_id=event_id)
            case cases.NobodyOnCall():
                self.alarms.append(Alarm(centre_id=event.centre_id, rosters=event.rosters, at=event.at, event_id=event_id))
            case cases.ReadingListed():
                self.listed[event.upload_id] = event
                self.sources.pop(f"overdue/{event.upload_id}", None)  # it may be listed again, with another deadline
                self.read.discard(event.upload_id)
                self.let_go.discard(event.upload_id)
                self._source(event_id, f"listed/{event.upload_id}")
            case cases.ReadingDone():
                self.read.add(event.upload_id)
            case cases.ReadingOverdue():
                self._source(event_id, f"overdue/{event.upload_id}")

    def _turn(self, phase: CasePhase, event_id: EventId) -> None:
        self.phase = phase
        self._source(event_id, "phase")

    def _end(self, phase: CasePhase, event_id: EventId) -> None:
        """Nothing more is awaited of anybody."""
        self.hand_over, self.has_news, self.is_treated = None, False, False
        self.let_go |= {upload_id for upload_id in self.listed if f"overdue/{upload_id}" in self.sources}
        self._turn(phase, event_id)

    def _turn_by_what_is_known(self, event_id: EventId) -> None:
        by_decision: CasePhase = "activated" if self.lab_centre else "confirmed" if self.figures.get("diagnosis") else "acknowledged"
        phase = self.moved or by_decision
        if self.is_treated and self.figures.get("diagnosis") and not self.has_news:
            self._end("treated", event_id)
        elif phase != self.phase:
            self._turn(phase, event_id)

    def _own(self, person: PersonId | None, event_id: EventId) -> None:
        self.owner, self.hand_over = person, None
        self._source(event_id, "owner")

    def _stand_at(self, centre_id: CentreId, number: str, event_id: EventId) -> None:
        self.centre_id, self.centre_number = centre_id, number
        self.centres.add(centre_id)
        self._source(event_id, "centre_id", "centre_number")

    def _undo(self, *names: str) -> None:
        """Forget what does not hold any more, and when it was so; it is in the timeline."""
        for name in names:
            self.sources.pop(name, None)
            self.figures.pop(name, None)
            if name == "lab_centre":
                self.lab_centre = None
                self.ticks.pop(("activated", None), None)
            elif name == "diagnosis":
                self.ticks.pop(("confirmed", None), None)

    def _figure(self, name: str, value: str | None, event_id: EventId) -> None:
        self.figures[name] = value
        self._source(event_id, name)

    def _tick(self, name: ClockName, at: Instant, event_id: EventId, what: str | None = None) -> None:
        self.ticks[name, what] = Tick(name=name, at=at, what=what, event_id=event_id)

    def _source(self, event_id: EventId, *names: str) -> None:
        self.sources |= dict.fromkeys(names, event_id)

    def _is_reason(self, event: UploadAssessed) -> bool:
        """Return whether an assessment says why the upload that it is open for cannot be judged: it was paged as not read in time before."""
        by = self.by
        return by is not None and by.upload_id == event.upload_id and by.priority is event.priority is Priority.NOT_EVALUABLE
