"""`python -m tests.chaos`: real processes, real Kafka and Valkey, killed and stopped while uploads flow; exits 0 only if nothing was lost."""

import argparse
import asyncio
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.chaos.report import as_line, show
from tests.chaos.run import Asked, run

WIDTH = 140  # where no terminal says how wide it is
EXAMPLES = """\
examples:
  python -m tests.chaos --uploads 2000 --kills 60     about a quarter of an hour
  python -m tests.chaos --uploads 20 --kills 4        every kind of fault once, two or three minutes
  python -m tests.chaos --seed 7 --json               the faults and patients of that seed; one JSON document on stdout
"""

talk = Console(stderr=True, highlight=False)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--uploads", type=int, default=200, help="recordings that are sent while the faults are done (200)")
    parser.add_argument("--kills", type=int, default=12, help="at least so many kill -9 (12); every kind of fault is done at least once")
    parser.add_argument("--seed", type=int, default=None, help="draws faults, patients and people; without it a new one, which is printed")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, no tables")
    return parser.parse_args()


def main() -> int:
    given = _asked()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended from outside too, it stops the centre and gives back its disks
    asked = Asked(given.uploads, given.kills, random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed)
    folder = Path(tempfile.mkdtemp(prefix="greenchannel-chaos-"))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=talk) as bar:
            outcome = asyncio.run(run(asked, folder, bar, talk.print))
    except BaseException:
        talk.print(f"the run broke off; all of it is in {folder}", style="bold red", markup=False, soft_wrap=True)
        raise
    if given.json:
        print(as_line(asked, outcome), flush=True)
    else:
        show(outcome, Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH))
    if outcome.holds:
        shutil.rmtree(folder)
        return 0
    talk.print(f"all of it is in {folder}", style="bold red", markup=False, soft_wrap=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
