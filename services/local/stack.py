"""Bring up the embedded stack: jars, Kafka and Valkey as children of a supervisor, a folder for blobs; and say where they are."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from services.local.data_folder import DataFolder
from services.local.errors import StopAsked
from services.local.jars import Progress, cache_lock, fetch_jars, kafka_folder, missing_jars
from services.local.java import KafkaClasses, java_environment
from services.local.kafka import BROKER, kafka_answers, lay_out_kafka
from services.local.kafka_archive import make_archive
from services.local.ports import HOST
from services.local.supervisor import Supervisor
from services.local.valkey import valkey_answers, valkey_command, valkey_folder

LOOK_AGAIN_S = 0.05


@dataclass(frozen=True)
class StackAddresses:
    kafka: str
    redis: str
    blobs: str

    def as_environment(self) -> dict[str, str]:
        """Return the settings by which `serve` finds the stack."""
        return {"GREENCHANNEL_KAFKA": self.kafka, "GREENCHANNEL_REDIS": self.redis, "GREENCHANNEL_BLOBS": self.blobs}


def prepare_kafka(cache: Path, progress: Progress) -> KafkaClasses:
    """Have Kafka's jars and their archive in the cache: at once where they are there, else with the network, once.

    Raises NoNetwork, JarDamaged, DiskFull, FolderUnusable, and whatever `progress` raises."""
    classes = KafkaClasses(kafka_folder(cache))
    if missing_jars(classes.folder) or not classes.archive.exists():
        with cache_lock(cache, progress):
            fetch_jars(classes.folder, progress)
            if not classes.archive.exists():
                make_archive(classes, progress)
    return classes


def start_stack(
    data: DataFolder, supervisor: Supervisor, progress: Progress, *, cache: Path, kafka_port: int | None = None, redis_port: int | None = None
) -> StackAddresses:
    """Start Kafka and Valkey and return their addresses once both serve. Raises StopAsked, and the other errors of services.local.errors.

    A broker that dies while it starts is tried again without end: the supervisor says so on the terminal."""
    kafka, redis = data.port("Kafka", kafka_port), data.port("Redis", redis_port)
    controller = data.port("Kafka's controller")

    def stoppable(step: str, done: int, total: int) -> None:
        if supervisor.stopping:
            raise StopAsked
        progress(step, done, total)

    classes = prepare_kafka(cache, stoppable)
    supervisor.add_program("valkey", valkey_command(redis), folder=valkey_folder(data.path), env={})
    lay_out_kafka(data.path / "kafka", classes, port=kafka, controller_port=controller)
    supervisor.add_program("kafka", classes.command(*BROKER), folder=data.path / "kafka", env=java_environment())
    _await(supervisor, [lambda: valkey_answers(redis), lambda: kafka_answers(kafka)], progress)
    blobs = data.path / "blobs"
    return StackAddresses(kafka=f"{HOST}:{kafka}", redis=f"redis://{HOST}:{redis}/0", blobs=blobs.as_uri())


def _await(supervisor: Supervisor, answers: list[Callable[[], bool]], progress: Progress) -> None:
    waiting, total = list(answers), len(answers)

    def all_answer() -> bool:
        while waiting and waiting[0]():
            waiting.pop(0)
        progress("starting Kafka and Valkey", total - len(waiting), total)
        return not waiting

    if not supervisor.run(all_answer, LOOK_AGAIN_S):
        raise StopAsked
