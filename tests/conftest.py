"""What tests stand on: the real recordings, and a real Kafka and Valkey of their own."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, not whether the promise holds.
settings.register_profile("greenchannel", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
settings.load_profile("greenchannel")

ROOT = Path(__file__).parents[1]
RECORDINGS = ROOT.parent / "shared" / "ecg"
IN_CI = os.environ.get("CI") == "true"


@dataclass(frozen=True)
class Stack:
    """Where the test's Kafka, Redis and blobs are."""

    kafka: str
    redis: str
    blobs: str


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings."""
    if not (RECORDINGS / "MANIFEST.tsv").exists():
        reason = "the recordings are not beside this folder, at ../shared/ecg"
        if IN_CI:
            pytest.fail(reason)
        pytest.skip(reason)
    return RECORDINGS


@pytest.fixture(autouse=True)
def _needed_package(request: pytest.FixtureRequest) -> None:
    marker = request.node.get_closest_marker("needs_package")
    if marker is None:
        return
    command, package = marker.args
    if shutil.which(command) is None:
        reason = f"{command} is missing: apt-get install {package}"
        if IN_CI:
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Kafka and a Redis for this session: the embedded ones, or containers where GREENCHANNEL_TEST_STACK says so."""
    folder = tmp_path_factory.mktemp("stack")
    if os.environ.get("GREENCHANNEL_TEST_STACK") == "containers":
        yield from _containers(folder)
    else:
        yield from _embedded(folder)


def _embedded(folder: Path) -> Iterator[Stack]:
    command = [sys.executable, "-m", "services.program", "stack", "--data", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as program:
        assert program.stdout is not None
        told: dict[str, str] = {}
        for line in program.stdout:
            name, _, value = line.strip().partition("=")
            told[name] = value
            if name == "GREENCHANNEL_LINK":
                break
        else:
            pytest.fail("the embedded stack did not start: see its words above")
        yield Stack(kafka=told["GREENCHANNEL_KAFKA"], redis=told["GREENCHANNEL_REDIS"], blobs=told["GREENCHANNEL_BLOBS"])
        program.send_signal(signal.SIGTERM)
        program.wait(timeout=30)


def _containers(folder: Path) -> Iterator[Stack]:
    from testcontainers.community.kafka import KafkaContainer
    from testcontainers.community.redis import RedisContainer

    with KafkaContainer("apache/kafka:4.3.1").with_kraft() as kafka, RedisContainer("valkey/valkey:9") as redis:
        address = f"redis://{redis.get_container_host_ip()}:{redis.get_exposed_port(6379)}/0"
        yield Stack(kafka=kafka.get_bootstrap_server(), redis=address, blobs=folder.as_uri())
