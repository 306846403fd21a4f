"""A run made by hand, in which nothing is wrong: one red upload, paged twice, acknowledged. The tests of the checker spoil a part of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from contracts import topics
from contracts.assessments import Assessed, Quality
from contracts.cases import Acknowledged, CaseEvent, CaseOpened, NoticeOutcome, NoticeReported, PageRequested, UploadAssessed, UploadReceived
from contracts.commands import Acknowledge
from contracts.deliveries import NoticeSent
from contracts.envelope import open_envelope, seal
from contracts.ids import CaseId, NoticeId, UploadId, case_id, event_id, notice_id
from contracts.topics import Topic
from contracts.vocabulary import Frozen, Lane, Priority
from tests.chaos.evidence import Evidence, Rung, Written
from tests.chaos.journal import Accepted, Answered, Entry, Fault, Readiness

T0 = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
UPLOAD = UploadId(UUID(int=1))
CASE = case_id(UPLOAD)
KEY = "0" * 64
OF_CASE: dict[str, Any] = {"case_id": CASE, "patient_key": KEY}
OF_UPLOAD: dict[str, Any] = {"upload_id": UPLOAD, "clinic_id": "clinic", "received_at": T0}
RECEIVED, ASSESSED, AGAIN, ACKNOWLEDGE = (event_id(UPLOAD, name) for name in ("EcgUploaded", "Assessed", "again", "press"))


def after_s(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def page(round_: int, at: datetime, *, named: NoticeId | None = None) -> PageRequested:
    named = named or notice_id(CASE, "ann", "app", round_)
    of_page: dict[str, Any] = {"notice_id": named, "person_id": "ann", "method": "app", "round": round_}
    return PageRequested(**OF_CASE, **OF_UPLOAD, **of_page, priority=Priority.RED, headline="STEMI", at=at, again_at=at + timedelta(seconds=30))


def said_of(asked: PageRequested, at: datetime) -> NoticeSent:
    return NoticeSent(**OF_CASE, notice_id=asked.notice_id, person_id=asked.person_id, method=asked.method, round=asked.round, at=at)


def rung(asked: PageRequested, at: datetime, text: str = "RED: STEMI. under 1 min since upload") -> Rung:
    return Rung(str(asked.notice_id), at, text)


@dataclass
class Made:
    """What was written so far; `decided` numbers a case's events as cases does."""

    written: list[Written] = field(default_factory=list)
    rung: list[Rung] = field(default_factory=list)
    journal: list[Entry] = field(default_factory=list)

    def put(self, topic: Topic, event: Frozen, *, cause: UUID, at: datetime, id_: UUID, sequence: int | None = None, case: CaseId = CASE) -> None:
        named: dict[str, Any] = {"event_id": id_, "source": "made", "subject": case, "key": KEY, "correlation": UPLOAD, "causation": cause}
        record = seal(event, **named, time=at, recorded=at, sequence=sequence)
        self.written.append(Written(topic.name, 0, len(self.written), open_envelope(record.headers), event))

    def decided(self, cause: UUID, at: datetime, *events: CaseEvent, case: CaseId = CASE) -> None:
        for place, event in enumerate(events):
            sequence = 1 + sum(each.topic == topics.CASES.name and each.envelope.subject == str(case) for each in self.written)
            id_ = event_id(cause, type(event).__name__, place)
            self.put(topics.CASES, event, cause=cause, at=at, id_=id_, sequence=sequence, case=case)

    def evidence(self) -> Evidence:
        return Evidence(tuple(self.written), tuple(self.rung), tuple(self.journal))

    def without(self, *kinds: type[Frozen]) -> "Made":
        return replace(self, written=[each for each in self.written if not isinstance(each.event, kinds)])


def assessed() -> Assessed:
    read: dict[str, Any] = {"rulebook": "ecg", "rulebook_version": "1", "priority": Priority.RED, "quality": Quality(evaluable=True)}
    return Assessed(**OF_UPLOAD, **read, at=after_s(1), patient_key=KEY, lane=Lane.EMERGENCY)


def heard(at: datetime) -> UploadAssessed:
    read: dict[str, Any] = {"lane": Lane.EMERGENCY, "priority": Priority.RED, "headline": "STEMI", "assessed_event": ASSESSED}
    return UploadAssessed(**OF_CASE, **OF_UPLOAD, **read, at=at)


def opened(at: datetime) -> CaseOpened:
    of_opening: dict[str, Any] = {"priority": Priority.RED, "headline": "STEMI", "centre_id": "centre", "centre_number": "555-0100"}
    return CaseOpened(**OF_CASE, **OF_UPLOAD, **of_opening, at=at)


def rounds() -> Sequence[PageRequested]:
    return page(1, after_s(1)), page(2, after_s(31))


def made_run() -> Made:
    """Return a run in which nothing is wrong."""
    made = Made()
    first, second = rounds()
    made.journal += [Readiness(kind="readiness", at=T0, ready=True), Fault(kind="fault", at=T0, name="kill", target="cases", kills=1)]
    made.journal += [Accepted(kind="accepted", at=T0, serial=7, upload_id=str(UPLOAD), lane="emergency")]
    made.put(topics.ASSESSMENTS_EMERGENCY, assessed(), cause=RECEIVED, at=after_s(1), id_=ASSESSED)
    made.decided(RECEIVED, T0, UploadReceived(**OF_CASE, **OF_UPLOAD, at=T0, due_at=after_s(60)))
    made.decided(ASSESSED, after_s(1), heard(after_s(1)), opened(after_s(1)), first)
    made.decided(AGAIN, after_s(31), second)
    for asked in (first, second):
        made.put(topics.DELIVERIES, said_of(asked, asked.at), cause=asked.notice_id, at=asked.at, id_=event_id(asked.notice_id, "NoticeSent"))
        made.rung.append(rung(asked, asked.at))
    told: dict[str, Any] = {"notice_id": first.notice_id, "person_id": "ann", "method": "app", "round": 1}
    made.decided(event_id(first.notice_id, "NoticeSent"), after_s(32), NoticeReported(**OF_CASE, **told, at=after_s(32), outcome=NoticeOutcome.SENT))
    made.put(topics.COMMANDS, Acknowledge(case_id=CASE, at=after_s(40), by="ann"), cause=ASSESSED, at=after_s(40), id_=ACKNOWLEDGE)
    made.decided(ACKNOWLEDGE, after_s(40), Acknowledged(**OF_CASE, at=after_s(40), by="ann", round=2))
    pressed: dict[str, Any] = {"case_id": str(CASE), "command": "acknowledge", "by": "ann", "command_id": str(ACKNOWLEDGE), "status": 200}
    made.journal += [Answered(kind="answered", at=after_s(40), **pressed), Readiness(kind="readiness", at=after_s(300), ready=True)]
    return made
