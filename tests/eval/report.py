"""The folder that an evaluation leaves: the table in Markdown and JSON, the curve, and a page with every mistake beside its plot."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from tests.eval.curve_picture import Curve, curve_svg
from tests.eval.figures import Figure, markdown
from tests.eval.verdicts import Mistake

Plotted = tuple[Mistake, str | None]  # its SVG; None where nothing could be decoded

_STYLE = "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.3em .6em;text-align:left}"


def write(out: Path, figures: Sequence[Figure], plotted: Iterable[Plotted], curve: Curve | None) -> int:
    """Write everything into the folder, old plots away first; return how many mistakes it lists."""
    plots = out / "mistakes"
    plots.mkdir(parents=True, exist_ok=True)
    for old in plots.glob("*.svg"):
        old.unlink()
    listed = [_listed(out, place, *each) for place, each in enumerate(plotted, start=1)]
    told: dict[str, object] = {"figures": [figure.as_json() for figure in figures], "mistakes": listed}
    if curve is not None:
        told["curve"] = {name: [{"offset_mv": at, **share.as_json()} for at, share in points] for name, points in curve.items()}
        (out / "curve.svg").write_text(curve_svg(curve), encoding="utf-8")
    (out / "figures.json").write_text(json.dumps(told, ensure_ascii=False, indent=1), encoding="utf-8")
    (out / "table.md").write_text(f"# Figures\n\n{markdown(figures)}\n# Mistakes\n\n{_mistakes_markdown(listed)}", encoding="utf-8")
    (out / "index.html").write_text(_page(figures, listed, with_curve=curve is not None), encoding="utf-8")
    return len(listed)


def _listed(out: Path, place: int, mistake: Mistake, svg: str | None) -> dict[str, str | None]:
    plot = None if svg is None else f"mistakes/{place:04}.svg"
    if svg is not None and plot is not None:
        (out / plot).write_text(svg, encoding="utf-8")
    return {"part": mistake.part, "wanted": mistake.wanted, "said": mistake.said, "recording": mistake.made.name, "plot": plot}


def _mistakes_markdown(listed: Sequence[dict[str, str | None]]) -> str:
    lines = ["| part | wanted | said | recording, and how it was made | plot |", "| --- | --- | --- | --- | --- |"]
    for mistake in listed:
        plot = "" if mistake["plot"] is None else f"[plot]({mistake['plot']})"
        lines.append(f"| {mistake['part']} | {mistake['wanted']} | {mistake['said']} | {mistake['recording']} | {plot} |")
    return "\n".join(lines) + "\n"


def _page(figures: Sequence[Figure], listed: Sequence[dict[str, str | None]], *, with_curve: bool) -> str:
    lines = markdown(figures).splitlines()
    cells = [[escape(cell.strip()) for cell in line.strip("|").split("|")] for place, line in enumerate(lines) if place != 1]
    table = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>\n" for row in cells)
    curve = '<h2>Curve</h2><img src="curve.svg" alt="share called red about the threshold" width="760">\n' if with_curve else ""
    heads = "".join(f"<th>{head}</th>" for head in ("part", "wanted", "said", "recording, and how it was made"))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Evaluation</title><style>{_STYLE}</style>\n<h1>Evaluation</h1>\n'
        f"<table>{table}</table>\n{curve}<h2>Mistakes</h2>\n<table><tr>{heads}</tr>\n{''.join(map(_row, listed))}</table></html>\n"
    )


def _row(mistake: dict[str, str | None]) -> str:
    part, wanted, said, name = (escape(mistake[key] or "") for key in ("part", "wanted", "said", "recording"))
    link = name if mistake["plot"] is None else f'<a href="{mistake["plot"]}">{name}</a>'
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in (part, wanted, said, link)) + "</tr>\n"
