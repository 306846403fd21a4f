"""What the evaluation found, beside what is aimed at: counts with their bounds, and how they are told in a table, in Markdown and in JSON."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from rich.text import Text

_Z_95 = 1.959964
OURS, THEIRS = "greenchannel", "neurokit2"


def wilson(count: int, of: int) -> tuple[float, float]:
    """Return Wilson's 95 % bounds of a share, each 0 to 1. ValueError where there is nothing to take a share of."""
    if not 0 <= count <= of or of == 0:
        raise ValueError(f"{count} of {of} is no share")
    share, z2 = count / of, _Z_95**2
    middle = share + z2 / (2 * of)
    half = _Z_95 * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max(0.0, (middle - half) / (1 + z2 / of)), min(1.0, (middle + half) / (1 + z2 / of))


@dataclass(frozen=True)
class Share:
    """So many of so many; `beside` counts what else became of them."""

    count: int
    of: int
    beside: Mapping[str, int] = field(default_factory=dict)

    @property
    def value(self) -> float:
        return self.count / self.of

    def __str__(self) -> str:
        low, high = wilson(self.count, self.of)
        said = f"{self.count}/{self.of} = {100 * self.value:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
        return ", ".join([said, *(f"{count} {name}" for name, count in self.beside.items() if count)])

    def as_json(self) -> dict[str, object]:
        low, high = wilson(self.count, self.of)
        return {"count": self.count, "of": self.of, "share": round(self.value, 5), "low": round(low, 5), "high": round(high, 5), **self.beside}


@dataclass(frozen=True)
class Number:
    """A measured number with its unit, over so many recordings. An SD has no sign."""

    value: float
    unit: str
    of: int
    is_sd: bool = False

    def __str__(self) -> str:
        sign, digits = "" if self.is_sd else "+", 1 if self.unit == "ms" else 4
        return f"{self.value:{sign}.{digits}f} {self.unit} (n {self.of})"

    def as_json(self) -> dict[str, object]:
        return {"value": round(self.value, 5), "unit": self.unit, "of": self.of}


@dataclass(frozen=True)
class Aim:
    """What is aimed at, in the figure's own unit (a share is 0 to 1); None: no bound on that side."""

    at_least: float | None = None
    at_most: float | None = None

    def holds(self, value: float) -> bool:
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def of_share(self) -> str:
        if self.at_least is not None:
            return "all" if self.at_least == 1 else f">= {100 * self.at_least:g} %"
        return "none" if not self.at_most else f"<= {100 * self.at_most:g} %"

    def of_number(self) -> str:
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least:+g} to {self.at_most:+g}"
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"


@dataclass(frozen=True)
class Figure:
    """One line of the table. `half` says of which records: odd ones may be tuned on, held ones may not. `theirs` is None where it was not tried."""

    part: str
    what: str
    half: str
    ours: Share | Number
    theirs: Share | Number | None = None
    aim: Aim | None = None

    @property
    def holds(self) -> bool | None:
        return None if self.aim is None else self.aim.holds(self.ours.value)

    @property
    def aim_text(self) -> str:
        if self.aim is None:
            return ""
        return self.aim.of_share() if isinstance(self.ours, Share) else self.aim.of_number()

    def as_json(self) -> dict[str, object]:
        theirs = None if self.theirs is None else self.theirs.as_json()
        return {
            "part": self.part,
            "what": self.what,
            "half": self.half,
            OURS: self.ours.as_json(),
            THEIRS: theirs,
            "aim": self.aim_text or None,
            "holds": self.holds,
        }


_HEAD = ("what", "half", OURS, THEIRS, "aim", "")


def _cells(figure: Figure) -> tuple[str, str, str, str, str, str]:
    verdict = {None: "", True: "holds", False: "FALLS SHORT"}[figure.holds]
    return figure.what, figure.half, str(figure.ours), str(figure.theirs or ""), figure.aim_text, verdict


def tables(figures: Sequence[Figure]) -> Iterator[Table]:
    """Yield a table a part, for a terminal."""
    for part in dict.fromkeys(figure.part for figure in figures):
        table = Table(*_HEAD, title=part, title_justify="left")
        for figure in figures:
            if figure.part == part:
                style = {None: "", True: "green", False: "bold red"}[figure.holds]
                *cells, verdict = _cells(figure)
                table.add_row(*map(Text, cells), Text(verdict, style=style))
        yield table


def markdown(figures: Sequence[Figure]) -> str:
    """Return all figures as one Markdown table."""
    lines = [("part", *_HEAD[:-1], "holds"), ("---",) * (1 + len(_HEAD)), *((figure.part, *_cells(figure)) for figure in figures)]
    return "".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |\n" for line in lines)


def as_line(figure: Figure) -> str:
    return json.dumps(figure.as_json(), ensure_ascii=False)


def tell_shortfalls(figures: Sequence[Figure], console: Console) -> None:
    """Say in a sentence each which figures fall short of their aims, and how many hold."""
    with_aims = [figure for figure in figures if figure.aim is not None]
    for figure in with_aims:
        if not figure.holds:
            where = f"{figure.part}, {figure.what} ({figure.half})"
            console.print(Text(f"Falls short: {where}: {figure.ours}, aimed at {figure.aim_text}.", style="yellow"), soft_wrap=True)
    for half in dict.fromkeys(figure.half for figure in with_aims):
        mine = [figure for figure in with_aims if figure.half == half]
        console.print(f"{half}: {sum(bool(figure.holds) for figure in mine)} of {len(mine)} aims hold.", highlight=False)
