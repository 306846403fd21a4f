"""The shipped rules, row by row: thresholds, neighbours, what silences what, and what could not be judged."""

import multiprocessing
from dataclasses import replace
from itertools import combinations

import pytest

from contracts.assessments import Reading
from contracts.vocabulary import Priority, Sex
from services.triage.reading import not_evaluable
from services.triage.recording import KNOWN_LEADS, STANDARD
from services.triage.rulebook import Measured, shipped
from services.triage.rulebook.thresholds import choose
from tests.unit.triage.rule_patient import evaluate, judge, measured, without

M, F = Sex.MALE, Sex.FEMALE


def chosen(lead, age_y, sex):
    return choose(shipped().text.thresholds["st_elevation_mv"], lead, age_y=age_y, sex=sex)


@pytest.mark.parametrize(
    ("lead", "age_y", "sex", "mv"),
    [
        ("V4", 60, M, 0.10), ("II", None, None, 0.10), ("V1", 20, M, 0.10),
        ("V2", 40, M, 0.20), ("V3", 39, M, 0.25), ("V2", 20, F, 0.15), ("V3", 80, F, 0.15),
        ("V2", None, M, 0.20), ("V2", 30, None, 0.15), ("V2", None, None, 0.15), ("V2", None, F, 0.15),
        ("V8", 39, M, 0.10), ("V8", 40, M, 0.05), ("V8", 30, F, 0.05), ("V8", None, None, 0.05),
        ("V4R", 29, M, 0.10), ("V4R", 30, M, 0.05), ("V3R", 20, F, 0.05),
    ],
)  # fmt: skip
def test_the_threshold_is_that_of_lead_age_and_sex(lead, age_y, sex, mv):
    assert chosen(lead, age_y, sex).value == mv


@pytest.mark.parametrize(
    ("age_y", "sex", "why"),
    [
        (60, M, "V2-V3, man of 40 or older"),
        (None, M, "V2-V3, age unknown: the most sensitive that could apply (man of 40 or older)"),
        (60, None, "V2-V3, sex unknown: the most sensitive that could apply (woman)"),
        (None, None, "V2-V3, age and sex unknown: the most sensitive that could apply (woman)"),
        (None, F, "V2-V3, woman"),
    ],
)
def test_an_unknown_fact_is_named_with_the_threshold(age_y, sex, why):
    assert chosen("V2", age_y, sex).why == why


@pytest.mark.parametrize(
    ("st_mv", "leads"),
    [
        ({"II": 0.1, "aVF": 0.1}, ("II", "aVF")),
        ({"aVL": 0.1, "I": 0.1}, ("aVL", "I")),
        ({"I": 0.1, "II": 0.1}, ("I", "II")),  # they touch through -aVR
        ({"V2": 0.2, "V3": 0.2}, ("V2", "V3")),
        ({"V3": 0.2, "V4": 0.1, "V5": 0.1}, ("V3", "V4", "V5")),
        ({"V7": 0.05, "V8": 0.05}, ("V7", "V8")),
        ({"V3R": 0.05, "V4R": 0.05}, ("V3R", "V4R")),
        ({"V1": 0.1, "V3": 0.2}, None),  # not neighbours
        ({"II": 0.1, "III": 0.1}, None),  # aVF lies between them
        ({"III": 0.3}, None),
        ({"V2": 0.199, "V3": 0.5}, None),
        ({"I": 0.2, "aVR": -0.2}, None),  # -aVR joins leads and is none itself
        ({"V5": 0.1, "V6": 0.1, "V7": 0.05}, ("V5", "V6", "V7")),  # the chest leads go on round to the back
        ({"V6": 0.1, "V8": 0.1}, None),
    ],
)
def test_it_takes_two_neighbours(st_mv, leads):
    findings = judge(measured(**st_mv))
    if leads is None:
        assert findings == ()
    else:
        (finding,) = findings
        assert (finding.priority, finding.leads) == (Priority.RED, leads)
        assert [(value.lead, value.measured) for value in finding.values] == [(lead, st_mv[lead]) for lead in leads]
        assert all(value.threshold <= value.measured and value.why for value in finding.values)
        assert finding.rule
        assert finding.version
        assert finding.source


