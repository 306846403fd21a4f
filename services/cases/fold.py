"""Folding the log: decisions as they lie in it, one after another, onto the state of their case. Pure.

A decision is the consecutive records of one case that have one cause. In the log a case's decisions lie in the order in which they were made; one
may be there twice, whole. What a case has heard, and when its decision about that was recorded, tells which of them its state reflects; its sequence
alone does not: after a loss another decision may bear the same. So may there be two decisions about one message then: the first in the log counts."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Protocol
from uuid import UUID

from structlog import get_logger

from contracts import topics
from contracts.cases import CaseEvents
from contracts.ids import CaseId
from services.cases.evolve import evolve
from services.cases.outbox import Entry
from services.cases.state import Case

NOTHING_HEARD: Mapping[str, str] = MappingProxyType({})
OUT_OF_MIND_AFTER = timedelta(days=8)  # a finished case; its events stay in Kafka for ever

_EVENTS = {event.__name__.encode(): event for event in topics.CASES.events}

log = get_logger()


class LogRecord(Protocol):
    """A record as Kafka gives it."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def headers(self) -> Iterable[tuple[str, bytes]]: ...
    @property
    def value(self) -> bytes | None: ...


@dataclass(slots=True)
class Decision:
    """What one message led to, as it lies in the log."""

    partition: int
    offset: int
    case_id: str
    key: str
    cause: str
    sequence: int  # of its first event
    recorded: str
    events: list[tuple[bytes, bytes]]  # type and value

    @property
    def recorded_at(self) -> datetime:
        return datetime.fromisoformat(self.recorded)


def decisions(records: Iterable[LogRecord]) -> Iterator[Decision]:
    """Return the decisions of records of one partition, none of them torn at the ends. A record that is none of ours is passed over, and said so."""
    current: Decision | None = None
    last_sequence = 0
    for record in records:
        header = dict(record.headers)
        try:
            sequence = int(header["ce_sequence"])
            case_id, cause, event = header["ce_subject"].decode(), header["ce_causationid"].decode(), (header["ce_type"], record.value or b"")
            if current is not None and current.cause == cause and current.case_id == case_id and sequence == last_sequence + 1:
                current.events.append(event)
            else:
                if current is not None:
                    yield current
                key, recorded = header["ce_partitionkey"].decode(), header["ce_recordedtime"].decode()
                current = Decision(record.partition, record.offset, case_id, key, cause, sequence, recorded, [event])
            last_sequence = sequence
        except (KeyError, ValueError):
            log.critical("a record of the log is none of ours: it is passed over", partition=record.partition, offset=record.offset)
    if current is not None:
        yield current


@dataclass(slots=True)
class Held:
    """A case in the hands of who folds: as the store has it, and as the log makes it."""

    stored: Case
    state: Case
    inbox: dict[str, str]  # what it has heard, by cause: when the decision about it was recorded
    outbox: dict[str, Entry]  # by cause
    heard: list[str] = field(default_factory=list)  # since it was stored
    proven: list[Entry] = field(default_factory=list)  # what of the outbox the log holds
    is_anew: bool = False  # what the store has of it is to go
    is_whole: bool = False  # all of it comes from the log, from its first decision on
    is_torn: bool = False  # what the store has, and the log, do not follow from each other: it is to be folded from its first decision on

    @property
    def is_changed(self) -> bool:
        return bool(self.heard or self.proven) and not self.is_torn


def held(case_id: str, key: str, state: Case | None = None, inbox: Mapping[str, str] = NOTHING_HEARD, outbox: Iterable[Entry] = ()) -> Held:
    """Return a case as a store has it; nothing is known of it where there is no state."""
    case = state or Case(case_id=CaseId(UUID(case_id)), patient_key=key)
    return Held(case, case, dict(inbox), {entry.cause: entry for entry in outbox})


def fold(of: Held, decision: Decision) -> None:
    """Bring one decision into its case: the next that the log holds of it."""
    waits = of.outbox.get(decision.cause)
    if waits is not None and waits.recorded == decision.recorded:
        of.proven.append(of.outbox.pop(decision.cause))
    if decision.cause in of.inbox:
        of.is_torn |= of.inbox[decision.cause] != decision.recorded and not of.is_whole
        return
    if decision.sequence == 1 and of.state.sequence and _was_forgotten(of.state, decision):
        of.state, of.inbox, of.is_anew, of.heard = held(decision.case_id, decision.key).state, {}, True, []
    if decision.sequence == 1 and not of.state.sequence:
        of.is_whole = True
    if decision.sequence != of.state.sequence + 1 and not of.is_whole:
        of.is_torn = True
        return
    try:
        state = of.state
        for event in _events(decision):
            state = evolve(state, event)
        of.state = state
    except Exception:
        log.critical(
            "a decision of the log cannot be folded: look at its case by hand", case_id=decision.case_id, offset=decision.offset, exc_info=True
        )
    of.inbox[decision.cause] = decision.recorded
    of.heard.append(decision.cause)


def _events(decision: Decision) -> list[CaseEvents]:
    return [_EVENTS[kind].model_validate_json(value) for kind, value in decision.events if kind in _EVENTS]  # type: ignore[misc] # the topic's events


def _was_forgotten(state: Case, decision: Decision) -> bool:
    """Tell a second life: something was decided about a case that the store had forgotten by then. Half the time, since clocks differ."""
    return not state.is_live and state.last_at is not None and decision.recorded_at - state.last_at > OUT_OF_MIND_AFTER / 2


def is_out_of_mind(state: Case, now: datetime) -> bool:
    return not state.is_live and (state.last_at is None or state.last_at + OUT_OF_MIND_AFTER <= now)


def canonical(state: Case, inbox: Mapping[str, str], due_ms: Mapping[str, int]) -> bytes:
    """Return what makes two cases equal: state, what it has heard and when it decided about that, and when which timer is due."""
    whole = {"state": state.model_dump(mode="json"), "inbox": dict(inbox), "due_ms": dict(due_ms)}
    return json.dumps(whole, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
