"""How good the reading is, beside what is aimed at and beside a neurokit2 pipeline. It judges nothing: it exits 1 only where something broke."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from tests.conftest import RECORDINGS, ROOT
from tests.eval import sensitivity
from tests.eval.curve_picture import Curve
from tests.eval.figures import Figure, as_line, tables, tell_shortfalls
from tests.eval.listed import HELD, ODD
from tests.eval.parts import PARTS, joined
from tests.eval.report import write
from tests.eval.verdicts import Mistake, plot

PROCESSES = 2
WIDTH = 190  # where no terminal says how wide it is
EXAMPLES = """\
examples:
  python -m tests.eval                                    everything, in build/eval; about ten minutes on two cores
  python -m tests.eval --quick                            a sample of everything, under two minutes
  python -m tests.eval --only boundaries --only truths    these parts
  python -m tests.eval --only sensitivity --json          a JSON line a figure on stdout
  python -m tests.eval --only sensitivity --half odd      on the half that may be tuned on
"""

talk = Console(stderr=True, highlight=False)


@contextmanager
def _processes() -> Iterator[ProcessPoolExecutor]:
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # read when a process imports numpy: more threads than cores only wait
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        yield pool


def _each(pool: ProcessPoolExecutor, name: str, work: Callable[[Any], Any], bundles: Sequence[Any]) -> Iterator[Any]:
    """Yield an answer for each bundle, in their order, with a bar."""
    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=talk) as progress:
        yield from progress.track(pool.map(work, bundles), total=len(bundles), description=name)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.eval", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", choices=PARTS, action="append", metavar="PART", help=f"this part only, one of {', '.join(PARTS)}; may be given again"
    )
    parser.add_argument(
        "--half", choices=(HELD, ODD), default=HELD, help="whose normals are altered: held ones to report (default), odd ones to tune on"
    )
    parser.add_argument("--quick", action="store_true", help="a sample of everything: wide bounds")
    parser.add_argument("--json", action="store_true", help="a JSON line a figure on stdout, no table")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "eval", metavar="DIR", help="where tables, curve and plots go (build/eval)")
    return parser.parse_args()


def main() -> int:
    asked = _asked()
    if not (RECORDINGS / "MANIFEST.tsv").exists():
        talk.print("[bold red]eval:[/] the recordings are not beside this folder, at ../shared/ecg")
        return 1
    started = time.monotonic()
    figures, mistakes, curve = list[Figure](), list[Mistake](), None
    with _processes() as pool:
        for name in asked.only or PARTS:
            found, its_mistakes, its_curve = _part(pool, name, asked)
            figures += found
            mistakes += its_mistakes
            curve = its_curve or curve
        plots = list(_each(pool, "plots", plot, [mistake.made for mistake in mistakes]))
    write(asked.out, figures, zip(mistakes, plots, strict=True), curve)
    out = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    if asked.json:
        for figure in figures:
            print(as_line(figure))
    else:
        for table in tables(figures):
            out.print(table)
        for mistake in mistakes:
            if mistake.part != sensitivity.PART:  # of those there are hundreds; the page has them all
                out.print(Text(f"{mistake.part}: {mistake.made.name}: {mistake.said}; wanted: {mistake.wanted}"), soft_wrap=True)
    tell_shortfalls(figures, talk if asked.json else out)
    talk.print(f"{len(mistakes)} mistakes, each with its plot: {asked.out / 'index.html'} ({time.monotonic() - started:.0f} s)", soft_wrap=True)
    return 0


def _part(pool: ProcessPoolExecutor, name: str, asked: argparse.Namespace) -> tuple[list[Figure], list[Mistake], Curve | None]:
    part = PARTS[name]
    found = joined(_each(pool, name, part.judge, part.plan(asked.quick, asked.half)))
    return list(part.figures(found)), part.mistakes(found), None if part.curve is None else part.curve(found)


if __name__ == "__main__":
    sys.exit(main())
