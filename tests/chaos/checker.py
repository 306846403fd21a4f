"""The independent checker: from what lies in the topics, the pager's file, the provider's and the journal alone, what was lost or done twice.

It knows what contracts promise and none of the services' code. Each check returns what it found, a sentence each."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from contracts.assessments import Assessed
from contracts.cases import (
    Acknowledged,
    AssessmentMissed,
    CaseClosed,
    CaseOpened,
    CaseRaised,
    CaseSettled,
    HandOverAccepted,
    OwnerReleased,
    PageRequested,
    TakenOver,
    UploadAssessed,
    UploadReceived,
)
from contracts.deliveries import NoticeEvent
from contracts.topics import CASES, COMMANDS
from contracts.vocabulary import Priority
from tests.chaos.evidence import Evidence, Rung, Written
from tests.chaos.journal import Accepted, Answered, Fault
from tests.chaos.silence import URGENT, Silence, silences

Key = TypeVar("Key", bound=Hashable)
Each = TypeVar("Each")


@dataclass(frozen=True)
class Finding:
    """One thing that must not be: how often it was, and where."""

    name: str
    found: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """What the checker says of a run. findings: each is a loss if it is found at all."""

    uploads: int
    cases: int
    pages: int
    commands: int
    kills: int
    repeated_records: int  # the same event twice in a topic: every reader knows it by its id
    rung_again: int  # the same notice, by the same id, twice at its carrier
    longest_silence_s: float  # of a case that nobody had in hand, from one ring to the next
    longest_silence_while_ready_s: float  # of it, what was not within a time in which a service was not ready
    findings: tuple[Finding, ...]

    @property
    def lost(self) -> int:
        return sum(len(finding.found) for finding in self.findings)

    @property
    def last_line(self) -> str:
        counts = ", ".join(f"{len(finding.found)} {finding.name}" for finding in self.findings)
        said = "nothing was lost" if self.lost == 0 else "SOMETHING WAS LOST"
        return f"{said}: {self.uploads} uploads accepted, {self.kills} kills; {counts}; longest silence {self.longest_silence_s:.0f} s"


def check(evidence: Evidence) -> Verdict:
    """Return what is wrong with a run that has settled."""
    of_cases = _once(each for each in evidence.written if each.topic == CASES.name)
    accepted = {entry.upload_id: entry for entry in evidence.journal if isinstance(entry, Accepted)}
    quiet = silences(of_cases, evidence.rung, evidence.journal)
    checks: dict[str, Callable[[], Iterable[str]]] = {
        "lost": lambda: _lost(accepted, evidence.written),
        "uploads twice": lambda: _uploads_twice(evidence),
        "assessments not heard": lambda: _not_heard(evidence.written),
        "reds not called": lambda: _not_called(of_cases),
        "cases twice": lambda: _cases_twice(of_cases),
        "pages never sent": lambda: _never_sent(of_cases, evidence),
        "pages twice with another id": lambda: _pages_twice(of_cases, evidence.rung),
        "acknowledgements lost": lambda: _answers_lost(of_cases, evidence),
        "owned by two": lambda: _owned_by_two(of_cases),
        "events in conflict": lambda: _in_conflict(evidence.written),
        "sequence gaps": lambda: _gaps(evidence.written),
        "acted on twice": lambda: _acted_on_twice(evidence.written),
        "cases gone silent": lambda: _gone_silent(quiet),
        "dead letters": lambda: evidence.dead_letters,
        "unreadable": lambda: evidence.unreadable,
    }
    return Verdict(
        uploads=len(accepted),
        cases=len({each.envelope.subject for each in of_cases if isinstance(each.event, CaseOpened)}),
        pages=sum(isinstance(each.event, PageRequested) for each in of_cases),
        commands=len({entry.command_id for entry in evidence.journal if isinstance(entry, Answered)}),
        kills=sum(entry.kills for entry in evidence.journal if isinstance(entry, Fault)),
        repeated_records=len(evidence.written) - len(_once(evidence.written)),
        rung_again=sum(rung.taken for rung in evidence.rung) - len({rung.notice_id for rung in evidence.rung if rung.taken}),
        longest_silence_s=max((each.whole_s for each in quiet), default=0.0),
        longest_silence_while_ready_s=max((each.while_ready_s for each in quiet), default=0.0),
        findings=tuple(Finding(name, tuple(look())) for name, look in checks.items()),
    )


def _once(written: Iterable[Written]) -> list[Written]:
    """Return each event once, by its id in its topic, as it lies there first."""
    found: dict[Hashable, Written] = {}
    for each in written:
        found.setdefault((each.topic, each.envelope.id), each)
    return list(found.values())


def _by(key: Callable[[Each], Key], each: Iterable[Each]) -> dict[Key, list[Each]]:
    found = defaultdict[Key, list[Each]](list)
    for one in each:
        found[key(one)].append(one)
    return dict(found)


def _lost(accepted: Mapping[str, Accepted], written: Iterable[Written]) -> Iterator[str]:
    """Accepted, and neither assessed nor a case by the time of being unread."""
    known = {str(each.event.upload_id) for each in written if isinstance(each.event, Assessed | AssessmentMissed | CaseOpened)}
    yield from (f"upload {upload_id} ({entry.lane})" for upload_id, entry in accepted.items() if upload_id not in known)


def _uploads_twice(evidence: Evidence) -> Iterator[str]:
    """The same recording with the same facts sent again must be the same upload."""
    sent = _by(lambda entry: entry.serial, (entry for entry in evidence.journal if isinstance(entry, Accepted)))
    for serial, entries in sent.items():
        ids = {entry.upload_id for entry in entries}
        if len(ids) > 1:
            yield f"recording {serial} became uploads {sorted(ids)}"


def _not_heard(written: Iterable[Written]) -> Iterator[str]:
    """Assessed, and cases has no event of it."""
    assessed, heard = dict[str, Written](), set[str]()
    for each in written:
        if isinstance(each.event, Assessed):
            assessed[str(each.event.upload_id)] = each
        elif isinstance(each.event, UploadAssessed):
            heard.add(str(each.event.upload_id))
    yield from (f"upload {upload_id} ({each.topic}/{each.partition}/{each.offset})" for upload_id, each in assessed.items() if upload_id not in heard)


def _not_called(of_cases: Sequence[Written]) -> Iterator[str]:
    """A red in a case for which the same decision asks for no page; the first red of each upload."""
    decisions = _by(lambda each: each.envelope.causationid, of_cases)
    were_red = set[str]()
    for each in sorted(of_cases, key=lambda each: each.envelope.recordedtime):
        event = each.event
        if not isinstance(event, UploadAssessed) or event.priority is not Priority.RED or str(event.upload_id) in were_red:
            continue
        were_red.add(str(event.upload_id))
        if not any(isinstance(other.event, PageRequested) for other in decisions[each.envelope.causationid]):
            yield f"upload {event.upload_id} of case {event.case_id}"


def _cases_twice(of_cases: Sequence[Written]) -> Iterator[str]:
    of_upload = defaultdict[str, set[str]](set)
    for each in of_cases:
        if isinstance(each.event, CaseOpened | UploadReceived | UploadAssessed):
            of_upload[str(each.event.upload_id)].add(each.envelope.subject)
    yield from (f"upload {upload_id} lies in cases {sorted(cases)}" for upload_id, cases in of_upload.items() if len(cases) > 1)
    for case, events in _by(lambda each: each.envelope.subject, of_cases).items():
        is_open = False
        for each in sorted(events, key=_sequence):
            if isinstance(each.event, CaseOpened):
                if is_open:
                    yield f"case {case} was opened again at {_sequence(each)} without an end"
                is_open = True
            elif isinstance(each.event, CaseClosed | CaseSettled):
                is_open = False


def _never_sent(of_cases: Sequence[Written], evidence: Evidence) -> Iterator[str]:
    """An urgent page of which nobody knows anything: no delivery event, no line at a carrier. One that was not needed any more says so too."""
    known = {rung.notice_id for rung in evidence.rung}
    known |= {str(each.event.notice_id) for each in evidence.written if isinstance(each.event, NoticeEvent)}
    for each in of_cases:
        page = each.event
        if isinstance(page, PageRequested) and page.priority in URGENT and str(page.notice_id) not in known:
            yield f"notice {page.notice_id} to {page.person_id} by {page.method}, round {page.round} of case {page.case_id}"


def _pages_twice(of_cases: Sequence[Written], rung: Sequence[Rung]) -> Iterator[str]:
    pages = [each.event for each in of_cases if isinstance(each.event, PageRequested)]
    for (case, person, method, round_), same in _by(lambda page: (page.case_id, page.person_id, page.method, page.round), pages).items():
        ids = {str(page.notice_id) for page in same}
        if len(ids) > 1:
            yield f"{person} by {method} in round {round_} of case {case}: notices {sorted(ids)}"
    for notice_id, lines in _by(lambda line: line.notice_id, rung).items():
        texts = {line.says for line in lines}
        if len(texts) > 1:
            yield f"notice {notice_id} said {sorted(texts)}"


def _answers_lost(of_cases: Sequence[Written], evidence: Evidence) -> Iterator[str]:
    """A command that was answered with 2xx and left no event: it was neither done nor refused."""
    known = {str(each.envelope.causationid) for each in of_cases}
    asked = {str(each.envelope.id) for each in evidence.written if each.topic == COMMANDS.name}
    answered = {entry.command_id: entry for entry in evidence.journal if isinstance(entry, Answered)}
    for command_id, entry in answered.items():
        if command_id not in known:
            where = "it lies in commands.v1" if command_id in asked else "it is not in commands.v1"
            yield f"{entry.command} of case {entry.case_id} by {entry.by}, answered {entry.status}: command {command_id}; {where}"


def _owned_by_two(of_cases: Sequence[Written]) -> Iterator[str]:
    """Acknowledged by one while it is another's, or passed on by somebody whose it was not."""
    for case, events in _by(lambda each: each.envelope.subject, of_cases).items():
        owner: str | None = None
        for each in sorted(events, key=_sequence):
            match each.event:
                case Acknowledged(by=by):
                    if owner not in {None, by}:
                        yield f"case {case} is {owner}'s, and {by} acknowledged it at {_sequence(each)}"
                    owner = by
                case (HandOverAccepted() | TakenOver()) as passed:
                    if owner != passed.from_person:
                        yield f"case {case} is {owner or 'nobody'}'s, and {passed.from_person} passed it on at {_sequence(each)}"
                    owner = passed.by
                case CaseRaised(kept_by=str()):
                    pass
                case CaseOpened() | CaseRaised() | OwnerReleased() | CaseSettled() | CaseClosed():
                    owner = None
                case _:
                    pass  # nothing changes in whose hand it is


