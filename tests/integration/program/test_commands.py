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


def test_the_same_directory_is_written_once_and_another_version_again(terminal: Terminal):
    again = terminal.type("directory", "load", str(terminal.file))
    assert "nothing was written" in again.stderr
    reached_otherwise = terminal.file.read_text().replace("address: local", "address: json://127.0.0.1:1/secret")
    terminal.file.write_text(reached_otherwise.replace(f"version: {terminal.mark}", f"version: {terminal.mark}-2"))
    changed = terminal.type("directory", "load", str(terminal.file))
    assert f"{terminal.mark}-2 loaded: 1 centres, 1 clinics, 2 people" in changed.stderr
    assert "secret" not in changed.stderr + changed.stdout


def test_a_version_names_one_content_also_once_another_was_loaded(terminal: Terminal):
    first, version = terminal.file.read_text(), f"version: {terminal.mark}"
    for changed in (first.replace("555-0100", "555-0199"), first.replace("address: local", "address: json://127.0.0.1:1")):
        terminal.file.write_text(changed)
        assert "give the file another version" in terminal.refused("directory", "load", str(terminal.file))
    terminal.file.write_text(first.replace("555-0100", "555-0199").replace(version, f"{version}-2"))
    terminal.done("directory", "load", str(terminal.file))
    terminal.file.write_text(first.replace("555-0100", "555-0188"))
    assert "give the file another version" in terminal.refused("directory", "load", str(terminal.file))
    terminal.file.write_text(first)
    terminal.done("directory", "load", str(terminal.file))  # back to what it was


def test_a_centre_that_is_dropped_is_named_with_who_is_paged_for_it_now(terminal: Terminal):
    dropped, kept = f"{terminal.mark}-centre", f"{terminal.mark}-other"
    assert dropped not in terminal.type("directory", "load", str(terminal.file)).stderr
    terminal.file.write_text(terminal.file.read_text().replace(dropped, kept).replace(f"version: {terminal.mark}", f"version: {terminal.mark}-2"))
    loaded = terminal.type("directory", "load", str(terminal.file), "--json")
    assert loaded.returncode == 0
    assert f"WARNING: {dropped} was loaded before" in loaded.stderr
    assert f"the people of {kept}" in loaded.stderr
    told = json.loads(loaded.stdout)
    assert (told["version"], told["written"], told["centres_gone"]) == (f"{terminal.mark}-2", True, [dropped])


def test_a_clinic_and_a_person_that_are_dropped_are_named_with_what_goes_on_and_how_it_is_ended(terminal: Terminal):
    terminal.done("access", "add", "--person", terminal.person, "--role", "clinician")
    renamed = terminal.file.read_text().replace(terminal.clinic, f"{terminal.mark}-other").replace(terminal.person, f"{terminal.mark}-li")
    terminal.file.write_text(renamed.replace(f"version: {terminal.mark}", f"version: {terminal.mark}-2"))
    loaded = terminal.type("directory", "load", str(terminal.file), "--json")
    told = json.loads(loaded.stdout)
    assert terminal.clinic in told["clinics_gone"]
    assert terminal.person in told["people_gone_with_token"]
    assert f"WARNING: the clinic {terminal.clinic} is not in this file" in loaded.stderr
    assert f"WARNING: {terminal.person} is not in this file and still holds a token" in loaded.stderr
    assert f"greenchannel access revoke --person {terminal.person}" in loaded.stderr
    terminal.done("access", "revoke", "--person", terminal.person)
    again = terminal.type("directory", "load", str(terminal.file))
    assert terminal.person not in again.stderr
    assert terminal.clinic not in again.stderr  # it is in no directory any more, and holds no token


def test_a_dropped_clinic_is_named_for_as_long_as_its_token_holds(terminal: Terminal):
    terminal.done("access", "add", "--clinic", terminal.clinic)
    renamed = terminal.file.read_text().replace(terminal.clinic, f"{terminal.mark}-other")
    terminal.file.write_text(renamed.replace(f"version: {terminal.mark}", f"version: {terminal.mark}-2"))
    for _ in range(2):
        assert f"access revoke --clinic {terminal.clinic}" in terminal.type("directory", "load", str(terminal.file)).stderr


def test_a_refusal_of_load_is_a_document_for_who_asks_for_json(terminal: Terminal):
    terminal.file.write_text(terminal.file.read_text().replace("555-0100", "555-0199"))
    of_version = terminal.type("directory", "load", str(terminal.file), "--json")
    assert (of_version.returncode, "another version" in json.loads(of_version.stdout)["error"]) == (1, True)
    terminal.file.write_text("")
    of_file = terminal.type("directory", "load", str(terminal.file), "--json")
    assert (of_file.returncode, json.loads(of_file.stdout)["problems"][0]["what"]) == (1, "the file is empty")
    missing = terminal.type("directory", "load", str(terminal.file.with_name("missing")), "--json")
    assert (missing.returncode, "cannot be read" in json.loads(missing.stdout)["error"]) == (1, True)


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
