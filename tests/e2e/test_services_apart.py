"""Each service as a process of its own, by `stack` and `serve`, as in a cluster: killed alone, started again, and run twice."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT
from tests.e2e.centre import Centre, until

SERVICES = ("gateway", "triage-emergency", "triage-routine", "cases", "notify", "console")  # as `serve --help` and README name them
PATIENTS = 8
APART_S = 0.06


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
        with ThreadPoolExecutor(len(SERVICES)) as at_once:
            list(at_once.map(self.serve, SERVICES))
        self.until_ready()

    def serve(self, name: str, instance: str = "0") -> None:
        """Run `greenchannel serve NAME`; the gateway listens where client.toml says, the others on any free port."""
        port = self.environment["GREENCHANNEL_LINK"].rsplit(":", 1)[1] if name == "gateway" else "0"
        environment = os.environ | self.environment | {"GREENCHANNEL_PORT": port, "GREENCHANNEL_INSTANCE": instance}
        command = [sys.executable, "-m", "services.program", "serve", name]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        self.processes_of[f"{name}-{instance}"] = process
        said = list[str]()
        for line in process.stderr:
            said.append(line)
            if "listens on port" in line:
                self.port_of[f"{name}-{instance}"] = int(line.rsplit(" ", 1)[1])
                break
        else:
            pytest.fail(f"{name} did not start: {''.join(said)[-2000:]}")
        drain = ThreadPoolExecutor(1, thread_name_prefix=name)  # or the pipe would fill and hold the service
        drain.submit(process.stderr.read)
        drain.shutdown(wait=False)

    @property
    def console_url(self) -> str:
        return f"http://127.0.0.1:{self.port_of['console-0']}"

    def kill(self, name: str, instance: str = "0") -> None:
        process = self.processes_of.pop(f"{name}-{instance}")
        del self.port_of[f"{name}-{instance}"]
        process.kill()
        process.wait(timeout=30)

    def until_ready(self) -> None:
        until(lambda: all(self._answers(port) for port in self.port_of.values()), within_s=90, what="all services ready")

    def _answers(self, port: int) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=3).is_success
        except httpx.TransportError:
            return False

    def handled(self, process: str) -> float:
        """Return how many messages a process has handled to their end."""
        lines = httpx.get(f"http://127.0.0.1:{self.port_of[process]}/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("greenchannel_messages_handled_total{"))

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


def send_red(apart: Apart, recordings: Path, patient: str, lane: str = "emergency") -> str:
    path = recordings / "vendor/philips-1.03/129DYNRG.XML"
    return str(apart.send(path, patient=patient, age="61", sex="M", lane=lane)["upload_id"])


def check_paged_once_and_take_in_hand(apart: Apart, upload_id: str) -> None:
    case_id = apart.case_of(upload_id, within_s=60)
    pages = apart.paged(case_id, within_s=60)
    assert Counter(page["round"] for page in pages)[1] == 1
    assert [entry["type"] for entry in apart.case(case_id)["timeline"]].count("CaseOpened") == 1
    apart.take_in_hand(case_id)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_that_is_killed_and_started_again_goes_on_where_it_was(apart: Apart, recordings: Path, name: str):
    lane = "routine" if name == "triage-routine" else "emergency"
    before = send_red(apart, recordings, f"before-{name}", lane)
    apart.kill(name)
    meanwhile = [send_red(apart, recordings, f"without-{name}", lane)] if name != "gateway" else []
    apart.serve(name)
    apart.until_ready()
    for upload_id in (before, *meanwhile, send_red(apart, recordings, f"after-{name}", lane)):
        check_paged_once_and_take_in_hand(apart, upload_id)


@pytest.mark.parametrize("name", ["kafka", "valkey"])
def test_a_part_of_the_stack_that_is_killed_comes_back_with_no_hand(apart: Apart, recordings: Path, name: str):
    killed, before = apart.child(name), send_red(apart, recordings, f"before-{name}")
    os.kill(killed, signal.SIGKILL)
    until(lambda: apart.child(name) != killed, what=f"{name} started again")
    apart.until_ready()
    for upload_id in (before, send_red(apart, recordings, f"after-{name}")):
        check_paged_once_and_take_in_hand(apart, upload_id)


def test_gateway_and_console_on_one_port_are_served_as_web(apart: Apart, recordings: Path):
    apart.serve("web")
    apart.until_ready()
    url = f"http://127.0.0.1:{apart.port_of['web-0']}"
    content = (recordings / "vendor/muse/synthetic_muse.xml").read_bytes()
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {apart.client['clinic_token']}"}, timeout=15) as clinic:
        told = clinic.post("/v1/ecgs", files={"files": content}, data={"patient": "web"})
        assert told.status_code == 202
        until(lambda: clinic.get(f"/v1/uploads/{told.json()['upload_id']}").json()["assessment"])


def test_an_acknowledgement_and_an_assessment_handled_by_two_processes_at_once_are_both_kept(apart: Apart, recordings: Path):
    """Both are in the case's timeline. Who acknowledged what was not red yet has not silenced the red: it is paged for until somebody takes it."""
    apart.serve("cases", instance="1")
    apart.until_ready()
    bad, good = recordings / "vendor/philips-1.03/129ECORG.XML", recordings / "vendor/philips-1.03/129DYNRG.XML"
    cases = [apart.case_of(str(apart.send(bad, patient=f"both-{number}")["upload_id"])) for number in range(PATIENTS)]
    handled = [apart.handled(f"cases-{instance}") for instance in "01"]

    def both(number: int) -> tuple[str, httpx.Response]:
        repeat = apart.send(good, patient=f"both-{number}", age="61", sex="M")
        time.sleep(number * APART_S)  # the acknowledgement comes before, with and after the assessment
        return str(repeat["upload_id"]), until(lambda: pressed(apart, cases[number]), what="an answer to the acknowledgement")

    with ThreadPoolExecutor(PATIENTS) as at_once:
        done = list(at_once.map(both, range(PATIENTS)))
    for case_id, (repeat, answer) in zip(cases, done, strict=True):
        assert apart.assessed(repeat)["priority"] == "red"
        assert apart.case_of(repeat) == case_id
        until(lambda case_id=case_id: apart.case(case_id)["priority"] == "red")
        check_both_kept(apart, case_id, answer)
    assert all(apart.handled(f"cases-{instance}") > before for instance, before in zip("01", handled, strict=True)), (
        "one of the two had nothing to do"
    )


