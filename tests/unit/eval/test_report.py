"""The folder that an evaluation leaves: every figure and every mistake is in it, each with its plot, and none of an earlier run."""

import json
from pathlib import Path
from xml.etree.ElementTree import fromstring

from tests.eval.figures import Figure, Share
from tests.eval.listed import HELD, Listed
from tests.eval.report import write
from tests.eval.verdicts import Mistake

FIGURE = Figure("a part", "a <figure>", HELD, Share(1, 4))
MISTAKE = Mistake("a part", "not red", "red: a rule (V1 & V2)", Listed("folder/some.hea", "NORMAL", ""))
CURVE = {"anterior": [(-0.05, Share(0, 3)), (0.05, Share(3, 3))], "all": [(-0.05, Share(0, 5)), (0.05, Share(4, 5))]}


def test_figures_mistakes_plots_and_curve_are_all_there(tmp_path: Path) -> None:
    listed = write(tmp_path, [FIGURE], [(MISTAKE, "<svg/>"), (MISTAKE, None)], CURVE)
    told = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert listed == len(told["mistakes"]) == 2
    assert told["figures"][0]["greenchannel"]["count"] == 1
    assert {"offset_mv": 0.05, "count": 4, "of": 5, "share": 0.8}.items() <= told["curve"]["all"][1].items()
    plot, none = (mistake["plot"] for mistake in told["mistakes"])
    assert (tmp_path / plot).read_text(encoding="utf-8") == "<svg/>"
    assert none is None
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert f'<a href="{plot}">folder/some.hea</a>' in page
    assert "a &lt;figure&gt;" in page
    assert "V1 &amp; V2" in page
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "1/4 = 25.0 %" in table
    assert table.count("folder/some.hea") == 2


def test_the_plots_of_an_earlier_run_are_gone(tmp_path: Path) -> None:
    write(tmp_path, [FIGURE], [(MISTAKE, "<svg/>")] * 3, None)
    write(tmp_path, [FIGURE], [(MISTAKE, "<svg/>")], None)
    assert [path.name for path in (tmp_path / "mistakes").iterdir()] == ["0001.svg"]


def test_the_curve_has_a_line_for_each_territory_that_rises_with_the_share(tmp_path: Path) -> None:
    write(tmp_path, [FIGURE], [], CURVE)
    lines = fromstring((tmp_path / "curve.svg").read_text(encoding="utf-8")).findall("{*}polyline")
    points = [[tuple(map(float, point.split(","))) for point in line.get("points", "").split()] for line in lines]
    assert len(points) == 2
    (x_below, y_none), (x_above, y_all) = points[0]
    assert x_below < x_above
    assert y_none > y_all  # down is more in a picture
    assert y_all < points[1][1][1] < y_none
