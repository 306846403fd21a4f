"""The standard paper as SVG in true millimetres: 25 mm/s, 10 mm/mV, and on the trace the J point and the ST level that findings were made by."""

import math
import re
import textwrap
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal
from unicodedata import east_asian_width
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np
from numpy.typing import NDArray

from contracts.assessments import Reading, Value
from contracts.vocabulary import Priority, Sex
from services.triage.reading import MeasuredBeats
from services.triage.recording import STANDARD, Recording, Samples

Ints = NDArray[np.int64]
Layout = Literal["3x4", "12x1"]

MM_PER_S, MM_PER_MV = 25.0, 10.0
PAGE_S, COLUMN_S = 10.0, 2.5
_RHYTHM_LEAD = "II"
_ROWS = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"))

# Four rows of 40 mm make A4 across, twelve of 30 mm fit on A3 upright.
_ROW_MM: dict[Layout, float] = {"3x4": 40.0, "12x1": 30.0}
_WIDTH_MM, _FOOT_MM = 297.0, 18.0
_GRID_X_MM, _GRID_Y_MM, _GRID_WIDTH_MM = 16.0, 32.0, 265.0
_TRACE_X_MM = _GRID_X_MM + 10.0  # left of it stands the calibration pulse
_FARTHEST_MM = 1000.0  # from its own line: far outside the page, where it is cut off
_DENSEST_PER_S = 500.0  # one sample per 0.05 mm: more than that is finer than the ink

_INK, _PALE, _MARK = "#111", "#777", "#0b3fb5"
_BADGES = {
    Priority.RED: ("RED", "#c8102e", "#fff"),
    Priority.YELLOW: ("YELLOW", "#ffd400", "#111"),
    Priority.GREEN: ("GREEN", "#1d7f3b", "#fff"),
    Priority.NOT_EVALUABLE: ("CANNOT BE JUDGED", "#6a1b7a", "#fff"),
}
_PEOPLE = {Sex.MALE: "man", Sex.FEMALE: "woman", None: "sex unknown"}
_HEADER_LINES, _LINE_CHARACTERS, _LINE_WIDE_CHARACTERS = 4, 160, 85
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class _Strip:
    """A stretch of one lead at its place: `samples_mv` is (samples,), none where the lead is not in the recording; its first sample is at
    `first_s` of the recording. `from_s` stands at `x_mm`, and `level_mv` on the line `y_mm`."""

    lead: str
    x_mm: float
    y_mm: float
    from_s: float
    first_s: float
    samples_mv: Samples
    fs_hz: float
    level_mv: float

    def x_of(self, at_s: float) -> float:
        return self.x_mm + (at_s - self.from_s) * MM_PER_S

    def y_of(self, mv: float) -> float:
        return self.y_mm - (mv - self.level_mv) * MM_PER_MV

    def value_at(self, at_s: float) -> float | None:
        """Return the sample, mV, that was recorded at a moment; None outside the strip and in a gap."""
        sample = round((at_s - self.first_s) * self.fs_hz)
        if not 0 <= sample < self.samples_mv.size or not np.isfinite(self.samples_mv[sample]):
            return None
        return float(self.samples_mv[sample])


def draw(recording: Recording, reading: Reading, beats: MeasuredBeats | None, *, layout: Layout) -> str:
    """Return a recording and what was read from it as one SVG document, sizes in mm, with nothing in it that names a person.

    `reading` and `beats` are those of this recording. 3x4 is A4 across: four columns of 2.5 s, and II over 10 s below; 12x1 is 10 s of
    each lead. Leads beyond the twelve get rows of their own. Each strip stands with its median on its line; nothing is filtered."""
    row_mm = _ROW_MM[layout]
    rows = _rows(recording, layout)
    grid_mm = len(rows) * row_mm
    height_mm = _GRID_Y_MM + grid_mm + _FOOT_MM
    page = Element("svg", xmlns="http://www.w3.org/2000/svg", width=f"{_WIDTH_MM:g}mm", height=f"{height_mm:g}mm")
    page.attrib |= {"viewBox": f"0 0 {_WIDTH_MM:g} {height_mm:g}", "font-family": "Helvetica, Arial, 'Noto Sans CJK SC', sans-serif"}
    _add(page, "title", f"12-lead ECG: {_BADGES[reading.priority][0]}")
    _add(page, "rect", width=_WIDTH_MM, height=height_mm, fill="#fff")
    _grid(page, grid_mm)
    _header(page, reading)
    st_mv = {each.lead: each.st_j_mv for each in reading.measurements.leads if each.st_j_mv is not None}
    _traces(page, rows, judged=st_mv.keys())
    offending = _offending(reading)
    for strip in (strip for row in rows for strip in row):
        _names(page, strip, _notes(strip, reading, offending, judged=strip.lead in st_mv), top_mm=strip.y_mm - row_mm / 2)
        if strip.lead in offending and strip.lead in st_mv and beats is not None:
            _marks(page, strip, beats, st_mv[strip.lead])
    _footer(page, recording, reading, y_mm=_GRID_Y_MM + grid_mm)
    return tostring(page, encoding="unicode")


