"""Folding the log is the same whatever of it the store reflects already, however often a decision lies in it, and wherever it is cut."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.cases import CaseEvents, CommandRefused, UploadAssessed, UploadReceived
from contracts.envelope import Headers, Record, seal
from contracts.ids import EventId, UploadId, case_id, event_id
from contracts.vocabulary import Lane, Priority
from services.cases.evolve import evolve
from services.cases.fold import Held, canonical, decisions, fold, held, is_out_of_mind
from services.cases.outbox import entry
from services.cases.state import Case

T0 = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
NAMES = UUID("00000000-0000-5000-8000-000000000002")
KEY = str(uuid5(NAMES, "patient"))


@dataclass(frozen=True)
class Logged:
    partition: int
    offset: int
    headers: Headers
    value: bytes


def cause(number: int) -> EventId:
    return EventId(uuid5(NAMES, f"message {number}"))


def decided(before: Case, number: int, events: int, at: datetime) -> tuple[Case, list[Record]]:
    """Return what the number-th message leads to: an upload that comes in for the first, then refusals, of which every third ends the waiting."""
    after, records = before, list[Record]()
    for place in range(events):
        after = evolve(after, _event(before, number, place, at))
        records.append(_sealed(after, number, place, at))
    return after, records


def _event(case: Case, number: int, place: int, at: datetime) -> CaseEvents:
    of_case = {"at": at, "case_id": case.case_id, "patient_key": KEY}
    upload = UploadId(uuid5(NAMES, f"upload {case.case_id}"))
    if not case.sequence and not place:
        return UploadReceived(**of_case, upload_id=upload, clinic_id="clinic", received_at=at, due_at=at + timedelta(minutes=1))
    if number % 3 == 2 and not place:
        assessed = {"lane": Lane.EMERGENCY, "received_at": at, "priority": Priority.GREEN, "headline": "none", "assessed_event": cause(number)}
        return UploadAssessed(**of_case, upload_id=upload, clinic_id="clinic", **assessed)
    return CommandRefused(**of_case, command="Say", command_id=cause(number), reason=f"{number}/{place}")


def _sealed(after: Case, number: int, place: int, at: datetime) -> Record:
    event = _event(after.model_copy(update={"sequence": after.sequence - 1 - place}), number, place, at)
    return seal(
        event,
        event_id=event_id(cause(number), type(event).__name__, place),
        source="cases",
        subject=after.case_id,
        key=KEY,
        time=at,
        recorded=at,
        correlation=UploadId(NAMES),
        causation=cause(number),
        sequence=after.sequence,
    )


def new_case(name: str = "case") -> Case:
    return Case(case_id=case_id(UploadId(uuid5(NAMES, name))), patient_key=KEY)


def history(sizes: Sequence[int], name: str = "case", first: int = 0, at: datetime = T0) -> tuple[list[Case], list[list[Record]]]:
    """Return a case after each of its decisions, before the first too, and the decisions."""
    states, batches = [new_case(name)], list[list[Record]]()
    for number, events in enumerate(sizes, first):
        after, records = decided(states[-1], number, events, at)
        states.append(after)
        batches.append(records)
    return states, batches


def logged(batches: Sequence[Sequence[Record]]) -> list[Logged]:
    return [Logged(0, offset, each.headers, each.value) for offset, each in enumerate(record for batch in batches for record in batch)]


def heard(batches: Sequence[Sequence[Record]]) -> dict[str, str]:
    entries = [entry(new_case().case_id, batch) for batch in batches]
    return {each.cause: each.recorded for each in entries}


def folded(onto: Held, batches: Sequence[Sequence[Record]]) -> Held:
    for decision in decisions(logged(batches)):
        if not onto.is_torn:
            fold(onto, decision)
    return onto


SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=6)


@given(SIZES, st.data())
def test_a_log_with_repeats_folds_to_the_case_that_wrote_it_from_whatever_the_store_holds(sizes: list[int], data: st.DataObject):
    states, batches = history(sizes)
    held_by_store = data.draw(st.integers(0, len(sizes)))
    begin = data.draw(st.integers(0, held_by_store))
    told = list[list[Record]]()
    for place in range(begin, len(batches)):
        told.append(batches[place])
        if data.draw(st.booleans()):
            told.append(batches[data.draw(st.integers(begin, place))])
    stored = states[held_by_store] if held_by_store else None
    case = folded(held(str(states[0].case_id), KEY, stored, heard(batches[:held_by_store])), told)
    assert not case.is_torn
    assert canonical(case.state, case.inbox, {}) == canonical(states[-1], heard(batches), {})
    assert case.heard == [str(cause(number)) for number in range(held_by_store, len(sizes))]


@given(SIZES, st.integers(0, 30))
def test_decisions_are_cut_where_they_were_made(sizes: list[int], repeated: int):
    _, batches = history(sizes)
    batches.insert(repeated % len(batches) + 1, batches[repeated % len(batches)])
    found = list(decisions(logged(batches)))
    assert [len(each.events) for each in found] == [len(batch) for batch in batches]
    assert [each.offset for each in found] == [sum(map(len, batches[:place])) for place in range(len(batches))]


def test_two_cases_in_turn_are_kept_apart():
    _, one = history([2, 1], "one")
    _, other = history([2, 1], "other")
    found = list(decisions(logged([one[0], other[0], one[1], other[1]])))
    assert [(each.case_id == str(new_case("one").case_id), each.sequence) for each in found] == [(True, 1), (False, 1), (True, 3), (False, 3)]


@pytest.mark.parametrize("lost", [1, 2])
def test_a_gap_tears_a_case_that_the_store_held_and_not_one_that_is_folded_whole(lost: int):
    states, batches = history([1, 2, 1, 1])
    gap = [batch for place, batch in enumerate(batches) if place != lost]
    torn = folded(held(str(states[0].case_id), KEY, states[1], heard(batches[:1])), gap)
    assert (torn.is_torn, torn.is_changed) == (True, lost == 2 and False)
    whole = folded(held(str(states[0].case_id), KEY), gap)
    assert (whole.is_torn, whole.state.sequence) == (False, 5 - len(batches[lost]))


def test_of_two_decisions_about_one_message_the_first_in_the_log_counts_whatever_the_store_made_of_the_other():
    """Redis was put back while one was on its way to the log; the message was decided anew, behind another, and that came to the log later."""
    states, (first, meant) = history([1, 2])
    other, between = decided(states[1], 7, 1, T0 + timedelta(seconds=3))
    anew, again = decided(other, 1, 2, T0 + timedelta(seconds=4))
    log = [first, meant, between, again]
    for outbox in ([], [entry(anew.case_id, again)]):
        in_store = folded(held(str(anew.case_id), KEY, anew, heard([first, between, again]), outbox), log[1:])
        assert (in_store.is_torn, in_store.proven) == (True, [])
    whole = folded(held(str(anew.case_id), KEY), log)
    assert (whole.is_torn, whole.inbox) == (False, heard([first, meant, between]))
    by_store = folded(held(str(anew.case_id), KEY, whole.state, whole.inbox), log[:3])
    assert (by_store.is_torn, by_store.heard) == (False, [])


def test_an_outbox_loses_what_the_log_holds_and_keeps_the_rest():
    states, batches = history([1, 1, 2])
    outbox = [entry(states[0].case_id, batch) for batch in batches[1:]]
    case = folded(held(str(states[0].case_id), KEY, states[3], heard(batches), outbox), batches[:2])
    assert case.proven == [outbox[0]]
    assert list(case.outbox.values()) == [outbox[1]]
    assert (case.heard, case.state) == ([], states[3])


def test_what_was_decided_about_a_forgotten_case_begins_it_anew():
    states, batches = history([1, 1, 1])
    after, late = decided(new_case(), 9, 1, T0 + timedelta(days=9))
    assert not states[-1].is_live
    case = folded(held(str(states[0].case_id), KEY), [*batches, late])
    assert (case.state, case.inbox, case.is_anew) == (after, heard([late]), True)


def test_what_is_over_is_out_of_mind_after_eight_days_and_what_is_live_never():
    live, over = history([1])[0][-1], history([1, 1, 1])[0][-1]
    assert [is_out_of_mind(over, T0 + timedelta(days=days)) for days in (7, 8)] == [False, True]
    assert not is_out_of_mind(live, T0 + timedelta(days=1000))


def test_a_record_that_is_none_of_ours_is_passed_over():
    _, batches = history([1, 1])
    records = logged(batches)
    strangers = [replace(records[0], headers=()), replace(records[0], headers=(("ce_sequence", b"one"),))]
    assert [each.cause for each in decisions([records[0], *strangers, records[1]])] == [str(cause(0)), str(cause(1))]


def test_a_decision_that_cannot_be_folded_leaves_its_case_as_it_was_and_is_not_tried_for_ever():
    states, batches = history([1, 1, 1])
    damaged = [replace(batches[1][0], value=b"{}")]
    case = folded(held(str(states[0].case_id), KEY), [batches[0], damaged])
    assert (case.state, case.heard) == (states[1], [str(cause(0)), str(cause(1))])


def test_equal_is_equal_byte_for_byte_and_anything_else_is_not():
    state, other = history([1])[0][-1], history([2])[0][-1]
    assert canonical(state, {"b": "2", "a": "1"}, {"t": 1, "s": 2}) == canonical(state, {"a": "1", "b": "2"}, {"s": 2, "t": 1})
    a, b, later = {"a": "1"}, {"b": "1"}, {"a": "2"}
    assert len({canonical(*each) for each in ((state, a, {}), (state, b, {}), (state, later, {}), (other, a, {}), (state, a, {"t": 1}))}) == 5
