"""Kafka's settings: what makes it durable and small."""

import re
from pathlib import Path

import pytest

from services.local.jars import cache_folder, locked_jars
from services.local.java import KafkaClasses
from services.local.kafka import lay_out_kafka
from services.local.last_words import last_words
from services.local.lock_jars import ENDPOINTS
from services.local.ports import choose_port
from services.local.supervisor import LONGEST_WAIT_S, wait_before_restart_s


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "data").mkdir()
    lay_out_kafka(tmp_path, KafkaClasses(tmp_path), port=20001, controller_port=20002)
    lines = (tmp_path / "server.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def test_a_record_is_on_the_disk_before_it_is_acknowledged(settings: dict[str, str]) -> None:
    assert settings["log.flush.interval.messages"] == "1"


def test_no_topic_comes_into_being_by_a_misspelt_name(settings: dict[str, str]) -> None:
    assert settings["auto.create.topics.enable"] == "false"


def test_the_broker_is_heard_on_this_machine_alone(settings: dict[str, str]) -> None:
    assert re.findall(r"//([^:]*):", settings["listeners"]) == ["127.0.0.1", "127.0.0.1"]


def test_the_lock_holds_the_versions_that_it_is_made_from() -> None:
    jars = {f"{jar.group}:{jar.artifact}:{jar.version}" for jar in locked_jars()}
    assert set(ENDPOINTS) < jars
    assert "org.apache.kafka:kafka-clients:4.3.1" in jars  # what falls to an old version when both are resolved together
    assert all(re.fullmatch("[0-9a-f]{64}", jar.sha256) for jar in locked_jars())


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"GREENCHANNEL_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, Path("/a")),
        ({"XDG_CACHE_HOME": "/b"}, Path("/b/greenchannel")),
        ({"XDG_CACHE_HOME": "relative"}, Path.home() / ".cache/greenchannel"),  # as its specification says
        ({}, Path.home() / ".cache/greenchannel"),
    ],
)
def test_the_cache_lies_where_people_keep_theirs(environ: dict[str, str], folder: Path) -> None:
    assert cache_folder(environ) == folder


def test_a_chosen_port_is_none_that_a_client_could_be_given() -> None:
    first_of_clients = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(choose_port(()) < first_of_clients for _ in range(50))


def test_a_child_that_keeps_dying_is_started_ever_later_and_one_that_lived_at_once() -> None:
    waits = [0.0]
    for _ in range(8):
        waits.append(wait_before_restart_s(waits[-1], alive_s=0.5))
    assert waits[1:] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_WAIT_S, LONGEST_WAIT_S]
    assert wait_before_restart_s(waits[-1], alive_s=11) == 0.1


def test_the_last_words_of_a_java_program_are_its_error_and_not_its_stack(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    log.write_text("started\n\njava.io.IOException: No space left on device\n\tat java.base/java.io.File.write\n\t... 3 more\n")
    assert last_words(log) == "started | java.io.IOException: No space left on device"
    assert last_words(tmp_path / "none.log") == "it said nothing"
