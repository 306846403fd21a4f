"""Who is around the services: clinics that upload, triage that judges, people who are rung and look and press."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from contracts import topics
from contracts.assessments import Assessed, Finding, Quality, QualityProblem
from contracts.cases import HandOverOffered
from contracts.commands import AcceptHandOver, Acknowledge, Confirm, OfferHandOver, PeoplesCommand, StandDown, TakeOver
from contracts.directory import STANDING_NUMBER
from contracts.envelope import Record, seal
from contracts.ids import CaseId, EventId, UploadId, event_id
from contracts.intake import EcgUploaded
from contracts.vocabulary import Blob, Diagnosis, Frozen, Lane, Priority
from services.notify.text import NOTE_TITLE
from services.runtime.errors import Away
from tests.sim.broker import SimulatedBroker, SimulatedProducer
from tests.sim.case_log import CaseLog
from tests.sim.faults import Chance
from tests.sim.people_and_places import CLINIC, PEOPLE
from tests.sim.providers import Providers, Rung
from tests.sim.world import Process, World

NAMES = UUID("00000000-0000-5000-8000-00000000000a")
_BLOB = Blob(dataref="raw/00/0", sha256="0" * 64, size_bytes=1, media_type="application/octet-stream")


@dataclass(frozen=True)
class Upload:
    """What a clinic sends, and what triage will make of it; judged_after_s is None where triage never gets to it."""

    name: str
    patient_key: str
    at_s: float
    lane: Lane
    priority: Priority
    judged_after_s: float | None
    judged_twice: bool

    @property
    def upload_id(self) -> UploadId:
        return UploadId(uuid5(NAMES, self.name))

    @property
    def message_id(self) -> EventId:
        return event_id(self.upload_id, EcgUploaded.__name__)


def uploads(seed: int, only: Sequence[int] | None) -> list[Upload]:
    """Return the uploads of a schedule: of one or two patients, most of them red, within two minutes."""
    chance = Chance(seed, "uploads")
    patients = [str(uuid5(NAMES, f"patient {seed} {number}")) for number in range(1 + chance.below(2))]
    drawn = []
    for number in range(1 + chance.below(6)):
        routine = chance.one_in(8)
        judged = (chance.between(0.05, 4.0), chance.between(0.05, 4.0), chance.between(56.0, 64.0), None)[chance.below(4)]
        drawn.append(
            Upload(
                name=f"upload {seed} {number}",
                patient_key=patients[chance.below(len(patients))],
                at_s=chance.between(0.0, 20.0 if chance.one_in(2) else 120.0),
                lane=Lane.ROUTINE if routine else Lane.EMERGENCY,
                priority=(Priority.RED, Priority.RED, Priority.NOT_EVALUABLE, Priority.YELLOW, Priority.GREEN)[chance.below(5)],
                judged_after_s=chance.between(0.05, 4.0) if routine else judged,
                judged_twice=chance.one_in(4),
            )
        )
    return [upload for number, upload in enumerate(drawn) if only is None or number in only]


class Clinics:
    """The gateway and triage, as far as cases sees them: what is accepted is on its topic, what is judged too; again where no answer came."""

    def __init__(self, world: World, broker: SimulatedBroker, sent: list[Upload]) -> None:
        self._world, self._broker, self.sent = world, broker, sent
        self.accepted: dict[UploadId, datetime] = {}
        self.assessed: set[UploadId] = set()
        self._to_judge: asyncio.Queue[Upload] = asyncio.Queue()

    async def gateway(self, process: Process) -> None:
        """Send each upload in its time, until it has its 202; those of before a crash are sent again by the clinic."""
        producer = SimulatedProducer(self._world, self._broker)
        async with asyncio.TaskGroup() as group:
            for upload in self.sent:
                if upload.upload_id not in self.accepted:
                    group.create_task(self._accept(process, producer, upload))

    async def _accept(self, process: Process, producer: SimulatedProducer, upload: Upload) -> None:
        await asyncio.sleep(max(0.0, upload.at_s - self._world.loop.time()))
        received_at = self._world.now(process)
        uploaded = EcgUploaded(
            at=received_at,
            upload_id=upload.upload_id,
            clinic_id=CLINIC,
            patient_key=upload.patient_key,
            lane=upload.lane,
            recording=_BLOB,
        )
        record = sealed(uploaded, upload.message_id, "gateway", upload.upload_id, upload.patient_key, upload.upload_id, self._world, process)
        await until_taken(lambda: producer.publish(topics.INTAKE[upload.lane], [record]))
        self.accepted[upload.upload_id] = received_at
        self._world.note(process.name, "202", upload.name)

    async def triage(self, process: Process) -> None:
        """Judge each upload that is accepted, some twice, some never."""
        producer = SimulatedProducer(self._world, self._broker)
        async with asyncio.TaskGroup() as group:
            for upload in self.sent:
                if upload.judged_after_s is not None:
                    group.create_task(self._judge(process, producer, upload, upload.judged_after_s))

    async def _judge(self, process: Process, producer: SimulatedProducer, upload: Upload, after_s: float) -> None:
        await asyncio.sleep(max(0.0, upload.at_s + after_s - self._world.loop.time()))
        topic = topics.ASSESSMENTS[Lane.EMERGENCY if upload.priority is Priority.RED else upload.lane]
        while upload.upload_id not in self.accepted:  # triage reads what was accepted
            await asyncio.sleep(1.0)
        if upload.upload_id in self.assessed:
            return
        told = assessed(upload, self.accepted[upload.upload_id])
        message_id = event_id(upload.message_id, Assessed.__name__)
        record = sealed(told, message_id, "triage", upload.upload_id, upload.patient_key, upload.upload_id, self._world, process)
        for _ in range(2 if upload.judged_twice else 1):
            await until_taken(lambda: producer.publish(topic, [record]))
        self.assessed.add(upload.upload_id)


def assessed(upload: Upload, received_at: datetime) -> Assessed:
    finding = Finding(rule="stemi", version="1", source="test", title=f"Anterior STEMI of {upload.name}", priority=upload.priority, leads=("V2",))
    unreadable = upload.priority is Priority.NOT_EVALUABLE
    problem = QualityProblem(code="flat", leads=("V3",), text="V3 is loose: press it on and record again")
    return Assessed(
        at=received_at,
        rulebook="test",
        rulebook_version="1",
        priority=upload.priority,
        findings=() if unreadable or upload.priority is Priority.GREEN else (finding,),
        quality=Quality(evaluable=not unreadable, problems=(problem,) if unreadable else ()),
        upload_id=upload.upload_id,
        clinic_id=CLINIC,
        patient_key=upload.patient_key,
        lane=upload.lane,
        received_at=received_at,
    )


class People:
    """Who is rung looks at what the console shows, which lacks the newest, thinks, and presses, or does not; then goes on with it, or falls asleep.

    When all is healed everybody is awake: who is rung decides."""

    def __init__(self, world: World, broker: SimulatedBroker, logs: dict[CaseId, CaseLog], providers: Providers) -> None:
        self._world, self._broker, self._logs = world, broker, logs
        self.awake = False
        self._process: Process | None = None
        providers.on_ring.append(self._rung)

    async def console(self, process: Process) -> None:
        self._process = process
        await asyncio.Event().wait()

    def wake(self) -> None:
        """Everybody is awake from now on; half of those who have something in hand look at it of their own accord, the others are waited for."""
        self.awake = True
        for case_id, log in self._logs.items():
            owner = log.view.owner
            if owner is not None and not Chance(self._world.seed, f"wakes {case_id}").below(2):
                self._world.later(5.0, lambda case_id=case_id, owner=owner: self._look(case_id, owner, f"woken {case_id}"))

    def _rung(self, rung: Rung) -> None:
        notice = rung.notice
        if notice.case_id is None or notice.person == STANDING_NUMBER or notice.title == NOTE_TITLE:
            return
        case_id, about = notice.case_id, str(notice.notice_id)
        chance = Chance(self._world.seed, f"rung {about}")
        if self.awake or chance.one_in(3):
            self._world.later(chance.between(1.0, 10.0 if self.awake else 60.0), lambda: self._look(case_id, notice.person, about))

    def _look(self, case_id: CaseId, person: str, about: str) -> None:
        process, chance = self._process, Chance(self._world.seed, f"looks {about}")
        if process is None or not process.alive:
            return
        log = self._logs[case_id]
        shown = log.seen_by(self._world.loop.time() - (0.0 if self.awake else chance.between(0.0, 3.0)))
        raised = log.raised_within(shown)
        if raised is None:
            return
        thinks_s = 0.0 if self.awake else chance.between(0.0, 30.0)
        kinds = (0, 1) if self.awake else (0, 1, 4, 4) if log.view.owner == person else (2, 2, 2, 0, 1, 3)
        kind = kinds[chance.below(len(kinds))]
        offered = [event for event in log.events[:shown] if isinstance(event, HandOverOffered)]
        asked = {"case_id": case_id, "by": person, "at": self._world.now(process)}
        commands: tuple[PeoplesCommand, ...] = (
            Confirm(**asked, diagnosis=Diagnosis.STEMI, seen_sequence=raised),
            StandDown(**asked, reason="an old bundle branch block", seen_sequence=raised),
            Acknowledge(**asked, seen_sequence=raised),
            TakeOver(**asked, reason="nearer to it"),
            OfferHandOver(**asked, to_person=PEOPLE[chance.below(len(PEOPLE))]),
        )
        command = AcceptHandOver(**asked) if offered and offered[-1].to_person == person and not self.awake else commands[kind]
        self._world.loop.spawn(process, self._press(process, command, about, shown, thinks_s))
        if kind == 2 and chance.one_in(3):  # the others fall asleep
            self._world.later(chance.between(5.0, 90.0), lambda: self._look(case_id, person, f"again {about}"))

    async def _press(self, process: Process, command: PeoplesCommand, about: str, shown: int, thinks_s: float) -> None:
        await asyncio.sleep(thinks_s)
        log, case_id = self._logs[command.case_id], command.case_id
        command_id = event_id(EventId(uuid5(NAMES, f"press {about} {shown}")), type(command).__name__)
        log.pressed[command_id] = shown
        record = sealed(command, command_id, "console", case_id, log.patient_key, UploadId(case_id), self._world, process)
        producer = SimulatedProducer(self._world, self._broker)
        await until_taken(lambda: producer.publish(topics.COMMANDS, [record]))


async def until_taken(publish: Callable[[], Awaitable[None]]) -> None:
    """Ask again while Kafka is away, as who has no answer does."""
    while True:
        try:
            await publish()
            return
        except Away:
            await asyncio.sleep(0.5)


def sealed(event: Frozen, message_id: EventId, source: str, subject: UUID, key: str, correlation: UploadId, world: World, process: Process) -> Record:
    at = world.now(process)
    return seal(
        event,
        event_id=message_id,
        source=source,
        subject=subject,
        key=key,
        time=at,
        recorded=at,
        correlation=correlation,
        causation=correlation,
    )
