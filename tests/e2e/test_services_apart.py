"""Each service as a process of its own, by `stack` and `serve`, as in a cluster: killed alone, started again, and run twice."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT
from tests.e2e.centre import Centre, until

SERVICES = ("web", "cases", "notify", "projector", "triage-emergency")


class Apart(Centre):
    """A centre whose parts are processes that the test starts and kills one by one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environment: dict[str, str] = {}
        self.processes_of: dict[str, subprocess.Popen[str]] = {}
        self.port_of: dict[str, int] = {}

    def start(self) -> None:
        command = [sys.executable, "-m", "services.program", "stack", "--data", str(self.data)]
        stack = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.processes_of["stack"] = stack
        assert stack.stdout is not None
        for line in stack.stdout:
            name, _, value = line.strip().partition("=")
            self.environment[name] = value
            if name == "GREENCHANNEL_LINK":
                break
        for name in SERVICES:
            self.serve(name)
        self.until_ready()

    def serve(self, name: str, instance: str = "0") -> None:
        """Run `greenchannel serve NAME`; the web answers where client.toml says, the others on any free port."""
        port = self.environment["GREENCHANNEL_LINK"].rsplit(":", 1)[1] if name == "web" else "0"
        environment = os.environ | self.environment | {"GREENCHANNEL_PORT": port, "GREENCHANNEL_INSTANCE": instance}
        command = [sys.executable, "-m", "services.program", "serve", name]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        self.processes_of[f"{name}-{instance}"] = process
        for line in process.stderr:
            if "listens on port" in line:
                self.port_of[f"{name}-{instance}"] = int(line.rsplit(" ", 1)[1])
                break
        drain = ThreadPoolExecutor(1, thread_name_prefix=name)  # or the pipe would fill and hold the service
        drain.submit(process.stderr.read)
        drain.shutdown(wait=False)

    def kill(self, name: str, instance: str = "0") -> None:
        process = self.processes_of.pop(f"{name}-{instance}")
        process.kill()
        process.wait(timeout=30)

    def until_ready(self) -> None:
        until(lambda: all(self._answers(port) for port in self.port_of.values()), within_s=90, what="all services ready")

    def _answers(self, port: int) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=3).is_success
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        for process in reversed(self.processes_of.values()):
            process.send_signal(signal.SIGTERM)
        for process in self.processes_of.values():
            process.wait(timeout=60)


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    centre = Apart(tmp_path_factory.mktemp("apart"))
    try:
        centre.start()
        yield centre
    finally:
        centre.stop()


def send_red(apart: Apart, recordings: Path, patient: str) -> str:
    return str(apart.send(recordings / "vendor/philips-1.03/129DYNRG.XML", patient=patient, age="61", sex="M")["upload_id"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_that_is_killed_and_started_again_goes_on_where_it_was(apart: Apart, recordings: Path, name: str):
    if name == "web":
        upload_id = send_red(apart, recordings, f"kill-{name}")
        apart.kill(name)
    else:
        apart.kill(name)
        upload_id = send_red(apart, recordings, f"kill-{name}")
    apart.serve(name)
    apart.until_ready()
    case_id = apart.case_of(upload_id, within_s=60)
    pages = apart.paged(case_id, within_s=60)
    assert Counter(page["round"] for page in pages)[1] == 1
    assert [entry["type"] for entry in apart.case(case_id)["timeline"]].count("CaseOpened") == 1
    assert apart.acknowledge(case_id).is_success


def test_an_acknowledgement_and_an_assessment_handled_by_two_processes_at_once_are_both_kept(apart: Apart, recordings: Path):
    apart.serve("cases", instance="1")
    apart.until_ready()
    bad, good = recordings / "vendor/philips-1.03/129ECORG.XML", recordings / "vendor/philips-1.03/129DYNRG.XML"
    uploads = [str(apart.send(bad, patient=f"both-{number}")["upload_id"]) for number in range(8)]
    cases = [apart.case_of(upload_id) for upload_id in uploads]
    with ThreadPoolExecutor(16) as at_once:
        acknowledged = [at_once.submit(apart.acknowledge, case_id) for case_id in cases]
        repeats = [at_once.submit(apart.send, good, patient=f"both-{number}", age="61", sex="M") for number in range(8)]
    assert all(each.result().status_code == 200 for each in acknowledged), [each.result().text for each in acknowledged]
    for case_id, repeat in zip(cases, repeats, strict=True):
        upload_id = str(repeat.result()["upload_id"])
        assert apart.assessed(upload_id)["priority"] == "red"
        assert apart.case_of(upload_id) == case_id
        until(lambda case_id=case_id: apart.case(case_id)["priority"] == "red")
        kinds = Counter(entry["type"] for entry in apart.case(case_id)["timeline"])
        assert (kinds["Acknowledged"], kinds["CaseOpened"], kinds["CaseRaised"], kinds["UploadAssessed"]) == (1, 1, 1, 2)
        sequences = [entry["sequence"] for entry in apart.case(case_id)["timeline"] if entry["topic"] == "cases.v1"]
        assert sorted(sequences) == list(range(1, len(sequences) + 1))
        apart.acknowledge(case_id)
