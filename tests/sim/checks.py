"""DESIGN's invariants 2 to 5, held after every step: each check looks only at what the step changed."""

import re
from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from aiokafka import TopicPartition

from contracts import topics
from contracts.cases import Acknowledged, NobodyOnCall, PageRequested, UploadAssessed
from contracts.commands import ExpireHandOver, OpenUnread, PageAgain, ReleaseOwner, RemindOwner
from contracts.deliveries import NoticeSent
from contracts.envelope import Record
from contracts.ids import CaseId, EventId, NoticeId, notice_id, timer_id
from contracts.topics import read_event
from contracts.vocabulary import Priority
from services.cases.evolve import evolve
from services.cases.outbox import Entry
from services.cases.state import Case
from services.cases.timers import Timer, timers
from services.notify.groups import RED_GROUP, REST_GROUP, is_of_red_group, is_of_rest_group
from services.runtime.buckets import bucket_of
from tests.sim.broker import Kept, SimulatedBroker
from tests.sim.case_log import CaseLog, Decision, View
from tests.sim.providers import Providers, Rung
from tests.sim.store import Memory
from tests.sim.world import World

CRASHES_FOR_A_DEAD_LETTER = 3
_MINUTES = re.compile(r"\d+ min since upload|under 1 min since upload")
_PAGES = {RED_GROUP: is_of_red_group, REST_GROUP: is_of_rest_group}
_TELLS_NOBODY = NobodyOnCall.__name__.encode()  # but ops