def _in_conflict(written: Iterable[Written]) -> Iterator[str]:
    """Two events at one place of a case, or one id with two contents."""
    of_cases = [each for each in written if each.topic == CASES.name]
    places = _by(lambda each: (each.envelope.subject, _sequence(each)), of_cases)
    for (case, sequence), events in places.items():
        if len({each.envelope.id for each in events}) > 1:
            yield f"case {case} has {sorted({each.envelope.type for each in events})} at {sequence}"
    for event_id, events in _by(lambda each: each.envelope.id, of_cases).items():
        if len({each.event.model_dump_json() for each in events}) > 1:
            yield f"event {event_id} has two contents"


def _gaps(written: Iterable[Written]) -> Iterator[str]:
    """The events of a case are numbered 1, 2, 3 ... in the order in which a reader first sees them."""
    for case, events in _by(lambda each: each.envelope.subject, (each for each in written if each.topic == CASES.name)).items():
        seen = dict.fromkeys(_sequence(each) for each in sorted(events, key=lambda each: (each.partition, each.offset)))
        if list(seen) != list(range(1, len(seen) + 1)):
            first = next(place for place, sequence in enumerate(seen, start=1) if place != sequence)
            yield f"case {case}: {list(seen)[first - 1]} where {first} is due"


def _acted_on_twice(written: Iterable[Written]) -> Iterator[str]:
    """A decision is written at one moment, into one case, at places that follow each other. A message that led to two was acted on twice."""
    for cause, events in _by(lambda each: each.envelope.causationid, (each for each in written if each.topic == CASES.name)).items():
        decisions = {(each.envelope.subject, each.envelope.recordedtime) for each in events}
        places = sorted({_sequence(each) for each in events})
        if len(decisions) > 1 or places[-1] - places[0] + 1 != len(places):
            kinds = [each.envelope.type for each in sorted(_once(events), key=_sequence)]
            yield f"message {cause} led to {len(decisions)} decisions in {sorted({case for case, _ in decisions})}: {kinds} at {places}"


def _gone_silent(quiet: Iterable[Silence]) -> Iterator[str]:
    yield from (f"case {each.case_id}: {each.while_ready_s:.0f} s from {each.begins_at:%H:%M:%S}, {each.why}" for each in quiet if each.is_too_long)


def _sequence(each: Written) -> int:
    return each.envelope.sequence or 0
