"""The processes of a centre by name, and what each has used of memory and processor."""

import json
from pathlib import Path

import psutil

from tests.e2e.centre import Centre


def names_of(centre: Centre) -> dict[psutil.Process, str]:
    """Return every process of the centre with its name; those that are born of a service are its workers."""
    pids: dict[str, list[int]] = json.loads((centre.data / "children.json").read_text())["children"]
    name_of = {pid: name for name, (pid, _) in pids.items()}
    found: dict[psutil.Process, str] = {}
    for process in centre.processes():
        line = [process, *process.parents()]
        child = next((name_of[each.pid] for each in line if each.pid in name_of), None)
        found[process] = "up" if child is None else child if process.pid in name_of else f"{child}: workers"
    return found


def pss_mb(pid: int) -> float:
    """Return the process's PSS: of memory that several share, each has its part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


def processor_s(centre: Centre) -> dict[str, float]:
    """Return the processor time that each name has used so far, in s."""
    used: dict[str, float] = {}
    for process, name in names_of(centre).items():
        times = process.cpu_times()
        used[name] = used.get(name, 0.0) + times.user + times.system
    return used