WALLS = {
    ("aVL", "I"): "lateral", ("I", "II"): "inferior and lateral", ("II", "aVF"): "inferior", ("aVF", "III"): "inferior",
    ("V1", "V2"): "anterior", ("V2", "V3"): "anterior", ("V3", "V4"): "anterior", ("V4", "V5"): "anterior and lateral",
    ("V5", "V6"): "lateral", ("V6", "V7"): "lateral and posterior", ("V7", "V8"): "posterior", ("V8", "V9"): "posterior",
    ("V3R", "V4R"): "right ventricle",
}  # fmt: skip


def test_every_pair_of_neighbours_names_its_walls_and_no_other_pair_is_found():
    found = {}
    for pair in combinations(KNOWN_LEADS, 2):
        for finding in judge(measured(**dict.fromkeys(pair, 0.3))):
            found[finding.leads] = finding.title.removeprefix("STEMI, ").split(":")[0]
    assert found == WALLS


def test_the_title_of_the_longest_finding_fits_its_place():
    findings = judge(measured(**dict.fromkeys(KNOWN_LEADS, 25.0)))
    assert [finding.leads[0] for finding in findings] == ["aVL", "V1", "V3R"]
    assert judge(measured(**dict.fromkeys(KNOWN_LEADS, -25.0) | {"aVR": 25.0}))[0].rule == "avr_pattern"
    wide = judge(measured(qrs_ms=140, **dict.fromkeys(KNOWN_LEADS, 25.0), r_mv={"V1": 0.0}))
    assert [finding.rule for finding in wide] == ["sgarbossa"]


def test_two_walls_are_two_findings():
    findings = judge(measured(II=0.2, III=0.2, aVF=0.2, V2=0.4, V3=0.4, aVL=-0.1))
    assert [finding.leads for finding in findings] == [("II", "aVF", "III"), ("V2", "V3")]


def test_elevation_counts_under_a_right_bundle_branch_block_and_leaves_other_wide_qrs_yellow():
    elevated = {"V2": 0.2, "V3": 0.2}
    assert [finding.rule for finding in judge(measured(qrs_ms=120.0))] == ["stemi_wide_qrs"]
    assert [finding.rule for finding in judge(measured(qrs_ms=120.0, **elevated))] == ["stemi"]  # the QRS points to V1, I and V6
    (finding,) = judge(measured(**LEFT_BUNDLE, **elevated))
    assert (finding.rule, finding.priority) == ("stemi_wide_qrs", Priority.YELLOW)
    assert judge(measured(qrs_ms=119.9, **elevated))[0].priority is Priority.RED


TALL = {"s_mv": {"V1": -2.0, "V2": -2.5, "V3": -2.0}, "r_mv": {"V5": 2.5}}


def test_elevation_under_high_voltages_is_yellow_unless_it_is_great_in_proportion():
    (finding,) = judge(measured(V2=0.3, V3=0.3, **TALL))
    assert (finding.rule, finding.priority) == ("stemi_hypertrophy", Priority.YELLOW)
    assert [value.name for value in finding.values] == ["sokolow_lyon_mv", "st_j_mv", "st_j_mv"]
    assert judge(measured(V1=0.8, V2=0.9, V3=0.9, **TALL))[0].priority is Priority.RED  # three leads above 25 %
    assert judge(measured(V2=0.9, V3=0.9, **TALL))[0].priority is Priority.YELLOW  # two are not enough
    assert judge(measured(V2=0.9, V3=0.9, t_inverted=["V3"], **TALL))[0].priority is Priority.RED  # with an inverted T they are