def _add(parent: Element, tag: str, text: str | None = None, /, **attributes: str | float) -> Element:
    """Append an element; lengths are kept to 0.01 mm, and what XML cannot hold is left out of a text."""
    told = {name.rstrip("_").replace("_", "-"): value if isinstance(value, str) else f"{round(value, 2):g}" for name, value in attributes.items()}
    element = SubElement(parent, tag, told)
    element.text = None if text is None else _NOT_XML.sub("", text)
    return element


def _rows(recording: Recording, layout: Layout) -> list[list[_Strip]]:
    beyond = [lead for lead in recording.leads if lead not in STANDARD]
    if layout == "12x1":
        names: list[Sequence[str]] = [(lead,) for lead in (*STANDARD, *beyond)]
    else:
        names = [*_ROWS, (_RHYTHM_LEAD,), *(beyond[first : first + 4] for first in range(0, len(beyond), 4))]
    rows = []
    for place, leads in enumerate(names):
        seconds = PAGE_S if len(leads) == 1 else COLUMN_S
        y_mm = _GRID_Y_MM + (place + 0.5) * _ROW_MM[layout]
        rows.append([_strip(recording, lead, wanted_s=column * seconds, seconds=seconds, y_mm=y_mm) for column, lead in enumerate(leads)])
    return rows


def _strip(recording: Recording, lead: str, *, wanted_s: float, seconds: float, y_mm: float) -> _Strip:
    """Return a lead from where its column stands in time, or, where nothing of it was recorded then, from where it begins."""
    fs_hz, from_s = recording.fs_hz, wanted_s
    whole = recording.samples_mv[recording.leads.index(lead)] if lead in recording.leads else np.empty(0, dtype=np.float32)
    samples_mv = whole[_first(from_s, fs_hz) : _first(from_s + seconds, fs_hz)]
    known = np.isfinite(whole)
    if known.any() and not np.isfinite(samples_mv).any():
        from_s = float(np.argmax(known) / fs_hz)
        samples_mv = whole[_first(from_s, fs_hz) : _first(from_s + seconds, fs_hz)]
    shown = samples_mv[np.isfinite(samples_mv)]
    return _Strip(
        lead=lead,
        x_mm=_TRACE_X_MM + wanted_s * MM_PER_S,
        y_mm=y_mm,
        from_s=from_s,
        first_s=_first(from_s, fs_hz) / fs_hz,
        samples_mv=samples_mv,
        fs_hz=fs_hz,
        level_mv=float(np.median(shown)) if shown.size else 0.0,
    )


def _first(at_s: float, fs_hz: float) -> int:
    """Return the first sample at or after a moment."""
    return math.ceil(at_s * fs_hz - 1e-6)


def _grid(page: Element, grid_mm: float) -> None:
    definitions = _add(page, "defs")
    square: dict[str, str | float] = {"x": _GRID_X_MM - 2.5, "y": _GRID_Y_MM - 2.5, "width": 5, "height": 5, "patternUnits": "userSpaceOnUse"}
    pattern = _add(definitions, "pattern", id="mm", **square)  # the 5 mm lines run through the square's middle: its edges would cut them
    thin = "".join(f"M{at} 0v5M0 {at}h5" for at in (0.5, 1.5, 3.5, 4.5))
    _add(pattern, "path", d=thin, stroke="#f7c6c6", stroke_width=0.1)
    _add(pattern, "path", d="M2.5 0v5M0 2.5h5", stroke="#e99a9a", stroke_width=0.2)
    place: dict[str, str | float] = {"x": _GRID_X_MM, "y": _GRID_Y_MM, "width": _GRID_WIDTH_MM, "height": grid_mm}
    _add(_add(definitions, "clipPath", id="paper"), "rect", **place)
    _add(page, "rect", fill="url(#mm)", stroke="#e99a9a", stroke_width=0.2, **place)


