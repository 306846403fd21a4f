"""`greenchannel directory load` and `greenchannel access`, as they are typed, on the real Kafka."""

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from services.program.example_data import DIRECTORY
from tests.conftest import ROOT, Stack


class Terminal:
    """The commands against one Kafka, with a directory whose names are this test's own."""

    def __init__(self, kafka: str, folder: Path) -> None:
        self.kafka, self.mark = kafka, uuid4().hex[:12]
        self.person, self.clinic = f"{self.mark}-cardiologist", f"{self.mark}-clinic"
        self.file = folder / "directory.yaml"
        self.file.write_text(DIRECTORY.replace("demo-", f"{self.mark}-").replace("example-1", self.mark))

    def type(self, *words: str, kafka: str | None = None) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"GREENCHANNEL_KAFKA": kafka or self.kafka, "COLUMNS": "200"}
        return subprocess.run(
            [sys.executable, "-m", "services.program", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    def done(self, *words: str) -> str:
        ended = self.type(*words)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def refused(self, *words: str, status: int = 1) -> str:
        ended = self.type(*words)
        assert (ended.returncode, ended.stdout) == (status, ""), ended.stderr
        assert "Traceback" not in ended.stderr
        return ended.stderr

    def listed(self) -> list[dict[str, object]]:
        """Return the tokens of this test's people and clinics."""
        lines = [json.loads(line) for line in self.done("access", "list", "--json").splitlines()]
        return [line for line in lines if self.mark in str(line.get("person", line.get("clinic")))]


@pytest.fixture
def terminal(stack: Stack, tmp_path: Path) -> Terminal:
    terminal = Terminal(stack.kafka, tmp_path)
    terminal.done("directory", "load", str(terminal.file))
    return terminal


def test_the_same_directory_is_written_once_and_another_content_of_its_version_again(terminal: Terminal):
    again = terminal.type("directory", "load", str(terminal.file))
    assert "nothing was written" in again.stderr
    terminal.file.write_text(terminal.file.read_text().replace("address: local", "address: json://127.0.0.1:1/secret"))  # only how one is reached
    changed = terminal.type("directory", "load", str(terminal.file))
    assert f"{terminal.mark} loaded: 1 centres, 1 clinics, 2 people" in changed.stderr
    assert "secret" not in changed.stderr + changed.stdout


def test_a_file_that_is_no_directory_is_refused_and_what_was_loaded_holds(terminal: Terminal):
    good = terminal.file.read_text()
    terminal.file.write_text("version: [")
    refused = terminal.type("directory", "load", str(terminal.file))
    assert (refused.returncode, "directory.yaml:1:" in refused.stdout) == (1, True), refused.stderr
    terminal.file.write_text(good.replace(f"person:{terminal.mark}-coordinator", "person:nobody"))
    refused = terminal.type("directory", "load", str(terminal.file))
    assert (refused.returncode, "person nobody is not listed" in refused.stdout) == (1, True), refused.stderr
    terminal.file.write_text(good)
    assert "nothing was written" in terminal.type("directory", "load", str(terminal.file)).stderr


def test_a_token_is_shown_once_and_listed_by_its_digest_until_it_is_revoked(terminal: Terminal):
    token = terminal.done("access", "add", "--person", terminal.person, "--role", "clinician", "--role", "ops").strip()
    (added,) = terminal.listed()
    assert (added["person"], added["roles"]) == (terminal.person, ["clinician", "ops"])
    assert token not in json.dumps(added)
    of_clinic = json.loads(terminal.done("access", "add", "--clinic", terminal.clinic, "--json"))
    assert {each["token_sha256"] for each in terminal.listed()} == {added["token_sha256"], of_clinic["token_sha256"]}
    terminal.done("access", "revoke", str(added["token_sha256"])[:10])
    assert [each["token_sha256"] for each in terminal.listed()] == [of_clinic["token_sha256"]]
    terminal.done("access", "revoke", "--clinic", terminal.clinic)
    assert terminal.listed() == []


def test_all_tokens_of_a_person_are_revoked_and_nobody_elses(terminal: Terminal):
    for role in ("clinician", "quality"):
        terminal.done("access", "add", "--person", terminal.person, "--role", role)
    terminal.done("access", "add", "--clinic", terminal.clinic)
    terminal.done("access", "revoke", "--person", terminal.person)
    assert [each.get("clinic") for each in terminal.listed()] == [terminal.clinic]


def test_what_cannot_be_done_is_refused_with_the_reason(terminal: Terminal):
    assert "not among the people" in terminal.refused("access", "add", "--person", "nobody", "--role", "ops")
    assert "not among the clinics" in terminal.refused("access", "add", "--clinic", "nowhere")
    assert "holds no token" in terminal.refused("access", "revoke", "--person", "nobody")
    assert "at least 8 characters" in terminal.refused("access", "revoke", "abc")
    assert "No tokens" in terminal.refused("access", "revoke", "0" * 60)
    assert terminal.listed() == []


def test_a_command_that_names_nobody_or_two_is_a_wrong_use(terminal: Terminal):
    for words in ([], ["--person", "a"], ["--person", "a", "--clinic", "b", "--role", "ops"], ["--clinic", "b", "--role", "ops"]):
        assert "name either a person" in terminal.refused("access", "add", *words, status=2)
    assert "name one of" in terminal.refused("access", "revoke", status=2)


def test_without_a_kafka_the_command_says_what_to_start(terminal: Terminal):
    ended = terminal.type("directory", "load", str(terminal.file), kafka="127.0.0.1:1")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "kafka is away" in ended.stderr
    assert "greenchannel up" in ended.stderr
    assert len(ended.stderr.splitlines()) <= 3
