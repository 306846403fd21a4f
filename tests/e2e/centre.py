"""A whole centre as its users have it: `greenchannel up` in a process of its own, spoken to over HTTP and through its files."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from tests.conftest import ROOT

READY_WITHIN_S = 120
SOON_S = 30

Found = TypeVar("Found")


def until(look: Callable[[], Found], *, within_s: float = SOON_S, what: str = "") -> Found:
    """Return what look returns once it is true; the only waiting there is for what happens in other processes."""
    give_up_at = time.monotonic() + within_s
    while not (found := look()):
        if time.monotonic() > give_up_at:
            raise AssertionError(f"not within {within_s} s: {what or look}")
        time.sleep(0.05)
    return found


class Centre:
    """One data folder, and the program that runs on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.program: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run `greenchannel up` and return when it is ready."""
        words = (self.folder / "words.txt").open("ab")
        command = [sys.executable, "-m", "services.program", "up", "--data", str(self.data)]
        self.program = subprocess.Popen(command, cwd=ROOT, stdout=words, stderr=words, start_new_session=True)
        words.close()
        until(self._is_ready, within_s=READY_WITHIN_S, what="greenchannel up ready")

    def _is_ready(self) -> bool:
        assert self.program is not None
        assert self.program.poll() is None, (self.folder / "words.txt").read_text()[-2000:]
        return (self.data / "client.toml").exists() and self.is_ready()

    def is_ready(self) -> bool:
        try:
            return all(httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=3).is_success for port in self.ports())
        except (httpx.TransportError, FileNotFoundError, ValueError):
            return False

    def ports(self) -> list[int]:
        told = json.loads((self.data / "ports.json").read_text())
        return [port for name, port in told.items() if name == "web" or name.startswith("health of ")]

    def stop(self) -> None:
        if self.program is not None:
            self.program.send_signal(signal.SIGTERM)
            self.program.wait(timeout=60)
            self.program = None

    def kill_everything(self) -> None:
        """kill -9 of the whole program, every process of it."""
        assert self.program is not None
        for process in self.processes():
            process.kill()
        self.program.wait(timeout=30)
        self.program = None

    def processes(self) -> list[psutil.Process]:
        assert self.program is not None
        parent = psutil.Process(self.program.pid)
        return [parent, *parent.children(recursive=True)]

    def child(self, name: str) -> int:
        """Return the pid of a child by its name."""
        pids: dict[str, list[int]] = json.loads((self.data / "children.json").read_text())["children"]
        return pids[name][0]

    @property
    def client(self) -> dict[str, str]:
        return tomllib.loads((self.data / "client.toml").read_text())

    def clinic(self) -> httpx.Client:
        return httpx.Client(base_url=self.client["url"], headers={"Authorization": f"Bearer {self.client['clinic_token']}"}, timeout=15)

    def person(self) -> httpx.Client:
        return httpx.Client(base_url=self.client["url"], headers={"Authorization": f"Bearer {self.client['person_token']}"}, timeout=15)

    def send(self, *files: Path, **facts: str) -> dict[str, Any]:
        """Send one recording as a clinic does and return its 202."""
        with self.clinic() as clinic:
            answer = clinic.post("/v1/ecgs", files=[("files", (path.name, path.read_bytes())) for path in files], data=facts)
        assert answer.status_code == 202, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def upload(self, upload_id: str) -> dict[str, Any]:
        with self.clinic() as clinic:
            answer = clinic.get(f"/v1/uploads/{upload_id}")
        told: dict[str, Any] = answer.json() if answer.is_success else {"state": "unknown", "case": None, "assessment": None, "messages": []}
        return told

    def case(self, case_id: str) -> dict[str, Any]:
        with self.person() as person:
            answer = person.get(f"/v1/cases/{case_id}")
        assert answer.is_success, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def acknowledge(self, case_id: str) -> httpx.Response:
        with self.person() as person:
            return person.post(f"/v1/cases/{case_id}/commands", params={"wait": 5}, json={"command": "acknowledge"})

    def assessed(self, upload_id: str, *, within_s: float = SOON_S) -> dict[str, Any]:
        """Return the assessment of an upload, once there is one."""
        found: dict[str, Any] = until(lambda: self.upload(upload_id)["assessment"], within_s=within_s, what=f"assessment of {upload_id}")
        return found

    def case_of(self, upload_id: str, *, within_s: float = SOON_S) -> str:
        found: dict[str, Any] = until(lambda: self.upload(upload_id)["case"], within_s=within_s, what=f"case of {upload_id}")
        return str(found["case_id"])

    def answered(self, upload_id: str) -> list[dict[str, Any]]:
        """Return what the clinic was told of an upload, once it was told something."""
        found: list[dict[str, Any]] = until(lambda: self.upload(upload_id)["messages"], what=f"an answer to {upload_id}")
        return found

    def pages(self, case_id: str | None = None) -> list[dict[str, Any]]:
        path = self.data / "pager.jsonl"
        lines = path.read_bytes().splitlines() if path.exists() else []
        pages = [json.loads(line) for line in lines]
        return [page for page in pages if case_id in {None, page["case_id"]}]

    def paged(self, case_id: str, *, within_s: float = SOON_S) -> list[dict[str, Any]]:
        return until(lambda: self.pages(case_id), within_s=within_s, what=f"a page for {case_id}")


def running(folder: Path) -> Iterator[Centre]:
    """Give a centre that is ready, and stop it in the end however the test left it."""
    centre = Centre(folder)
    try:
        centre.start()
        yield centre
    finally:
        if centre.program is not None:
            if centre.program.poll() is None:
                centre.program.send_signal(signal.SIGTERM)
            try:
                centre.program.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(centre.program.pid, signal.SIGKILL)