def _traces(page: Element, rows: Sequence[Sequence[_Strip]], *, judged: AbstractSet[str]) -> None:
    ink: dict[str, str | float] = {"fill": "none", "stroke": _INK, "stroke_linejoin": "round", "stroke_linecap": "round"}
    paper = _add(page, "g", clip_path="url(#paper)", **ink)
    millimetres = _add(paper, "g", stroke_width=0.3)
    hundredths = _add(paper, "g", transform="scale(.01)", stroke_width=30)  # whole numbers make a file half as large
    for row in rows:
        y_mm = row[0].y_mm
        _add(millimetres, "path", class_="calibration", d=f"M{_GRID_X_MM:g} {y_mm:g}h2.5v-{MM_PER_MV:g}h{0.2 * MM_PER_S:g}v{MM_PER_MV:g}h2.5")
        for strip in row[1:]:
            _add(millimetres, "path", class_="separator", d=f"M{strip.x_mm:g} {y_mm - 4:g}v8")
        for strip in row:
            if path := _path(strip):
                colour = _INK if strip.lead in judged else _PALE
                _add(hundredths, "path", class_="trace", data_lead=strip.lead, data_from_s=strip.from_s, stroke=colour, d=path)


def _path(strip: _Strip) -> str:
    """Return the trace in hundredths of a millimetre; it is interrupted where the recording has a gap."""
    at = _drawn(strip.samples_mv, strip.fs_hz)
    if not at.size:
        return ""
    values_mv = strip.samples_mv[at].astype(np.float64)
    known = np.isfinite(values_mv)
    x_mm = strip.x_mm + (strip.first_s - strip.from_s + at / strip.fs_hz) * MM_PER_S
    from_line_mm = np.clip((np.where(known, values_mv, strip.level_mv) - strip.level_mv) * MM_PER_MV, -_FARTHEST_MM, _FARTHEST_MM)
    points = np.round(100 * np.column_stack([x_mm, strip.y_mm - from_line_mm])).astype(np.int64)
    runs = np.split(points, np.flatnonzero(np.diff(known)) + 1)
    return "".join(map(_run, runs[0 if known[0] else 1 :: 2]))


def _drawn(samples_mv: Samples, fs_hz: float) -> Ints:
    """Return which samples are drawn: all, up to 500 a second; of more, the highest and the lowest of each 0.1 mm, so that no spike is lost."""
    if fs_hz <= _DENSEST_PER_S:
        return np.arange(samples_mv.size)
    known = np.flatnonzero(np.isfinite(samples_mv))
    bins = (known * (_DENSEST_PER_S / 2 / fs_hz)).astype(np.int64)
    by_height = known[np.lexsort((samples_mv[known], bins))]
    lowest, highest = by_height[np.diff(bins, prepend=-1) != 0], by_height[np.diff(bins, append=-1) != 0]
    return np.unique(np.concatenate([lowest, highest, np.flatnonzero(~np.isfinite(samples_mv))]))


def _run(points: Ints) -> str:
    steps = np.diff(points, axis=0).ravel().tolist() or [0, 0]  # a single sample is a dot
    return f"M{points[0, 0]} {points[0, 1]}l" + " ".join(map(str, steps)).replace(" -", "-")


def _offending(reading: Reading) -> dict[str, Value | None]:
    """Return the leads that findings were made by, each with the first ST value that it was held against."""
    leads: dict[str, Value | None] = {}
    for finding in reading.findings:
        values = {value.lead: value for value in finding.values if value.lead is not None and value.name.startswith("st_j")}
        for lead in (*finding.leads, *values):
            leads[lead] = leads.get(lead) or values.get(lead)
    return leads


def _notes(strip: _Strip, reading: Reading, offending: dict[str, Value | None], *, judged: bool) -> list[tuple[str, str]]:
    """Return what stands beside a lead's name, with its colour."""
    notes = []
    codes = [problem.code.replace("_", " ") for problem in reading.quality.problems if strip.lead in problem.leads]
    why = ", ".join(codes if strip.samples_mv.size else ["not in the recording"])
    if judged:
        notes += [(why, _INK)] if codes else []
    else:
        notes.append((f"NOT JUDGED: {why}" if why else "NOT JUDGED", _INK))
    if value := offending.get(strip.lead):
        notes.append((f"ST {value.measured:+.2f} mV, threshold {value.threshold:+.2f}", _MARK))
    if strip.x_mm != _TRACE_X_MM + strip.from_s * MM_PER_S:
        notes.append((f"from {strip.from_s:.1f} s", _INK))
    return notes


