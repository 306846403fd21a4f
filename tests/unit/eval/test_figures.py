"""Shares with their bounds, halves and aims: what the evaluation's table rests on."""

import json

import pytest

from tests.eval.figures import Aim, Figure, Number, Share, as_line, markdown, wilson
from tests.eval.listed import BBB, EARLY, HELD, LVH, NORMAL, ODD, OTHER, PACED, group_of, half_of


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (1, 100, 0.0018, 0.0545), (81, 263, 0.2553, 0.3662)],
)
def test_wilsons_bounds_are_those_of_the_published_examples(count, of, low, high):
    assert wilson(count, of) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("count", "of"), [(0, 0), (3, 2), (-1, 5)])
def test_what_is_no_share_has_no_bounds(count, of):
    with pytest.raises(ValueError, match="no share"):
        wilson(count, of)


@pytest.mark.parametrize(
    ("file", "half"),
    [
        ("ludb/57.hea", ODD),
        ("ludb/100.hea", HELD),
        ("ptbxl/00025_hr.hea", ODD),
        ("ptbxl/13786_hr.hea", HELD),
        ("vendor/philips-1.03/129DYNRG.XML", ODD),
        ("vendor/muse/guangxi_teaching_sinus_rhythm.xml", HELD),
        ("folder9/none.hea", HELD),
    ],
)
def test_a_record_is_tuned_on_only_where_the_last_digit_of_its_name_is_odd(file, half):
    assert half_of(file) == half


@pytest.mark.parametrize(
    ("category", "labels", "group"),
    [
        ("NORMAL", "NORM 100; SR 0", NORMAL),
        ("MIMIC", "CLBBB; LVH 15 | expected: not_red", BBB),
        ("MIMIC", "LVH; ISC_; SR 0", LVH),
        ("MIMIC", "NORM; PACE 100; CLBBB 0", PACED),
        ("MIMIC", "LAFB; SR 0", OTHER),
        ("VENDOR", "窦性心律; ST段抬高（提示心室早期复极）", EARLY),
        ("VENDOR", "Sinus rhythm", OTHER),
    ],
)
def test_a_recording_counts_in_the_group_that_people_put_it_in(category, labels, group):
    assert group_of(category, labels) == group


def test_a_figure_says_whether_its_aim_holds_on_either_side():
    within = Aim(-4, 4)
    assert [within.holds(value) for value in (-4.1, -4, 4, 4.1)] == [False, True, True, False]
    assert Figure("p", "w", HELD, Share(199, 200), None, Aim(0.995)).holds is True
    assert Figure("p", "w", HELD, Share(198, 200), None, Aim(0.995)).holds is False
    assert Figure("p", "w", HELD, Share(0, 200)).holds is None


def test_the_table_and_the_line_tell_the_count_its_bounds_and_what_else_became_of_it():
    figure = Figure("part", "what", HELD, Share(1, 100, {"yellow": 3, "green": 0}), Number(-2.5, "ms", 7), Aim(at_most=0.08))
    assert "| 1/100 = 1.0 % (0.2 to 5.4), 3 yellow | -2.5 ms (n 7) | <= 8 % | holds |" in markdown([figure])
    told = json.loads(as_line(figure))
    assert (told["greenchannel"]["low"], told["greenchannel"]["high"]) == pytest.approx(wilson(1, 100), abs=1e-5)
    assert (told["neurokit2"]["value"], told["holds"], told["aim"]) == (-2.5, True, "<= 8 %")