def test_a_lead_whose_qrs_has_a_gap_is_judged_all_the_same():
    known = measured(V1=0.8, V2=0.9, V3=0.9, **TALL)
    r_mv, s_mv, nadir_mv = ({lead: mv for lead, mv in each.items() if lead != "V2"} for each in (known.r_mv, known.s_mv, known.nadir_mv))
    assert judge(replace(known, r_mv=r_mv, s_mv=s_mv, nadir_mv=nadir_mv))[0].priority is Priority.RED


@pytest.mark.parametrize(("sex", "blocked"), [(F, True), (M, False), (None, False)])
def test_the_cornell_voltage_knows_the_sex_and_does_not_silence_where_it_is_unknown(sex, blocked):
    (finding,) = judge(measured(sex=sex, V2=0.3, V3=0.3, r_mv={"aVL": 1.0}, s_mv={"V3": -1.5}))
    assert (finding.rule == "stemi_hypertrophy") is blocked


DIFFUSE = {"II": 0.12, "III": 0.07, "aVF": 0.09, "V2": 0.16, "V3": 0.16, "V4": 0.12, "V5": 0.11, "V6": 0.13}


def test_slight_concave_elevation_everywhere_is_yellow():
    (finding,) = judge(measured(concave=STANDARD, **DIFFUSE))
    assert (finding.rule, finding.priority) == ("stemi_diffuse", Priority.YELLOW)


@pytest.mark.parametrize(
    ("changed", "concave"),
    [
        ({}, [lead for lead in STANDARD if lead != "V5"]),  # one lead is not concave
        ({"aVL": -0.05}, STANDARD),  # a reciprocal change
        ({"aVF": 0.10, "aVL": -0.03}, STANDARD),  # under elevated inferior leads any depression in aVL is one
        ({"V6": 0.04}, STANDARD),  # the side of the chest takes no part
        ({"V3": 0.3}, STANDARD),  # too high
        ({"II": 0.0, "III": 0.0, "aVF": 0.0}, STANDARD),  # one artery can do this
    ],
)
def test_elevation_that_one_artery_explains_stays_red(changed, concave):
    assert judge(measured(concave=concave, **(DIFFUSE | changed)))[0].priority is Priority.RED


LEFT_BUNDLE = {"qrs_ms": 140.0, "r_mv": {"V1": 0.1, "V2": 0.1, "V3": 0.1}, "s_mv": {"V1": -1.5, "V2": -2.0, "V3": -2.0}}


@pytest.mark.parametrize(
    ("st_mv", "name", "lead"),
    [({"V5": 0.1}, "st_j_mv", "V5"), ({"V3": -0.1}, "st_j_mv", "V3"), ({"V2": 0.5}, "st_s_ratio", "V2")],
)
def test_an_infarction_under_left_bundle_branch_block_is_red_and_takes_the_place_of_the_wide_qrs(st_mv, name, lead):
    (finding,) = judge(measured(**LEFT_BUNDLE, **st_mv))
    assert (finding.rule, finding.priority, finding.leads) == ("sgarbossa", Priority.RED, (lead,))
    assert [(value.name, value.lead) for value in finding.values] == [(name, lead)]


def test_the_elevation_that_left_bundle_branch_block_itself_makes_is_not_red():
    (finding,) = judge(measured(**LEFT_BUNDLE, V1=0.3, V2=0.45, V3=0.45, V5=-0.2, V6=-0.2))
    assert finding.rule == "stemi_wide_qrs"


MAIN_STEM = {"I": -0.12, "II": -0.1, "aVF": -0.1, "V4": -0.2, "V5": -0.2, "V6": -0.15, "aVR": 0.11}


def test_depression_in_six_leads_with_elevation_in_avr_is_red_and_under_high_voltages_yellow():
    (finding,) = judge(measured(**MAIN_STEM))
    assert (finding.rule, finding.priority) == ("avr_pattern", Priority.RED)
    assert [value.lead for value in finding.values] == ["aVR", "I", "II", "aVF", "V4", "V5", "V6"]
    (under_voltages,) = judge(measured(**MAIN_STEM, r_mv={"V5": 2.5}, s_mv={"V1": -2.0}))
    assert (under_voltages.rule, under_voltages.priority) == ("avr_pattern_hypertrophy", Priority.YELLOW)