def _names(page: Element, strip: _Strip, notes: list[tuple[str, str]], *, top_mm: float) -> None:
    halo = {"stroke": "#fff", "stroke_width": "0.7", "stroke_linejoin": "round", "paint_order": "stroke"}  # tall complexes run through the names
    group = _add(page, "g", **halo)
    _add(group, "text", strip.lead, class_="lead", x=strip.x_mm + 1.5, y=top_mm + 4.5, font_size=3.8, font_weight="bold", fill=_INK)
    for line, (note, colour) in enumerate(notes):
        _add(group, "text", note, class_="note", data_lead=strip.lead, x=strip.x_mm + 11, y=top_mm + 4.5 + 3.2 * line, font_size=2.8, fill=colour)


def _marks(page: Element, strip: _Strip, beats: MeasuredBeats, st_mv: float) -> None:
    """Circle the J point of every measured beat; beside the first, stand ST as a bar on the level that it was measured against.

    The bar is as high as what was measured on the median beat: where one beat wanders, it is the bar that was judged."""
    group = _add(page, "g", class_="marks", data_lead=strip.lead, clip_path="url(#paper)", fill="none", stroke=_MARK, stroke_width=0.3)
    barred = False
    for onset_s, j_s in zip(beats.onset_s.tolist(), beats.j_s.tolist(), strict=True):
        j_mv = strip.value_at(j_s)
        if j_mv is None:
            continue
        x_mm, y_mm = strip.x_of(j_s), strip.y_of(j_mv)
        _add(group, "circle", class_="j", cx=x_mm, cy=y_mm, r=0.9)
        if not barred and strip.value_at(onset_s) is not None:
            level_mm, onset_mm = y_mm + st_mv * MM_PER_MV, strip.x_of(onset_s)
            _add(group, "path", class_="level", d=f"M{onset_mm - 1:.2f} {level_mm:.2f}H{x_mm + 4:.2f}", stroke_dasharray="1 .5")
            _add(group, "path", class_="st", d=f"M{x_mm:.2f} {level_mm:.2f}V{y_mm:.2f}", stroke_width=0.6)
            barred = True


def _header(page: Element, reading: Reading) -> None:
    word, fill, ink = _BADGES[reading.priority]
    width_mm = 8 + 3.2 * len(word)
    _add(page, "rect", x=_GRID_X_MM, y=6, width=width_mm, height=7.5, rx=1, fill=fill)
    _add(page, "text", word, x=_GRID_X_MM + width_mm / 2, y=11.4, font_size=4.5, font_weight="bold", text_anchor="middle", fill=ink)
    rate, qrs = reading.measurements.heart_rate_bpm, reading.measurements.qrs_ms
    told = (
        "Heart rate not measured" if rate is None else f"Heart rate {rate:.0f}/min",
        "QRS not measured" if qrs is None else f"QRS {qrs:.0f} ms",
        f"judged for: {_PEOPLE[reading.sex]}, {'age unknown' if reading.age_y is None else f'{reading.age_y} y'}",
    )
    _add(page, "text", " · ".join(told), x=_GRID_X_MM + width_mm + 5, y=11.2, font_size=4, fill=_INK)
    texts = [finding.title for finding in reading.findings] + [problem.text for problem in reading.quality.problems]
    lines = [line for text in texts for line in textwrap.wrap(text, _line_characters(text))]
    if len(lines) > _HEADER_LINES:
        lines[_HEADER_LINES - 1 :] = ["There is more: greenchannel triage prints all of it."]
    for place, line in enumerate(lines):
        _add(page, "text", line, x=_GRID_X_MM, y=18 + 4 * place, font_size=3.2, fill=_INK)


def _line_characters(text: str) -> int:
    return _LINE_WIDE_CHARACTERS if any(east_asian_width(character) in "WF" for character in text) else _LINE_CHARACTERS


def _footer(page: Element, recording: Recording, reading: Reading, *, y_mm: float) -> None:
    shown_s = min(PAGE_S, recording.seconds)
    paper = f"{MM_PER_S:g} mm/s · {MM_PER_MV:g} mm/mV · {recording.fs_hz:g} samples/s, no filter added"
    _add(page, "text", f"{paper} · {shown_s:.1f} s of {recording.seconds:.1f} s", x=_GRID_X_MM, y=y_mm + 5, font_size=3.4, fill=_INK)
    measured = reading.measurements
    marks = f"Circle: J point. Bar: ST at J on the median of {measured.beats} beats, against the {measured.baseline}. " if _offending(reading) else ""
    rules = f"Rulebook {reading.rulebook} {reading.rulebook_version}. Not a diagnosis: a physician decides. Print at 100 %."
    _add(page, "text", marks + rules, x=_GRID_X_MM, y=y_mm + 10, font_size=2.8, fill=_INK)
