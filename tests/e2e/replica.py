"""A second replica of a service beside a running centre: `greenchannel serve NAME` with an instance of its own, until it is killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.e2e.centre import Centre, until

LISTENS_WITHIN_S = 60.0


class Replica:
    def __init__(self, centre: Centre, name: str, *, instance: str, log: Path) -> None:
        """Start it; it finds the centre's Kafka, Valkey and files by its environment."""
        data = centre.data
        ports = json.loads((data / "ports.json").read_text())
        settings = {
            "KAFKA": centre.kafka,
            "REDIS": f"redis://127.0.0.1:{ports['Redis']}/0",
            "BLOBS": (data / "blobs").as_uri(),
            "PATIENT_KEY_SECRET": str(data / "patient-key.secret"),
            "PAGER": str(data / "pager.jsonl"),
            "LINK": centre.client["url"],
            "INSTANCE": instance,
            "PORT": "0",
        }
        environment = os.environ | {f"GREENCHANNEL_{key}": value for key, value in settings.items()}
        command = [sys.executable, "-m", "services.program", "serve", name]
        self._log = log
        begun = log.stat().st_size if log.exists() else 0
        with log.open("ab") as words:
            self._process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=words, stderr=words)
        self._said_from = begun

    def until_it_listens(self) -> None:
        until(self._listens, within_s=LISTENS_WITHIN_S, what="the replica listens")

    def _listens(self) -> bool:
        said = self._log.read_bytes()[self._said_from :]
        assert self._process.poll() is None, said[-2000:].decode(errors="replace")
        return b"listens on port" in said

    def kill(self) -> bool:
        """kill -9; return whether it still ran until then."""
        ran = self._process.poll() is None
        self._process.kill()
        self._process.wait(timeout=30)
        return ran
