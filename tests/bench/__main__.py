"""`python -m tests.bench`: the figures of the whole, each beside what is aimed at. It judges nothing: it exits 1 only where something was lost."""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from tests.bench.campaign import campaign
from tests.bench.figures import Figure, Lost, as_line, show, tell_shortfalls
from tests.bench.latency import latency
from tests.bench.memory import memory
from tests.bench.reading import reading
from tests.bench.simulation import simulation
from tests.bench.start import start
from tests.bench.state import state
from tests.bench.takeover import takeover
from tests.e2e.centre import Centre, running

WIDTH = 140  # where no terminal says how wide it is

talk = Console(stderr=True, highlight=False)

Part = Callable[[Path, argparse.Namespace], list[Figure]]


@contextmanager
def _ready(folder: Path) -> Iterator[Centre]:
    yield from running(folder)


def _start(folder: Path, _: argparse.Namespace) -> list[Figure]:
    return start(folder)


def _memory(folder: Path, _: argparse.Namespace) -> list[Figure]:
    with _ready(folder) as centre:
        return asyncio.run(memory(centre))


def _latency(folder: Path, asked: argparse.Namespace) -> list[Figure]:
    with _ready(folder) as centre:
        return asyncio.run(latency(centre, quick=asked.quick, profile=asked.profile))


def _campaign(folder: Path, asked: argparse.Namespace) -> list[Figure]:
    with _ready(folder) as centre:
        return asyncio.run(campaign(centre, quick=asked.quick))


def _takeover(folder: Path, asked: argparse.Namespace) -> list[Figure]:
    with _ready(folder) as centre:
        return asyncio.run(takeover(centre, quick=asked.quick))


def _reading(_: Path, asked: argparse.Namespace) -> list[Figure]:
    return reading(quick=asked.quick)


def _simulation(_: Path, asked: argparse.Namespace) -> list[Figure]:
    return simulation(quick=asked.quick)


def _state(folder: Path, asked: argparse.Namespace) -> list[Figure]:
    return asyncio.run(state(folder, quick=asked.quick))


PARTS: dict[str, Part] = {
    "reading": _reading,
    "state": _state,
    "simulation": _simulation,
    "start": _start,
    "memory": _memory,
    "latency": _latency,
    "campaign": _campaign,
    "takeover": _takeover,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="this part only; may be given several times")
    parser.add_argument("--quick", action="store_true", help="fewer uploads: minutes, and a p99 that says little")
    parser.add_argument("--profile", action="store_true", help="with latency: what each hop took")
    parser.add_argument("--json", action="store_true", help="a JSON line a figure on stdout, no table")
    asked = parser.parse_args()
    talk.print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.2f} before it begins; figures of a busy machine say little")
    out, figures, lost = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH), list[Figure](), False
    for name in asked.only or PARTS:
        talk.print(f"measuring: {name}", style="dim")
        with tempfile.TemporaryDirectory(prefix="greenchannel-bench-", ignore_cleanup_errors=True) as folder:
            try:
                found = PARTS[name](Path(folder), asked)
            except (Lost, AssertionError) as error:  # the centre that the end-to-end tests share says by AssertionError what did not happen in time
                talk.print(f"{name}: {error}", style="bold red", markup=False)
                lost = True
                continue
        figures += found
        if asked.json:
            for figure in found:
                print(as_line(figure), flush=True)
        else:
            show(found, out)
    tell_shortfalls(figures, talk if asked.json else out)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