class Checks:
    """Hears of every change, and stops the world at the first that breaks a promise."""

    def __init__(self, world: World, broker: SimulatedBroker, memory: Memory, providers: Providers) -> None:
        self._world, self._memory, self._broker, self._providers = world, memory, broker, providers
        self.logs: defaultdict[CaseId, CaseLog] = defaultdict(CaseLog)
        self.stepped: defaultdict[CaseId, dict[int, Decision]] = defaultdict(dict)
        self.states: dict[CaseId, Case] = {}  # folded here, from what was stepped
        self.views: defaultdict[CaseId, View] = defaultdict(View)  # of what was stepped, by the contracts alone
        self.decided: dict[str, CaseId] = {}  # the messages that were acted on
        self.logged: set[str] = set()  # those of which it is in Kafka what followed
        self.told: set[str] = set()  # the pages of which notify has told what became of them
        self.given_up: set[str] = set()
        self.torn: set[CaseId] = set()
        self._lost: set[str] = set()  # the messages whose decisions Redis lost before they were in Kafka, or on their way there
        self._timer_ids: set[str] = set()
        self._notices: dict[NoticeId, tuple[str, ...]] = {}
        broker.on_append.append(self._appended)
        broker.on_commit.append(self._committed)
        memory.on_step.append(self._stepped)
        memory.on_sent.append(self._sent)
        memory.on_timers.append(self._check_held)
        providers.on_ring.append(self._rung)

    def lost(self) -> None:
        """Redis is not what it was: of what was stepped there stands what is in the log.

        A case of which something is not may hear of it later, out of its order, or decide it anew, as may another case of its patient: only the end
        of such a case is looked at."""
        for case_id, stepped in self.stepped.items():
            log = self.logs[case_id]
            gone = [decision for decision in stepped.values() if decision.message_id not in self.logged]
            if gone:
                self.torn.add(case_id)
            for decision in gone:
                self.decided.pop(decision.message_id, None)
                self._lost.add(decision.message_id)
            self.states[case_id], self.views[case_id] = self.rebuilt(case_id), View()
            for event in log.events:
                self.views[case_id].add(event)

    def rebuilt(self, case_id: CaseId) -> Case:
        """Return the case as its log makes it."""
        log = self.logs[case_id]
        state = Case(case_id=case_id, patient_key=log.patient_key)
        for event in log.events:
            state = evolve(state, event)
        return state

    def _stepped(self, message_id: EventId, before: Case, after: Case, entry: Entry) -> None:
        case_id, key = after.case_id, str(message_id)
        if key in self.decided and case_id not in self.torn:
            self._world.violate("2: no message is acted on twice", f"{message_id} in {self.decided[key]}, again in {case_id}")
        self.decided[key] = case_id
        self.logs[case_id].patient_key = after.patient_key
        records = tuple(entry.records)
        events = tuple(_event(record) for record in records)
        decision = Decision(key, before.sequence + 1, records, events)
        self.stepped[case_id][decision.first] = decision
        if case_id in self.torn:
            self._check_held(bucket_of(after.patient_key), case_id)
            return
        state, view = self.states.get(case_id) or Case(case_id=case_id, patient_key=after.patient_key), self.views[case_id]
        self._check_rules(decision, view, case_id)
        for event in events:
            state = evolve(state, event)
            view.add(event)
        self.states[case_id] = state
        if state != after:
            self._world.violate("5: the store's case is evolve over its log and outbox", f"{case_id} at {after.sequence}: {after!r} is not {state!r}")
        self._check_timers(bucket_of(after.patient_key), case_id)

    def _check_rules(self, decision: Decision, view: View, case_id: CaseId) -> None:
        pages = [event for event in decision.events if isinstance(event, PageRequested)]
        for event in decision.events:
            if (
                isinstance(event, UploadAssessed)
                and event.priority is Priority.RED
                and view.assessed.get(event.upload_id) is not Priority.RED
                and not pages
            ):
                self._world.violate("4: a red is paged for", f"{event.upload_id} in {case_id}, which {view.owner or 'nobody'} has in hand")
            if isinstance(event, Acknowledged):
                self._check_acknowledged(decision, case_id)
        for page in pages:
            if page.notice_id != notice_id(case_id, page.person_id, page.method, page.round):
                self._world.violate("2: a notice's id names the case, person, method and round", f"{page.notice_id} in {case_id}")

    def _check_acknowledged(self, decision: Decision, case_id: CaseId) -> None:
        log = self.logs[case_id]
        shown = log.pressed.get(EventId(UUID(decision.message_id)))
        if shown is None:
            self._world.violate("4: only a person acknowledges", decision.message_id)
            return
        stepped = self.stepped[case_id]
        unseen = [event for first, each in stepped.items() for place, event in enumerate(each.events) if first + place > shown]
        reds = [event for event in unseen if isinstance(event, UploadAssessed) and event.priority is Priority.RED]
        seen = {event.upload_id for event in log.events[:shown] if isinstance(event, UploadAssessed) and event.priority is Priority.RED}
        if any(event.upload_id not in seen for event in reds):
            self._world.violate("4: one acknowledgement silences nothing that was not seen", f"{case_id}: {reds[0].upload_id}")

    def _check_held(self, number: int, case_id: CaseId) -> dict[str, Timer]:
        bucket = self._memory.bucket(number)
        case = bucket.cases.get(case_id)
        needed = timers(case) if case else {}
        self._timer_ids |= {str(timer_id(case_id, name)) for name in needed}
        held = {name for times in (bucket.due_ms, bucket.leased_ms) for of, name in times if of == case_id}
        if held != needed.keys():
            self._world.violate("5: the timers in the store are timers(state)", f"{case_id} has {sorted(held)}, needs {sorted(needed)}")
        return needed

    def _check_timers(self, number: int, case_id: CaseId) -> None:
        needed, view = self._check_held(number, case_id), self.views[case_id]
        kinds = {timer.kind for timer in needed.values()}
        unread = {timer.about[1] for timer in needed.values() if timer.kind is OpenUnread and timer.about}
        if view.waiting.keys() - unread:
            self._world.violate("3: from the 202 on a timer runs", f"{case_id}: nothing waits for {sorted(map(str, view.waiting.keys() - unread))}")
        if view.is_open and view.owner is None and PageAgain not in kinds:
            self._world.violate("4: a page is repeated until a person acknowledges", f"{case_id} is open, and nothing pages again")
        if view.is_open and view.owner is not None and not view.is_decided and not kinds & {RemindOwner, ReleaseOwner, ExpireHandOver}:
            self._world.violate("4: an owner who does nothing is paged again", f"{case_id} is {view.owner}'s, and nothing asks for them")

    def _sent(self, entry: Entry) -> None:
        headers = dict(entry.records[-1].headers)
        if headers["ce_causationid"].decode() not in self.logged:
            self._world.violate("5: what leaves the outbox is in Kafka", f"{entry.case_id} at {headers['ce_sequence'].decode()}")

    def _appended(self, topic: str, partition: int, records: Sequence[Kept]) -> None:
        if topic == topics.CASES.name:
            self._case_logged(records)
        elif topic == topics.COMMANDS.name:
            self._command_logged(records[0])
        elif topic == topics.DELIVERIES.name:
            self._delivery_logged(records[0])
        elif topic.endswith(".dlq"):
            self._dead_lettered(records[0])

    def _case_logged(self, records: Sequence[Kept]) -> None:
        headers = dict(records[0].headers)
        case_id, first = CaseId(UUID(headers["ce_subject"].decode())), int(headers["ce_sequence"])
        log = self.logs[case_id]
        if case_id in self.torn:
            self._torn_logged(case_id, first, records)
            return
        decision = log.by_first.get(first) or self.stepped[case_id].get(first)
        if decision is None or len(decision.records) != len(records):
            self._world.violate("5: a decision goes out as one batch", f"{case_id}: {len(records)} events from {first} on")
            return
        if any(kept.value != record.value or kept.headers != record.headers for kept, record in zip(records, decision.records, strict=True)):
            self._world.violate("2: no two events have one number", f"{case_id}: {first} to {decision.last}")
        if first <= log.last:
            return  # a batch that came twice
        if first != log.last + 1:
            self._world.violate("2: ce_sequence has no gap", f"{case_id}: {first} follows {log.last}")
            return
        if decision.message_id in self.logged & self._lost:
            self.torn.add(case_id)
            self._torn_logged(case_id, first, records)
            return
        if decision.message_id in self.logged:
            self._world.violate("2: no message is acted on twice", f"{decision.message_id} in {case_id}, from {first} on")
        before_at = log.events[-1].at if log.events else None
        log.add(decision, self._world.loop.time())
        self.logged.add(decision.message_id)
        if before_at is not None and decision.events[0].at < before_at:
            self._world.violate("time never runs backwards for a case", f"{case_id} at {first}")

    def _torn_logged(self, case_id: CaseId, first: int, records: Sequence[Kept]) -> None:
        """Take a decision as whoever folds takes it: the first of its case that lies there of each message."""
        message_id = dict(records[0].headers)["ce_causationid"].decode()
        self.logged.add(message_id)
        if all(each.message_id != message_id for each in self.logs[case_id].decisions):
            sealed = tuple(Record(record.key.decode(), record.headers, record.value) for record in records)  # type: ignore[union-attr,arg-type]
            self.logs[case_id].add(Decision(message_id, first, sealed, tuple(_event(each) for each in sealed)), self._world.loop.time())

    def _command_logged(self, record: Kept) -> None:
        headers = dict(record.headers)
        if headers["ce_source"] == b"/greenchannel/cases" and headers["ce_id"].decode() not in self._timer_ids:
            self._world.violate("2: a timer's id names the case, its purpose and its round", headers["ce_id"].decode())

    def _delivery_logged(self, record: Kept) -> None:
        headers = dict(record.headers)
        self.told.add(headers["ce_causationid"].decode())
        if headers["ce_type"] == NoticeSent.__name__.encode():
            told = NoticeSent.model_validate_json(record.value or b"")
            if (told.said_by or told.notice_id) not in self._providers.taken:
                self._world.violate("8: sent is what a provider took", f"{told.notice_id}")

    def _dead_lettered(self, record: Kept) -> None:
        headers = dict(record.headers)
        self.given_up.add(headers["ce_id"].decode())
        if self._world.kills < CRASHES_FOR_A_DEAD_LETTER or int(headers["dlq_attempts"]) < CRASHES_FOR_A_DEAD_LETTER:
            self._world.violate(
                "nothing is given up while only the stack fails", f"{headers['dlq_origin'].decode()}: {headers['dlq_cause'].decode()}"
            )

    def _committed(self, group: str, partition: TopicPartition, before: int, after: int) -> None:
        unsettled = self.unsettled(group, self._broker.log(partition.topic)[partition.partition][before:after])
        if unsettled:
            self._world.violate(
                "5: the offset is committed last", f"{group} {partition.topic}/{partition.partition} {before} to {after}: {unsettled}"
            )

    def unsettled(self, group: str, records: Sequence[Kept]) -> str:
        """Return the first message of these of which it is not in Kafka what came of it; empty where there is none."""
        wants = _PAGES.get(group)
        settled = self.logged if wants is None else self.told
        for record in records:
            headers = dict(record.headers)
            message_id = headers["ce_id"].decode()
            if headers["ce_type"] == _TELLS_NOBODY:
                continue
            if (wants is None or wants(record.headers)) and message_id not in settled and message_id not in self.given_up:
                return message_id
        return ""

    def _rung(self, rung: Rung) -> None:
        notice = rung.notice
        said = (str(notice.case_id), notice.person, notice.method, str(notice.round), notice.title, _MINUTES.sub("", notice.text))
        if self._notices.setdefault(notice.notice_id, said) != said:
            self._world.violate("4: a notice's id names one text to one person", f"{notice.notice_id}: {said} was {self._notices[notice.notice_id]}")


def _event(record: object) -> object:
    headers = dict(record.headers)  # type: ignore[attr-defined]
    return read_event(topics.CASES, headers["ce_type"].decode(), record.value)  # type: ignore[attr-defined]