def test_depression_over_the_front_asks_for_the_back_until_the_back_was_recorded():
    (finding,) = judge(measured(V2=-0.06, V3=-0.06))
    assert (finding.rule, finding.priority, finding.leads) == ("posterior_suspicion", Priority.YELLOW, ("V2", "V3"))
    assert judge(measured(V2=-0.06, V3=-0.06, V7=0.0, V8=0.0, V9=0.0)) == ()
    assert [each.rule for each in judge(measured(V2=-0.06, V3=-0.06, V7=0.05, V8=0.05, V9=0.0))] == ["stemi"]


def test_a_lead_that_was_not_measured_takes_no_part():
    deep = {"V3": -1, "V4": -1}
    some = Measured(st_j_mv={"V3": 0.4, "V4": 0.3}, r_mv={"V3": 1, "V4": 1}, s_mv=deep, nadir_mv=deep, qrs_ms=90, age_y=60, sex=M)
    assert judge(some)[0].leads == ("V3", "V4")


def test_silence_over_a_lead_that_was_not_measured_is_said_to_be_no_verdict():
    judgement = evaluate(without(measured(), "V2"))
    assert judgement.findings == ()
    of_v2 = {name for name, rule in shipped().text.rules.items() if "V2" in rule.needs}
    assert {"stemi", "avr_pattern", "posterior_suspicion", "de_winter", "wellens", "smith_four"} <= of_v2
    assert {each.name: each.lacked[0] for each in judgement.not_judged} == dict.fromkeys(of_v2, "V2")
    assert evaluate(measured()).not_judged == ()


def test_a_lead_that_was_looked_for_in_vain_is_named_with_what_it_lacks():
    known = measured()
    gap = replace(known, t_half_ms={lead: ms for lead, ms in known.t_half_ms.items() if lead != "V6"}, t_up_mv=dict.fromkeys(STANDARD, 1.2))
    assert ("peaked_t", ("t_half_ms in V6",)) in [(each.name, each.lacked) for each in evaluate(gap).not_judged]


def test_a_gate_that_cannot_be_judged_silences_nothing_and_is_said():
    judgement = evaluate(without(measured(V3=0.4, V4=0.3), "V1"))
    assert judgement.findings[0].rule == "stemi"
    assert ("hypertrophy", ("s_mv in V1",)) in [(each.name, each.lacked) for each in judgement.not_judged]


def test_a_value_that_is_no_number_counts_as_not_measured():
    nan = float("nan")
    judgement = evaluate(measured(V2=nan, qrs_ms=nan, s_mv={"V3": nan}))
    assert judgement.findings == ()
    assert ("hypertrophy", ("s_mv in V3",)) in [(each.name, each.lacked) for each in judgement.not_judged]
    assert ("stemi", ("V2",)) in [(each.name, each.lacked) for each in judgement.not_judged]
    assert ("wide_qrs", ("qrs_ms",)) in [(each.name, each.lacked) for each in judgement.not_judged]


def test_every_finding_names_a_rule_with_its_source_and_a_reading_the_rulebook_of_the_file():
    nothing = not_evaluable((), age_y=None, sex=None)
    assert (nothing.rulebook, nothing.rulebook_version) == (shipped().id, shipped().version)
    assert len(shipped().version) <= Reading.model_fields["rulebook_version"].metadata[0].max_length
    for finding in judge(measured(**LEFT_BUNDLE, V2=0.5)):
        rule = shipped().text.rules[finding.rule]
        assert (finding.version, finding.source, finding.priority) == (rule.version, rule.source, rule.priority)


def test_a_worker_that_was_forked_judges_as_its_parent_does():
    patient = measured(V2=0.3, V3=0.4, V4=0.3)
    here = judge(patient)
    with multiprocessing.get_context("fork").Pool(1) as forked:
        assert forked.apply(judge, (patient,)) == here != ()
