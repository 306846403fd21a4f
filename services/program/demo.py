"""The main job, watched: three example patients go from a clinic to a person, every step with its time.

It starts `greenchannel up` as a user would and speaks to it over HTTP, as a clinic and as the cardiologist on call."""

import asyncio
import itertools
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from services.edge.recordings import recording_of
from services.edge.uploader import Accepted, Facts, NotSent, connected, upload
from services.program import show
from services.program.judging import synthetic
from services.program.server import Refused, Server, asks_proxy, find_server
from services.program.typed import typed

READY_WITHIN_S = 600.0  # the first start downloads
DONE_WITHIN_S = 60.0
LOOK_EVERY_S = 0.1
STAGES = ("accepted", "assessed", "case opened", "paged", "handed over", "acknowledged", "clinic told")
STAGE_OF = {
    "EcgUploaded": "accepted",
    "Assessed": "assessed",
    "CaseOpened": "case opened",
    "PageRequested": "paged",
    "NoticeReported": "handed over",
    "Acknowledged": "acknowledged",
    "ClinicAnswered": "clinic told",
    "RepeatAsked": "clinic told",
}


@dataclass
class Patient:
    """One of the three: what is sent, what must come of it, and what has come so far."""

    title: str
    content: bytes
    expected: str
    must_pass: frozenset[str]
    must_not_pass: frozenset[str] = frozenset()
    acknowledged: bool = False
    upload_id: str = ""
    state: dict[str, Any] = field(default_factory=dict)
    case: dict[str, Any] | None = None

    @property
    def timeline(self) -> list[dict[str, Any]]:
        """Every entry that is known, of the upload and of its case, once each and in the order of their times."""
        entries = [*self.state.get("timeline", ()), *(self.case or {}).get("timeline", ())]
        return sorted({entry["event_id"]: entry for entry in entries}.values(), key=lambda entry: str(entry["at"]))

    @property
    def priority(self) -> str | None:
        assessment = self.state.get("assessment")
        return assessment["priority"] if assessment else None

    def passed(self) -> dict[str, datetime]:
        """Return the stages that it has passed and when: the first time, where there were several."""
        found: dict[str, datetime] = {}
        for entry in self.timeline:
            if stage := STAGE_OF.get(entry["type"]):
                found.setdefault(stage, datetime.fromisoformat(entry["at"]))
        return found

    def wrong(self) -> str:
        """Return what is not as it must be by now, "" where all is."""
        passed = self.passed().keys()
        if self.priority != self.expected:
            return f"judged {self.priority or 'not yet'}, must be {self.expected}"
        if missing := [stage for stage in STAGES if stage in self.must_pass - passed]:
            return f"not yet: {', '.join(missing)}"
        return f"must not be: {', '.join(sorted(self.must_not_pass & passed))}" if self.must_not_pass & passed else ""


def demo(data: Path, *, once: bool, talk: Console) -> int:
    """Run the main job; return 0 where all three came out right, else 1. Without `once` it stays up until Ctrl-C."""
    with _running(data, talk):
        patients = _patients()
        clinic, person = Server(find_server(data, "clinic")), Server(find_server(data, "person"))
        try:
            asyncio.run(_send(data, patients))
            with Live(console=show.out, refresh_per_second=10) as live:
                _watch(patients, clinic, person, live)
        finally:
            clinic.close()
            person.close()
        _tell(patients)
        if not once:
            _say_how_to_go_on(talk, data)
            _wait_for_ctrl_c()
    return 0 if not any(patient.wrong() for patient in patients) else 1


def _patients() -> list[Patient]:
    seed = secrets.randbelow(2**31)  # other patients each time: the same recording would be the same upload, and nothing new
    now = datetime.now(UTC)
    anterior, normal = (synthetic(pattern, st_mv=None, seed=seed, age_y=61, sex="M", made_at=now) for pattern in ("anterior", "normal"))
    to_a_person = frozenset({"accepted", "assessed", "case opened", "paged", "handed over", "clinic told"})
    answered = frozenset({"accepted", "assessed", "clinic told"})
    return [
        Patient("anterior STEMI", anterior, "red", to_a_person | {"acknowledged"}),
        Patient("normal", normal, "green", answered, must_not_pass=frozenset({"case opened", "paged"})),
        Patient("unreadable file", b"this is no ECG " + secrets.token_bytes(64), "not_evaluable", to_a_person),
    ]


