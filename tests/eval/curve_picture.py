"""The curve of how often a shift is red, by where it stands about the threshold, as a small SVG."""

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from tests.eval.figures import Share, wilson

Curve = Mapping[str, Sequence[tuple[float, Share]]]

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 760.0, 420.0, 60.0, 190.0, 40.0, 50.0
_COLOURS = ("#c8102e", "#e07b00", "#7a8b00", "#1d7f3b", "#0b7fa5", "#0b3fb5", "#6a1b7a")
_ALL = "all"
_GRID_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def curve_svg(curve: Curve) -> str:
    """Return the picture: a line for each territory; the thick one is all of them, with Wilson's 95 % bounds round it."""
    offsets_mv = sorted({offset_mv for points in curve.values() for offset_mv, _ in points})
    low, high = offsets_mv[0], offsets_mv[-1]

    def x(offset_mv: float) -> float:
        return _LEFT + (offset_mv - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(share: float) -> float:
        return _TOP + (1 - share) * (_HEIGHT - _TOP - _BOTTOM)

    page = Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}", attrib={"font-family": "Helvetica, Arial"})
    page.set("font-size", "12")
    _add(page, "rect", width=_WIDTH, height=_HEIGHT, fill="#fff")
    _text(page, _LEFT, 22, "Share of recordings called red, by where ST stands about the threshold", 14)
    for share in _GRID_SHARES:
        _add(page, "path", d=f"M{_LEFT} {y(share):.1f}H{_WIDTH - _RIGHT}", stroke="#ddd")
        _text(page, 14, y(share) + 4, f"{100 * share:.0f} %")
    for offset_mv in offsets_mv:
        _add(page, "path", d=f"M{x(offset_mv):.1f} {_HEIGHT - _BOTTOM}v5", stroke="#555")
    for offset_mv in (-0.10, -0.05, 0.0, 0.05, 0.10, 0.15):
        _text(page, x(offset_mv) - 14, _HEIGHT - _BOTTOM + 20, f"{offset_mv:+.2f}")
    _text(page, _LEFT, _HEIGHT - 10, "mV above (+) or below (-) the lead's own threshold, own ST included")
    _add(page, "path", d=f"M{x(0):.1f} {_TOP}V{_HEIGHT - _BOTTOM}", stroke="#555", stroke_dasharray="4 3")
    whole = curve[_ALL]
    bounds = [(offset_mv, wilson(share.count, share.of)) for offset_mv, share in whole]
    around = [f"{x(at):.1f},{y(above):.1f}" for at, (_, above) in bounds] + [f"{x(at):.1f},{y(below):.1f}" for at, (below, _) in reversed(bounds)]
    _add(page, "polygon", points=" ".join(around), fill="#111", fill_opacity="0.12")
    lines = [*zip((name for name in curve if name != _ALL), _COLOURS, strict=False), (_ALL, "#111")]
    for place, (name, colour) in enumerate(lines):
        points = " ".join(f"{x(at):.1f},{y(share.value):.1f}" for at, share in curve[name])
        _add(page, "polyline", points=points, fill="none", stroke=colour, stroke_width="3" if name == _ALL else "1.5")
        _add(page, "path", d=f"M{_WIDTH - _RIGHT + 15} {_TOP + 10 + 22 * place}h24", stroke=colour, stroke_width="3")
        _text(page, _WIDTH - _RIGHT + 46, _TOP + 14 + 22 * place, name)
    return tostring(page, encoding="unicode")


def _add(parent: Element, tag: str, **attributes: str | float) -> Element:
    return SubElement(parent, tag, {name.replace("_", "-"): str(value) for name, value in attributes.items()})


def _text(parent: Element, x: float, y: float, words: str, size: int = 12) -> None:
    _add(parent, "text", x=f"{x:.1f}", y=f"{y:.1f}", font_size=size, fill="#111").text = words
