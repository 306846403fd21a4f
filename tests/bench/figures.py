"""What the bench measured, beside what is aimed at, and how it is told: a table for people, a JSON line a figure for programs."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

PERCENTS = (50, 99)


class Lost(Exception):
    """Something that was accepted did not come out, or a part could not run. args: what is known of it."""


@dataclass(frozen=True)
class Figure:
    part: str
    name: str
    value: float
    unit: str
    percent: int | None = None  # the percentile that it is, None: it is none
    aim: float | None = None  # at most this much; None: there is no aim, it explains the others
    note: str = ""

    @property
    def holds(self) -> bool | None:
        return None if self.aim is None else self.value <= self.aim


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent of all do not exceed (nearest rank). ValueError where there is none."""
    if not values:
        raise ValueError("no value was measured")
    return sorted(values)[max(0, math.ceil(percent / 100 * len(values)) - 1)]


def spread(part: str, name: str, values_s: Sequence[float], *, note: str = "") -> list[Figure]:
    """Return p50 and p99 of times in seconds, as figures in ms. The p99 of fewer than 100 is the largest."""
    return [Figure(part, name, percentile(values_s, percent) * 1000, "ms", percent, note=note) for percent in PERCENTS]


def as_line(figure: Figure) -> str:
    return json.dumps(asdict(figure) | {"value": round(figure.value, 3), "holds": figure.holds}, ensure_ascii=False)


def show(figures: Sequence[Figure], console: Console) -> None:
    """Print a table a part: what has percentiles in two columns, the rest in one."""
    for part in dict.fromkeys(figure.part for figure in figures):
        rows: dict[str, dict[int | None, Figure]] = {}
        for figure in figures:
            if figure.part == part:
                rows.setdefault(figure.name, {})[figure.percent] = figure
        columns: list[int | None] = [percent for percent in (None, *PERCENTS) if any(percent in row for row in rows.values())]
        table = Table(title=part, title_justify="left", show_lines=any(figure.aim for figure in figures if figure.part == part))
        table.add_column("figure")
        for percent in columns:
            table.add_column("measured" if percent is None else f"p{percent}", justify="right")
        table.add_column("note")
        for name, row in rows.items():
            table.add_row(name, *(_cell(row.get(percent)) for percent in columns), next(iter(row.values())).note)
        console.print(table)


def tell_shortfalls(figures: Sequence[Figure], console: Console) -> None:
    """Say in a sentence each which figures fall short of their aims."""
    for figure in figures:
        if figure.holds is False and figure.aim is not None:
            which = figure.name if figure.percent is None else f"{figure.name}, p{figure.percent}"
            how = f"{_number(figure.value)} {figure.unit}, aimed at {_number(figure.aim)} {figure.unit} at most"
            console.print(Text(f"Falls short: {figure.part}, {which}: {how}.", style="yellow"), soft_wrap=True)
    with_aims = [figure for figure in figures if figure.aim is not None]
    if with_aims:
        console.print(f"{sum(bool(figure.holds) for figure in with_aims)} of {len(with_aims)} aims hold.")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _cell(figure: Figure | None) -> Text:
    if figure is None:
        return Text("")
    cell = Text(f"{_number(figure.value)} {figure.unit}")
    if figure.aim is not None:
        cell.append(f"\naim <= {_number(figure.aim)} {figure.unit}\n", style="dim")
        cell.append("holds" if figure.holds else "FALLS SHORT", style="green" if figure.holds else "bold red")
    return cell
