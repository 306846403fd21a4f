"""The topic table, as code: what lies where, for how long, in how many partitions.

The key is the patient's. Partitions are not changed once a topic holds data: a key would move, and its order with it."""

from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import get_args

from pydantic import ValidationError

from contracts import access, assessments, cases, commands, deliveries, directory, intake
from contracts.vocabulary import Frozen, Lane

PARTITIONS = 6


@dataclass(frozen=True)
class Topic:
    name: str
    events: tuple[type[Frozen], ...]
    kept: timedelta | None  # None: for ever
    key: str = "patient key"
    partitions: int = PARTITIONS
    compacted: bool = False

    @property
    def dead_letters(self) -> str:
        return f"{self.name}.dlq"

    def config(self) -> dict[str, str]:
        """Return the topic's settings in Kafka's own words."""
        return {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "retention.ms": "-1" if self.kept is None else str(int(self.kept.total_seconds() * 1000)),
            "retention.bytes": "-1",
        }


def durability(replication: int) -> dict[str, str]:
    """Return the settings by which an acknowledged message outlives a broker: most copies have it by then, and none that lacks it leads."""
    return {"min.insync.replicas": str(replication // 2 + 1), "unclean.leader.election.enable": "false"}


INTAKE_EMERGENCY = Topic("intake.emergency.v1", (intake.EcgUploaded,), kept=timedelta(days=90))
INTAKE_ROUTINE = Topic("intake.routine.v1", (intake.EcgUploaded,), kept=timedelta(days=90))
ASSESSMENTS_EMERGENCY = Topic("assessments.emergency.v1", (assessments.Assessed,), kept=None)
ASSESSMENTS_ROUTINE = Topic("assessments.routine.v1", (assessments.Assessed,), kept=None)
COMMANDS = Topic("commands.v1", get_args(commands.Commands), kept=timedelta(days=90))
CASES = Topic("cases.v1", get_args(cases.CaseEvents), kept=None)
DELIVERIES = Topic("deliveries.v1", get_args(deliveries.Deliveries), kept=None)
# One partition: a directory is loaded whole and in order, and a revoked token must not be added again by an older event.
DIRECTORY = Topic(
    "directory.v1", (directory.DirectoryLoaded, directory.ContactsLoaded), kept=None, key="the kind of event", partitions=1, compacted=True
)
ACCESS = Topic("access.v1", get_args(access.AccessEvents), kept=None, key="the token's SHA-256", partitions=1, compacted=True)

TOPICS = (INTAKE_EMERGENCY, INTAKE_ROUTINE, ASSESSMENTS_EMERGENCY, ASSESSMENTS_ROUTINE, COMMANDS, CASES, DELIVERIES, DIRECTORY, ACCESS)
INTAKE = MappingProxyType({Lane.EMERGENCY: INTAKE_EMERGENCY, Lane.ROUTINE: INTAKE_ROUTINE})
ASSESSMENTS = MappingProxyType({Lane.EMERGENCY: ASSESSMENTS_EMERGENCY, Lane.ROUTINE: ASSESSMENTS_ROUTINE})


def dead_letter_topic(topic: Topic) -> Topic:
    """Return where a topic's messages go that could not be handled: as they came, for a year."""
    return Topic(topic.dead_letters, (), kept=timedelta(days=365), partitions=1)


class EventUnreadable(ValueError):
    """The value is not an event of its topic. args: what is wrong, without what it holds."""


def read_event(topic: Topic, kind: str, value: bytes) -> Frozen:
    """Return the event that a message of the topic holds; EventUnreadable where it holds none. Unknown fields pass."""
    known = {event.__name__: event for event in topic.events}
    if kind not in known:
        raise EventUnreadable(f"{topic.name} carries no {kind[:60]}")
    try:
        return known[kind].model_validate_json(value)
    except ValidationError as error:
        wrong = ", ".join(sorted({".".join(map(str, part["loc"])) or "json" for part in error.errors(include_input=False)}))
        raise EventUnreadable(f"{kind}: missing or malformed: {wrong[:200]}") from None
