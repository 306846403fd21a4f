"""What reading a recording takes of one core: samples to assessment beside a neurokit2 pipeline, and decoding beside the library alone."""

import json
import os
import subprocess
import sys

from tests.bench.figures import Figure, Lost
from tests.conftest import ROOT

ROUNDS, ROUNDS_QUICK = 40, 10
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")  # heeded only before numpy is loaded


def reading(*, quick: bool) -> list[Figure]:
    """Measure in a process of one thread. Raises Lost."""
    command = [sys.executable, "-m", "tests.bench.one_core", str(ROUNDS_QUICK if quick else ROUNDS)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | ONE_THREAD, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Lost(done.stderr.strip().splitlines()[-1])
    found = (json.loads(line) for line in done.stdout.splitlines())
    return [Figure(**{name: value for name, value in each.items() if name != "holds"}) for each in found]
