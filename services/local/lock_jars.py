"""Write Kafka's lock anew, after a change of version: python -m services.local.lock_jars > services/local/kafka.lock."""

import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path

from jgo.maven import MavenContext
from jgo.parse import Coordinate

# Resolved apart: together, the versions that log4j manages pull kafka-clients down to an old one and Kafka dies.
ENDPOINTS = ("org.apache.kafka:kafka_2.13:4.3.1", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4")


def lock_lines(repository: Path) -> list[str]:
    """Resolve and download what the endpoints need; return one line a jar: its SHA-256, its size in bytes, group:artifact:version."""
    maven = MavenContext(repo_cache=repository, local_repos=[])
    lines = set[str]()
    for endpoint in ENDPOINTS:
        dependency = maven.create_dependency(replace(Coordinate.parse(endpoint), scope="compile"))
        inputs, transitive = maven.resolver.resolve([dependency])
        for needed in [*inputs, *(other for other in transitive if other.scope in {"compile", "runtime"})]:
            jar = needed.artifact.resolve().read_bytes()
            lines.add(f"{hashlib.sha256(jar).hexdigest()} {len(jar)} {needed.groupId}:{needed.artifactId}:{needed.version}")
    return sorted(lines, key=lambda line: line.split()[2])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(*lock_lines(Path(folder)), sep="\n")
