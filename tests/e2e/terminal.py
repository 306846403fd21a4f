"""The program as it is typed."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


def greenchannel(*words: str, data: Path | None = None, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what it said."""
    command = [sys.executable, "-m", "services.program", *words, *(["--data", str(data)] if data else [])]
    environment = os.environ | {"COLUMNS": "200", "PYTHONWARNINGS": "default"}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=timeout_s, check=False)