def pressed(apart: Apart, case_id: str) -> httpx.Response | None:
    """Press once; None where nothing was asked of the case, and the answer is to press again."""
    answer = apart.acknowledge(case_id)
    return answer if "command_id" in answer.json() else None


def check_both_kept(apart: Apart, case_id: str, answer: httpx.Response) -> None:
    entries = {entry["sequence"]: entry for entry in apart.case(case_id)["timeline"] if entry["topic"] == "cases.v1"}
    assert sorted(entries) == list(range(1, len(entries) + 1))
    kinds = Counter(entry["type"] for entry in entries.values())
    assert (kinds["CaseOpened"], kinds["CaseRaised"], kinds["UploadAssessed"]) == (1, 1, 2), kinds
    (heard,) = [entry for entry in entries.values() if entry["causation_id"] == answer.json()["command_id"]]
    assert answer.status_code in {"Acknowledged": (200, 202), "CommandRefused": (409, 202)}[heard["type"]]  # 202: on its way, while one joins
    (raised,) = [entry for entry in entries.values() if entry["type"] == "CaseRaised"]
    if heard["type"] == "Acknowledged" and heard["sequence"] > raised["sequence"]:
        assert apart.case(case_id)["phase"] == "acknowledged"
        return
    assert apart.case(case_id)["phase"] == "opened"
    until(lambda: [page for page in apart.pages(case_id) if page["round"] > 1 and page["text"].startswith("RED")], what="a page for the red")
    assert apart.acknowledge(case_id).status_code == 200