@contextmanager
def _running(data: Path, talk: Console) -> Iterator[None]:
    """Start `greenchannel up` and stop it at the end; what it says goes to the terminal until it is ready, its pages all the time."""
    client = data / "client.toml"
    started_before = client.stat().st_mtime if client.exists() else 0.0
    command = [sys.executable, "-m", "services.program", "up", "--data", str(data)]
    # In a session of its own: Ctrl-C reaches it through us, once.
    with subprocess.Popen(command, start_new_session=True) as program:  # noqa: S603 - this program itself
        try:
            _await_ready(program, data, started_before)
            yield
        finally:
            if program.poll() is None:
                program.send_signal(signal.SIGTERM)
                talk.print("stopping what was started", style="dim")
            program.wait(timeout=60)


def _await_ready(program: subprocess.Popen[bytes], data: Path, started_before: float) -> None:
    give_up_at = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < give_up_at:
        if program.poll() is not None:
            raise Refused(f"`greenchannel up` ended with status {program.returncode}: its words are above")
        client = data / "client.toml"
        if client.exists() and client.stat().st_mtime > started_before and _ready(find_server(data, "clinic").url):
            return
        time.sleep(LOOK_EVERY_S)
    raise Refused(f"`greenchannel up` was not ready in {READY_WITHIN_S:.0f} s: see {data / 'logs'}")


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2, trust_env=asks_proxy(url)).is_success
    except httpx.TransportError:
        return False  # not yet


async def _send(data: Path, patients: Sequence[Patient]) -> None:
    """Send each recording as a clinic does; Refused where one is not accepted."""
    server = find_server(data, "clinic")
    with tempfile.TemporaryDirectory() as folder:
        async with connected(server.url, server.token) as line:
            for number, patient in enumerate(patients):
                path = Path(folder) / f"recording-{number}"
                path.write_bytes(patient.content)
                try:
                    outcome: Accepted = await upload(line, recording_of(path), Facts(clinic="demo-clinic", age_y=61, sex="M"))
                except NotSent as error:
                    raise Refused(str(error)) from None
                patient.upload_id = outcome.upload_id


def _watch(patients: Sequence[Patient], clinic: Server, person: Server, live: Live) -> None:
    """Look until all came out right or the time is up; acknowledge the red once it was handed over, as the one on call would."""
    give_up_at = time.monotonic() + DONE_WITHIN_S
    while time.monotonic() < give_up_at and any(patient.wrong() for patient in patients):
        for patient in patients:
            patient.state = clinic.upload(patient.upload_id)
            if patient.state["case"]:
                patient.case = person.case(patient.state["case"]["case_id"])
            handed_over = "handed over" in patient.passed()
            if patient.case and patient.expected == "red" and handed_over and not patient.acknowledged:
                person.command(patient.case["case_id"], "acknowledge", seen=patient.case["seen"])
                patient.acknowledged = True
        live.update(_table(patients))
        time.sleep(LOOK_EVERY_S)
    live.update(_table(patients))


def _table(patients: Sequence[Patient]) -> Table:
    table = Table(title="ms since the upload was received", title_justify="left")
    table.add_column("stage")
    for patient in patients:
        table.add_column(patient.title, justify="right")
    table.add_row("verdict", *(show.priority(patient.priority) for patient in patients))
    for stage in STAGES:
        table.add_row(stage, *(_ms(patient.passed(), stage, wanted=stage in patient.must_pass) for patient in patients))
    return table


def _ms(passed: dict[str, datetime], stage: str, *, wanted: bool) -> Text:
    if stage not in passed or STAGES[0] not in passed:
        return Text("..." if wanted else "-", style="dim")
    return Text(f"{(passed[stage] - passed[STAGES[0]]) / timedelta(milliseconds=1):.0f}")


def _tell(patients: Sequence[Patient]) -> None:
    for patient in patients:
        show.out.print()
        show.out.print(Text(f"{patient.title}: ", style="bold"), show.priority(patient.priority), Text(f" upload {patient.upload_id}", style="dim"))
        show.timeline(patient.timeline)
        if wrong := patient.wrong():
            show.out.print(f"[bold red]wrong[/] {show.plain(wrong)}")
    right = sum(not patient.wrong() for patient in patients)
    show.out.print(f"\n{right} of {len(patients)} came out right", style="bold green" if right == len(patients) else "bold red")


def _say_how_to_go_on(talk: Console, data: Path) -> None:
    commands = (typed("upload", "FILE", "--clinic", "demo-clinic", "--age", "61", "--sex", "M", data=data), typed("case", "list", data=data))
    talk.print("\nIt stays up. In another terminal, in this folder, with a recording of your own:", highlight=False)
    for command in (*commands, typed("case", "ack", "CASE", data=data)):
        talk.print(f"  {show.plain(command)}", highlight=False, soft_wrap=True)
    talk.print("The unreadable file goes on paging until it is acknowledged. Ctrl-C stops all.", highlight=False)


def _wait_for_ctrl_c() -> None:
    try:
        for _ in itertools.repeat(None):
            signal.pause()
    except KeyboardInterrupt:
        return
