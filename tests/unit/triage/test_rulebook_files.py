"""A rulebook or profile that may not be used is refused, with line and column of what is wrong; one that may be is used as it stands."""

import json
import pickle

import pytest
from typer.testing import CliRunner

from contracts.vocabulary import Priority
from services.program import rules
from services.triage.rulebook import SHIPPED, RulebookInvalid, load, shipped
from services.triage.rulebook.engine import apply
from tests.unit.triage.rule_patient import measured

TEXT = SHIPPED.read_text(encoding="utf-8")


def place(text, sought):
    """Return line and column, from 1, of the only place where a text holds another."""
    assert text.count(sought) == 1, sought
    before = text[: text.index(sought)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


@pytest.fixture
def refused(tmp_path):
    """Return a function from an edit of the shipped rulebook to the problems for which it is refused."""

    def problems(old, new):
        assert TEXT.count(old) == 1, old
        (tmp_path / "edited.yaml").write_text(TEXT.replace(old, new), encoding="utf-8")
        with pytest.raises(RulebookInvalid) as error:
            load(tmp_path / "edited.yaml")
        return [(problem.line, problem.column, problem.text) for problem in error.value.problems]

    return problems


WIDE = "    when: qrs_ms >= wide_qrs_ms\n"


@pytest.mark.parametrize(
    ("old", "new", "at", "said"),
    [
        ("    each: elevated_groups", "    every: elevated_groups", "every: ", "no word that is known"),
        ("  wide_qrs_ms:\n    value: 120", "  wide_qrs_ms:\n    value: wide", "wide\n    why: bundle", "valid number"),
        ("    why: bundle branch block or pacing moves ST by itself", f"    why: {'w' * 201}", "w" * 201, "at most 200 characters"),
        ("  inferior: [II, III, aVF]", "  inferior: [II, III, aVG]", "aVG", "aVG is no lead that is known here"),
        ("  posterior_suspicion:\n", "  stemi:\n", "stemi:\n    version: \"1\"", "stemi stands here twice"),
        ("    priority: yellow\n    title: {en: Wide", "    priority: orange\n    title: {en: Wide", "orange", "red"),
        (WIDE, "    when: qrs_ns >= wide_qrs_ms\n", "qrs_ns", "undeclared reference to 'qrs_ns'"),
        (WIDE, "    when: qrs_ms >= 'wide'\n", ">= 'wide'", "no matching overload"),
        (WIDE, "    when: qrs_ms >= 120\n", ">= 120\n", "compared with 1.0, not with 1"),
        (WIDE, "    when: qrs_ms + wide_qrs_ms\n", "qrs_ms + wide", "gives DOUBLE, and BOOL is needed here"),
        (WIDE, "    when: |\n      true &&\n      qrs_ns >= wide_qrs_ms\n", "qrs_ns", "undeclared reference to 'qrs_ns'"),
        (WIDE, "    when: \"qrs_ns >= wide_qrs_ms\"\n", "qrs_ns", "undeclared reference to 'qrs_ns'"),
        ("STEMI, {territory(group)}", "STEMI, {territory(lead)}", "lead)}", "undeclared reference to 'lead'"),
        ("STEMI, {territory(group)}", "STEMI, {territory(group)", "\"STEMI, ", "a brace is not closed"),
        ("    unless: [wide_but_right, diffuse]", "    unless: [wide_but_right, diffus]", "diffus]", "diffus is not there: diffuse, "),
        ("    supersedes: [stemi_wide_qrs]", "    supersedes: [stemi_broad_qrs]", "stemi_broad_qrs", "stemi_broad_qrs is not there"),
        ("measured: qrs_ms, against: wide_qrs_ms", "measured: qrs_ms, against: qrs", "qrs}", "there is no threshold qrs"),
        ("  chest: \"[", "  concave: \"[", "concave: \"[", "concave already means something else"),
        ("{sex: F, value: 2.0}", "{sex: F, from_y: 40, value: 2.0}", "why: R in aVL plus S in V3\n    rows", "no row for a patient, sex F, 0 years"),
        ("{given: {qrs_ms: 120}, expect: fires}", "{given: {qrs_ns: 120}, expect: fires}", "qrs_ns: 120", "qrs_ns is not measured"),
        ("{given: {qrs_ms: 120}, expect: fires}", "{given: {qrs_ms: broad}, expect: fires}", "broad}", "qrs_ms: "),
        ("{given: {qrs_ms: 120}, expect: fires}", "{given: {qrs_ms: 119}, expect: fires}", "{given: {qrs_ms: 119}", "qrs should be 'fires'"),
        ("    when: diffuse\n", "    when: diffuse\n    supersedes: [stemi]\n", "stemi]", "may not put the red stemi aside"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_column(refused, tmp_path, old, new, at, said):
    (problem,) = [each for each in refused(old, new) if said in each[2]]
    edited = (tmp_path / "edited.yaml").read_text(encoding="utf-8")
    line, column = place(edited, at)
    if "no row for" in said:
        line, column = line - 1, 5  # the threshold as a whole
    assert problem[:2] == (line, column)


def test_an_example_that_fails_is_named_with_what_came_instead(refused):
    problems = refused("      - {leads: [V2, V3], where: V2-V3, who: woman, sex: F, value: 0.15}", "      - {leads: [V2, V3], sex: F, value: 0.16}")
    line, column = place(TEXT, "{given: {st_j_mv: {V2: 0.15, V3: 0.15}, sex: F}")
    assert (line, column, "the example fails: stemi should be 'fires' and is 'silent'") in problems


def test_every_mistake_is_told_at_once(refused):
    problems = refused(WIDE, "    when: qrs_ns >= wide_qrs_mv\n")
    assert {text.split("'")[1] for _, _, text in problems if "'" in text} >= {"qrs_ns", "wide_qrs_mv"}


def test_two_rules_that_put_each_other_aside_are_refused(tmp_path):
    text = TEXT.replace("supersedes: [stemi_wide_qrs]", "supersedes: [avr_pattern]")
    text = text.replace("    when: many_depressed\n", "    when: many_depressed\n    supersedes: [sgarbossa]\n")
    (tmp_path / "edited.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(RulebookInvalid, match="sgarbossa and avr_pattern put each other aside: both would be lost"):
        load(tmp_path / "edited.yaml")


def test_a_finding_whose_words_or_evidence_need_what_was_not_measured_is_told_all_the_same(tmp_path):
    text = TEXT.replace('message: "Wide QRS: the ST rule', "message: \"{string(st_j_mv['V9'])} Wide QRS: the ST rule")
    text = text.replace("{name: qrs_ms, measured: qrs_ms,", "{name: qrs_ms, each: \"[highest({'V1': st_j_mv['V9']}, leads)]\", measured: qrs_ms,")
    (tmp_path / "edited.yaml").write_text(text, encoding="utf-8")
    (wide,) = apply(load(tmp_path / "edited.yaml"), measured(qrs_ms=130)).findings
    assert (wide.rule, wide.title, wide.values) == ("stemi_wide_qrs", "Wide QRS", ())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"id: [", "edited.yaml:1:6: "),
        (b"", "edited.yaml:1:1: is empty"),
        (b"id: \xff", "is not UTF-8"),
        (b"id: \x00", "is not YAML"),
        (b"[" * 5000, "edited.yaml:1:"),
        (b"a: &a [1]\nb: *a", "an alias"),
        (b"1: x", "edited.yaml:1:1: a key must be text"),
        (b"a: 2020-99-99", "edited.yaml:1:4: is no text, number or date"),
        (b"x" * 1_100_000, "is larger than 1024 KiB"),
        (b"just words", "edited.yaml:1:1: "),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_rulebook_at_all_is_refused_in_words(tmp_path, content, said):
    path = tmp_path / "edited.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RulebookInvalid) as error:
        load(path)
    assert said in str(error.value)
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


PROFILE = """\
id: coast
version: "1"
rulebook: ecg
thresholds:
  wide_qrs_ms: {value: 110, why: as the region has agreed}
rules:
  posterior_suspicion: {priority: red}
"""


def test_a_profile_changes_a_threshold_and_a_priority_and_nothing_else(tmp_path):
    (tmp_path / "coast.yaml").write_text(PROFILE, encoding="utf-8")
    book = load(SHIPPED, tmp_path / "coast.yaml")
    (wide,) = apply(book, measured(qrs_ms=115)).findings
    assert (wide.rule, wide.values[0].threshold, wide.values[0].why) == ("stemi_wide_qrs", 110, "as the region has agreed")
    assert apply(book, measured(V2=-0.06, V3=-0.06)).findings[0].priority is Priority.RED
    assert apply(book, measured(V2=0.3, V3=0.3)) == apply(shipped(), measured(V2=0.3, V3=0.3))
    assert book.version == f"{shipped().version}+coast 1"
    assert apply(shipped(), measured(qrs_ms=115)).findings == ()


@pytest.mark.parametrize(
    ("old", "new", "at", "said"),
    [
        ("wide_qrs_ms:", "wide_qrs:", "wide_qrs:", "wide_qrs is not in the rulebook"),
        ("posterior_suspicion:", "posterior:", "posterior:", "posterior is not in the rulebook"),
        ("rulebook: ecg", "rulebook: eeg", "eeg", "is a profile of eeg"),
        ("wide_qrs_ms:", "st_elevation_mv:", "st_elevation_mv:", "must depend on the lead"),
        ("{priority: red}", "{urgency: red}", "urgency", "no word that is known"),
        (
            "rules:\n  posterior_suspicion: {priority: red}",
            "rules:\n  sgarbossa: {priority: yellow}\n  stemi_wide_qrs: {priority: red}",
            "rules:\n",
            "may not put",
        ),
    ],
)
def test_a_profile_that_names_what_is_not_there_is_refused(tmp_path, old, new, at, said):
    edited = PROFILE.replace(old, new)
    (tmp_path / "coast.yaml").write_text(edited, encoding="utf-8")
    with pytest.raises(RulebookInvalid) as error:
        load(SHIPPED, tmp_path / "coast.yaml")
    (problem,) = [each for each in error.value.problems if said in each.text]
    assert (problem.line, problem.column) == place(edited, at)


def run(*arguments):
    return CliRunner().invoke(rules.app, [str(each) for each in arguments])


def test_the_list_names_every_rule():
    listed = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]
    assert [each["rule"] for each in listed] == list(shipped().text.rules)
    assert {each["review"] for each in listed} == {"required"}
    told = run("list")
    assert told.exit_code == 0
    assert all(each in told.stdout for each in ("stemi", "sgarbossa", "red", "yellow"))


def test_a_rule_is_shown_with_all_that_it_rests_on():
    told = json.loads(run("show", "stemi", "--json").stdout)
    assert set(told["thresholds"]) == {
        name
        for name in shipped().text.thresholds
        if name.startswith(("st_el", "st_t", "st_kept", "sok", "corn", "hypertrophy", "diff", "reci", "strain", "wide_qrs", "pericarditis_pr"))
    }
    assert set(told["gates"]) == {"wide_qrs", "wide_but_right", "hypertrophy", "strain", "diffuse"}
    assert {"elevated", "elevated_groups", "raised"} <= set(told["definitions"])
    printed = run("show", "stemi")
    assert printed.exit_code == 0
    assert "man of 40 or older" in printed.stdout
    assert run("show", "no_such_rule").exit_code == 1


def test_check_says_what_is_wrong_where_and_ends_with_status_1(tmp_path):
    assert run("check").exit_code == 0
    edited = tmp_path / "edited.yaml"
    edited.write_text(TEXT.replace(WIDE, "    when: qrs_ns >= wide_qrs_ms\n"), encoding="utf-8")
    line, column = place(edited.read_text(encoding="utf-8"), "qrs_ns")
    told = run("check", edited)
    assert told.exit_code == 1
    assert f"edited.yaml:{line}:{column}: undeclared reference to 'qrs_ns'" in told.stdout
    as_json = run("check", edited, "--json")
    assert as_json.exit_code == 1
    assert {"line": line, "column": column, "text": "undeclared reference to 'qrs_ns'"} in json.loads(as_json.stdout)["problems"]
    assert json.loads(run("check", "--json").stdout)["problems"] == []
