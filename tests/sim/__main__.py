"""`python -m tests.sim`: schedules without end, or one by its seed; what they found, and which fault met which await point how often."""

import argparse
import json
import sys

from rich.console import Console
from rich.table import Table

from tests.sim.faults import POINTS, Fault
from tests.sim.many import Sum, play_many
from tests.sim.schedule import Asked, Ran, listen_to_logs, run
from tests.sim.shrinking import command, shrunk

WIDTH = 120  # where no terminal says how wide it is

talk = Console(stderr=True, highlight=False)


def _say(total: Sum, took_s: float) -> None:
    talk.print(f"{took_s:6.0f} s  {total.schedules:,} schedules, {total.steps:,} steps", style="dim")


def tell(total: Sum, took_s: float, out: Console) -> None:
    table = Table(title="how often which fault came at which await point", title_justify="left")
    table.add_column("await point")
    for fault in Fault:
        table.add_column(fault.value, justify="right")
    for point in POINTS:
        counts = [total.table[point, fault] for fault in Fault]
        table.add_row(point, *(f"{count:,}" if count else "[bold red]0[/]" for count in counts))
    out.print(table)
    zeros = sum(not total.table[point, fault] for point in POINTS for fault in Fault)
    out.print(f"{total.schedules:,} schedules, {total.steps:,} steps, {total.steps / took_s * 60:,.0f} steps a minute, {zeros} zeros in the table")


def tell_found(ran: Ran, out: Console) -> None:
    """Print what was found, smaller where it can be made so, and how to see it again."""
    listen_to_logs()
    small = shrunk(ran)
    violation = small.violation
    assert violation is not None
    for line in small.trace:
        out.print(line, markup=False, soft_wrap=True)
    out.print(f"seed {ran.asked.seed}: does not hold: {violation.invariant}", style="bold red", markup=False, soft_wrap=True)
    out.print(f"at step {violation.step}, {violation.at_s:.3f} s: {violation.told}", markup=False, soft_wrap=True)
    out.print(f"again: {command(small.asked)}", markup=False, soft_wrap=True)


def as_line(total: Sum, took_s: float) -> str:
    counts = {point: {fault.value: total.table[point, fault] for fault in Fault} for point in POINTS}
    failed = [{"seed": ran.asked.seed, "invariant": ran.violation.invariant, "told": ran.violation.told} for ran in total.failed if ran.violation]
    figures = {"schedules": total.schedules, "steps": total.steps, "steps_per_minute": round(total.steps / took_s * 60)}
    return json.dumps(figures | {"failed": failed, "table": counts})


def _one(asked: argparse.Namespace, out: Console) -> int:
    listen_to_logs()
    numbers = None if asked.uploads is None else tuple(int(number) for number in asked.uploads.split(","))
    only = None if asked.only is None else frozenset(asked.only.split(",")) - {"none"}
    ran = run(Asked(asked.seed, numbers, asked.faults_for, only))
    if ran.violation is None:
        out.print(f"seed {asked.seed}: all holds over {ran.steps} steps, trace {ran.digest:08x}")
        return 0
    tell_found(ran, out)
    return 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--minutes", type=float, help="run schedules for so long")
    parser.add_argument("--schedules", type=int, help="run so many")
    parser.add_argument("--first", type=int, default=0, help="the first of their seeds")
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--uploads", help="with --seed: these uploads alone, by number: 0,2")
    parser.add_argument("--only", help="with --seed: these faults alone, or none")
    parser.add_argument("--faults-for", type=float, help="with --seed: seconds under faults")
    parser.add_argument("--json", action="store_true", help="one JSON line on stdout")
    asked = parser.parse_args()
    out = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    if asked.seed is not None:
        return _one(asked, out)
    minutes = asked.minutes if asked.minutes or asked.schedules else 1.0
    total, took_s = play_many(asked.first, schedules=asked.schedules, minutes=minutes, say=_say)
    if asked.json:
        print(as_line(total, took_s))
    else:
        tell(total, took_s, out)
    for ran in total.failed[:1]:
        tell_found(ran, talk)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
