"""A case, as its events leave it. Canonical: the same events make the same JSON, byte for byte."""

from enum import StrEnum

from contracts.ids import CaseId, CentreId, ClinicId, NoticeId, PatientKey, PersonId, UploadId
from contracts.vocabulary import Age, Diagnosis, Frozen, Instant, Lane, Priority, Sex, Strategy

NOT_READ_YET = "the ECG was not read in time: look at it, or have it recorded again"


class Phase(StrEnum):
    NEW = "new"  # nothing happened yet
    WAITING = "waiting"  # for an assessment, before there is a case for people
    ANSWERED = "answered"  # the clinic was told, and no case came of it
    OPENED = "opened"  # people are paged
    ACKNOWLEDGED = "acknowledged"
    CONFIRMED = "confirmed"
    STOOD_DOWN = "stood_down"
    ACTIVATED = "activated"  # the lab
    DEPARTED = "departed"
    ARRIVED = "arrived"
    TREATED = "treated"
    CLOSED = "closed"


IN_HAND = frozenset({Phase.ACKNOWLEDGED, Phase.CONFIRMED, Phase.ACTIVATED, Phase.DEPARTED, Phase.ARRIVED})
AFTERWARDS = frozenset({Phase.STOOD_DOWN, Phase.TREATED})  # nobody is awaited, and what comes in still belongs to it


class Upload(Frozen):
    upload_id: UploadId
    clinic_id: ClinicId
    received_at: Instant
    due_at: Instant | None = None  # None: assessed, or missed
    lane: Lane
    age_y: Age | None = None
    sex: Sex | None = None
    first_contact_at: Instant | None = None
    priority: Priority | None = None  # None: not assessed
    headline: str = ""  # of its assessment
    read_by: Instant | None = None  # on the reading list; None: not, or not any more
    is_unread: bool = False  # it was put on the reading list, and nobody has read it
    is_called_for: bool = False  # people were called for it in this course

    @property
    def is_for_people(self) -> bool:
        """It is urgent by its assessment, or is an emergency that nobody could judge: not assessed, or not evaluable."""
        return self.priority is Priority.RED or (self.lane is Lane.EMERGENCY and self.priority in {None, Priority.NOT_EVALUABLE})

    @property
    def is_overdue(self) -> bool:
        """Nobody has read it in its time."""
        return self.is_unread and self.read_by is None

    @property
    def reason(self) -> str:
        """Why people look at it."""
        return NOT_READ_YET if self.priority is None else self.headline


class Notice(Frozen):
    """One notice of the last round: how a person was paged, and until when something is to be known of it."""

    notice_id: NoticeId
    person_id: PersonId
    method: str
    answer_by: Instant | None = None  # None: something is known of it
    failed: bool = False


class Told(Frozen):
    """How a person was paged last since the case was raised: whoever was called is told who has it in hand."""

    person_id: PersonId
    method: str


class HandOver(Frozen):
    """Offered, and not yet accepted."""

    sequence: int
    to_person: PersonId | None = None
    to_centre: CentreId | None = None
    accept_by: Instant
    declined: tuple[PersonId, ...] = ()


class Case(Frozen):
    case_id: CaseId
    patient_key: PatientKey
    phase: Phase = Phase.NEW
    sequence: int = 0
    last_at: Instant | None = None
    uploads: tuple[Upload, ...] = ()
    priority: Priority | None = None  # what it is open for
    upload_id: UploadId | None = None  # the upload that it is open for
    raised_sequence: int = 0  # of the event by which people are paged now: who takes it in hand must have seen that one
    raised_at: Instant | None = None
    called_from: Instant | None = None  # receipt of the first upload that people are called for, or have in hand: since then the patient waits
    call_at: Instant | None = None  # when the clinic is told to call, if nobody has it in hand by then; None: it was told, or need not be
    centre_id: CentreId | None = None
    round: int = 0  # of notices: each is one more
    step: int | None = None  # of the escalation policy that was paged last; None: none since it was raised
    again_at: Instant | None = None  # when the next step is paged
    notices: tuple[Notice, ...] = ()  # of the last round
    told: tuple[Told, ...] = ()
    owner: PersonId | None = None
    owned_sequence: int = 0  # of the event from which the owner's time counts
    owned_at: Instant | None = None
    release_at: Instant | None = None  # the owner was paged again: when the policy goes on
    hand_over: HandOver | None = None
    diagnosis: Diagnosis | None = None
    confirmed_at: Instant | None = None  # in this course; also where it is looked at again by now
    has_news: bool = False  # a recording came that who has decided the case has not acknowledged
    proposed: Strategy | None = None
    proposed_from: Instant | None = None  # the first contact that the proposal counts from
    is_chosen: bool = False  # a physician chose a strategy, for the way to this centre
    is_lysed: bool = False  # the bolus was given
    clinic_wrote_at: Instant | None = None  # of what the owner was told of last
    is_referred: bool = False
    is_activated: bool = False
    is_treated: bool = False  # which ends it once what is new has been seen
    moved: Phase | None = None  # how far the patient has come: departed, arrived
    moved_at: Instant | None = None
    stood_down_at: Instant | None = None
    over_at: Instant | None = None  # when its last course ended
    course_after: Instant | None = None  # what was received before belongs to an earlier course

    @property
    def is_open(self) -> bool:
        """People are called for it, or have it in hand."""
        return self.phase is Phase.OPENED or self.phase in IN_HAND

    @property
    def is_live(self) -> bool:
        """Something is still expected of it: the patient's next upload joins it. Else it begins another case."""
        return self.is_open or self.phase in AFTERWARDS or any(upload.due_at or upload.read_by for upload in self.uploads)

    @property
    def awaits_decision(self) -> bool:
        """Somebody has it in hand, and has neither confirmed it nor stood it down."""
        return self.phase in IN_HAND and self.diagnosis is None

    @property
    def awaits_owner(self) -> bool:
        """Somebody has it in hand, and something of it waits for them."""
        return self.awaits_decision or (self.phase in IN_HAND and self.has_news)

    @property
    def can_settle(self) -> bool:
        """No physician has confirmed it: an answer to what it was opened for may still close it."""
        return (self.phase is Phase.OPENED or self.awaits_decision) and self.confirmed_at is None

    @property
    def asked(self) -> dict[PersonId, str]:
        """Whom it is offered to and who has not declined, and how each was paged for that last."""
        if self.hand_over is None:
            return {}
        return {notice.person_id: notice.method for notice in self.notices if notice.person_id not in {self.owner, *self.hand_over.declined}}

    @property
    def overdue(self) -> tuple[Upload, ...]:
        return tuple(upload for upload in self.uploads if upload.is_overdue)

    @property
    def of_course(self) -> tuple[Upload, ...]:
        """What came in since the last course ended, and what people were called for since: it may have been judged late."""
        after = self.course_after
        return tuple(each for each in self.uploads if after is None or each.received_at > after or each.is_called_for)

    def upload(self, upload_id: UploadId) -> Upload | None:
        return next((upload for upload in self.uploads if upload.upload_id == upload_id), None)

    def notice(self, notice_id: NoticeId) -> Notice | None:
        return next((notice for notice in self.notices if notice.notice_id == notice_id), None)
