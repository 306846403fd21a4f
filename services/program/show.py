"""How things look in a terminal: colours and tables for people. Scripts ask for --json."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from services.runtime.harmless import harmless, one_line

STYLES = {"red": "bold white on red", "yellow": "black on yellow", "green": "black on green", "not_evaluable": "bold white on magenta"}
WORDS = {"red": " RED ", "yellow": " YELLOW ", "green": " GREEN ", "not_evaluable": " CANNOT BE JUDGED "}

out = Console()


def plain(text: object) -> str:
    """Return text that rich prints as it is, and that does nothing to the terminal."""
    return escape(harmless(str(text)))


def priority(word: str | None) -> Text:
    return Text(WORDS.get(word or "", word or "-"), style=STYLES.get(word or "", ""))


def clock(at: str | None) -> str:
    """Return an instant's time of day with milliseconds, in UTC, as it stands in the event."""
    return at[11:23].rstrip("Z") if at else "-"


def reading(told: dict[str, Any]) -> None:
    """Print a verdict with its evidence."""
    out.print(priority(told["priority"]), Text(told["file"], style="bold"))
    for finding in told["findings"]:
        title = "  ".join(plain(each) for each in (finding["title"], finding["title_zh"]) if each)
        out.print(f"  {title}  [dim]{plain(finding['rule'])} {plain(finding['version'])}; {plain(finding['source'])}[/]")
        for value in finding["values"]:
            lead = value["lead"] or ""
            form = "+.3f" if value["name"].endswith("_mv") else "g"  # only what goes up or down has a sign
            measured, threshold = (format(value[name], form) for name in ("measured", "threshold"))
            out.print(f"    {lead:<4} {measured}  threshold {threshold}  [dim]{plain(value['name'])} {plain(value['why'])}[/]", highlight=False)
    for problem in told["quality"]["problems"]:
        out.print(f"  {plain(problem['text'])}")
    if told["not_judged"]:
        out.print(f"  not judged: {plain(', '.join(each['rule'] for each in told['not_judged']))}")
    out.print(f"  [dim]{plain(_measured(told))}[/]", highlight=False)
    for statement in told["vendor_statements"]:
        out.print(f"  [dim]the cart said: {plain(statement)}[/]")


def _measured(told: dict[str, Any]) -> str:
    measured = told["measurements"]
    shown = {
        "rate": ("heart_rate_bpm", "/min"),
        "PR": ("pr_ms", "ms"),
        "QRS": ("qrs_ms", "ms"),
        "QTcB": ("qtcb_ms", "ms"),
        "axis": ("axis_deg", "deg"),
    }
    parts = [f"{name} {measured[key]:.0f} {unit}" for name, (key, unit) in shown.items() if measured[key] is not None]
    return ", ".join([*parts, f"rulebook {told['rulebook']} {told['rulebook_version']}"])


def timeline(entries: Sequence[dict[str, Any]]) -> None:
    """Print what happened, in its order: when, what, the event that says so, and its words below."""
    for entry in entries:
        line = Text(f"  {clock(entry['at'])}  {entry['type']:<16}")
        line.append(f"  {entry['event_id']}", style="dim")
        out.print(line, soft_wrap=True)
        out.print(Padding(Text(one_line(str(entry["text"]))), (0, 0, 0, 16)))
