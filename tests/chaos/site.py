"""The centre that the run is done to: its folder, its small disks, its people and their tokens, its processes by name."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import httpx
import psutil

from tests.chaos.disks import SmallDisk
from tests.conftest import ROOT
from tests.e2e.centre import Centre, until
from tests.e2e.replica import Replica

PEOPLE = ("demo-cardiologist", "second-cardiologist", "third-cardiologist", "coordinator")
DISK_MIB = {"blobs": (32, 0.25), "kafka": (128, 0.08), "pager": (2, 0.01)}  # at first, and for each upload
COMES_WITHIN_S = 60.0
TOKEN_WITHIN_S = 60.0

DIRECTORY = """\
version: chaos-1
timezone: Asia/Shanghai
centres:
  demo-centre:
    name: Example Chest Pain Centre
    network: demo
    standing_number: 555-0100
    standing_alarm: local
    capabilities: [pci]
    policy: red
clinics:
  demo-clinic:
    name: Example Township Clinic
    network: demo
    travel_min: {{demo-centre: 40}}
people:
{people}
policies:
  red:
    steps:
      - page: [person:demo-cardiologist, person:second-cardiologist]
        wait_s: 30
      - page: [person:third-cardiologist]
        wait_s: 30
      - page: [person:coordinator]
        wait_s: 30
"""
PERSON = """\
  {person}:
    name: Example {person}
    methods:
      {methods}
"""
APP, LOCAL = 'app: {{address: "json://127.0.0.1:{port}/{person}/{{notice_id}}", rings: true}}', "local: {address: local, rings: true}"
LOCAL_FIRST = {"second-cardiologist"}  # who is paged beside one whose first method is the provider's: both carriers are always in use


class Site(Centre):
    """Under `greenchannel up`, with a folder that the run makes."""

    def __init__(self, folder: Path, *, provider_port: int, uploads: int) -> None:
        super().__init__(folder)
        self.disks: dict[str, SmallDisk] = {}
        self.tokens: dict[str, str] = {}
        self.journal, self.provider = folder / "journal.jsonl", folder / "provider.jsonl"
        self.data.mkdir()
        (self.data / "GREENCHANNEL_DATA").touch()  # or `up` would not take a folder that holds something
        people = "".join(_person(person, provider_port) for person in PEOPLE).rstrip()
        (self.data / "directory.yaml").write_text(DIRECTORY.format(people=people))
        self._mount(uploads)

    def _mount(self, uploads: int) -> None:
        where = {"blobs": self.data / "blobs", "kafka": self.data / "kafka", "pager": self.folder / "pager"}
        with suppress(PermissionError):  # then no disk can be filled: who draws the faults sees that there are none
            for name, (first_mib, each_mib) in DISK_MIB.items():
                self.disks[name] = SmallDisk(where[name], round(first_mib + uploads * each_mib))
            (where["blobs"] / ".greenchannel-blobs").touch()  # a folder that somebody mounts is a store by this file only
            (self.data / "pager.jsonl").symlink_to(where["pager"] / "pager.jsonl")

    def give_tokens(self) -> None:
        for person in PEOPLE:
            command = [sys.executable, "-m", "services.program", "access", "add", "--person", person, "--role", "clinician", "--json"]
            told = subprocess.run([*command, "--data", str(self.data)], cwd=ROOT, capture_output=True, text=True, check=True, timeout=TOKEN_WITHIN_S)
            self.tokens[person] = json.loads(told.stdout)["token"]

    def parent(self) -> psutil.Process:
        assert self.program is not None
        return psutil.Process(self.program.pid)

    def running(self, name: str) -> psutil.Process:
        """Return a child by its name, once it runs: one that is this program's own, and not dead yet."""
        found = until(lambda: self._of(name), within_s=COMES_WITHIN_S, what=f"{name} runs")
        assert found is not None
        return found

    def _of(self, name: str) -> psutil.Process | None:
        try:
            pid, ticks = self._children()[name]
            child = psutil.Process(pid)
            own = child.ppid() == self.parent().pid and child.status() != psutil.STATUS_ZOMBIE
        except (KeyError, psutil.NoSuchProcess):
            return None
        return child if own and ticks else None

    def kill(self, names: Sequence[str]) -> int:
        """kill -9 of several at once; return how many were. One of which another fault was faster is not among them."""
        killed = 0
        for child in [self.running(name) for name in names]:
            with suppress(psutil.NoSuchProcess):
                child.kill()
                killed += 1
        return killed

    def replica(self, name: str) -> Replica:
        return Replica(self, name, instance="2", log=self.folder / f"second-{name}.txt")

    def until_ready(self, within_s: float) -> None:
        until(self.is_ready, within_s=within_s, what="all services ready")

    def valkey_port(self) -> int:
        return int(json.loads((self.data / "ports.json").read_text())["Redis"])

    def line(self, token: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.client["url"], headers={"Authorization": f"Bearer {token}"}, timeout=10)

    def end(self) -> None:
        """Stop the program in whatever state it is."""
        if self.program is None or self.program.poll() is not None:
            return
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.resume()
        self.program.send_signal(signal.SIGTERM)
        try:
            self.program.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(self.program.pid, signal.SIGKILL)
            self.program.wait(timeout=30)
        time.sleep(0.5)  # its children die with it

    def give_back(self, *, keep: bool) -> None:
        """Unmount the disks; with keep, what lay on them lies in their folders."""
        for disk in self.disks.values():
            disk.give_back(keep=keep)


def _person(person: str, provider_port: int) -> str:
    methods = [APP.format(port=provider_port, person=person), LOCAL]
    return PERSON.format(person=person, methods="\n      ".join(reversed(methods) if person in LOCAL_FIRST else methods))
