"""How a run is told: the faults that were done, what the checker counted, and the last line; or one JSON document."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from tests.chaos.journal import Entry, Fault
from tests.chaos.run import Asked, Outcome

SHOWN_OF_EACH = 5


def show(outcome: Outcome, console: Console) -> None:
    """Print two tables, what was found where something was, and the last line."""
    console.print(_faults(outcome.journal))
    console.print(_counts(outcome))
    for finding in outcome.verdict.findings:
        for each in finding.found[:SHOWN_OF_EACH]:
            console.print(f"{finding.name}: {each}", style="red", markup=False, soft_wrap=True)
        if len(finding.found) > SHOWN_OF_EACH:
            console.print(f"{finding.name}: and {len(finding.found) - SHOWN_OF_EACH} more", style="red")
    for trouble in outcome.troubles:
        console.print(f"the run itself: {trouble}", style="red", markup=False, soft_wrap=True)
    for each in outcome.skipped:
        console.print(f"left out: {each}", style="yellow", markup=False)
    console.print(f"rebuilt from the log: {outcome.rebuilt.words}", style="dim", markup=False, soft_wrap=True)
    console.print(last_line(outcome), style="bold green" if outcome.holds else "bold red", markup=False, soft_wrap=True)


def last_line(outcome: Outcome) -> str:
    """Return all of it in one line."""
    rebuilt = "rebuilt from the log: equal" if outcome.rebuilt.equal else "REBUILT FROM THE LOG: NOT EQUAL"
    troubles = f"; {len(outcome.troubles)} TROUBLES OF THE RUN" if outcome.troubles else ""
    return f"{outcome.verdict.last_line}; {rebuilt}{troubles}"


def as_line(asked: Asked, outcome: Outcome) -> str:
    """Return the whole result as a line of JSON."""
    told = asdict(asked) | {"holds": outcome.holds, "took_s": round(outcome.took_s, 1), "last_line": last_line(outcome)}
    told |= {name: value for name, value in asdict(outcome.verdict).items() if name != "findings"}
    told["findings"] = {finding.name: list(finding.found) for finding in outcome.verdict.findings}
    told["faults"] = [entry.model_dump(mode="json", exclude={"kind"}) for entry in _done(outcome.journal)]
    told |= {"rebuilt_equal": outcome.rebuilt.equal, "troubles": list(outcome.troubles), "skipped": list(outcome.skipped)}
    return json.dumps(told, ensure_ascii=False)


def _done(journal: Sequence[Entry]) -> list[Fault]:
    return [entry for entry in journal if isinstance(entry, Fault) and entry.lasted_s is not None]


def _faults(journal: Sequence[Entry]) -> Table:
    table = Table(title="faults done", title_justify="left")
    for name in ("fault", "of", "times", "kills"):
        table.add_column(name, justify="right" if name in {"times", "kills"} else "left")
    times, kills = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for fault in _done(journal):
        for target in fault.target.split(", "):
            times[fault.name, target] += 1
            kills[fault.name, target] += 1 if fault.kills else 0
    for (name, target), count in sorted(times.items()):
        table.add_row(name, target, str(count), str(kills[name, target] or ""))
    table.add_section()
    table.add_row("all", "", str(len(_done(journal))), str(sum(fault.kills for fault in _done(journal))))
    return table


def _counts(outcome: Outcome) -> Table:
    verdict = outcome.verdict
    table = Table(title="what the checker found", title_justify="left")
    table.add_column("")
    table.add_column("count", justify="right")
    for name, count in (
        ("uploads accepted", verdict.uploads),
        ("cases opened", verdict.cases),
        ("pages asked for", verdict.pages),
        ("commands accepted", verdict.commands),
        ("records that lie twice, by one id", verdict.repeated_records),
        ("notices that rang twice, by one id", verdict.rung_again),
    ):
        table.add_row(name, f"{count:,}")
    table.add_section()
    for finding in verdict.findings:
        table.add_row(finding.name, str(len(finding.found)), style="bold red" if finding.found else None)
    table.add_section()
    table.add_row("longest silence of a case in nobody's hand", f"{verdict.longest_silence_s:.0f} s")
    table.add_row("of it, while every service was ready", f"{verdict.longest_silence_while_ready_s:.0f} s")
    return table
