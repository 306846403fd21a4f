"""`greenchannel directory check`: what makes no sense as a whole is told with its line, and what makes sense passes."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.directory import Contacts
from services.program.cli import app
from services.program.directory_check import Problem, check
from services.program.directory_file import DirectoryRefused, checked_directory_file, checked_with_remarks, read_directory_file
from tests.unit.program.directory_text import NOW, TEXT, line_of, with_part, written


def found(folder: Path, text: str, at: datetime = NOW) -> list[Problem]:
    try:
        checked_directory_file(written(folder, text), at)
    except DirectoryRefused as refused:
        return list(refused.problems)
    return []


def test_a_directory_that_makes_sense_passes(tmp_path: Path):
    assert found(tmp_path, TEXT) == []


def test_the_example_that_a_new_folder_begins_with_passes(tmp_path: Path):
    from services.program.example_data import DIRECTORY

    assert found(tmp_path, DIRECTORY) == []


ROTATION = "- {people: [ann, bob], begins: 2026-01-01T08:00:00}"
OVERRIDE = "- {person: bob, begins: 2026-03-05T08:00:00+08:00, ends: 2026-03-06T08:00:00+08:00}"
LAST = '      - page: ["person:bob"]\n'
MISTAKES = [  # old, new, the part whose line it is, where, what
    ("    policy: red\n    reading", "    policy: rot\n    reading", "policy: rot", "centres.county.policy", "policy rot is not listed"),
    ("reading_policy: reading", "reading_policy: books", "policy: books", "centres.county.reading_policy", "policy books is not listed"),
    ("{county: 35}", "{county: 35, town: 5}", "town: 5", "clinics.village.travel_min.town", "centre town is not listed"),
    ("[bob]\nrosters", "[bob, eve]\nrosters", "eve]", "teams.deputies.members.1", "person eve is not listed"),
    ('[ann, "team:deputies"]', '[ann, "team:nurses"]', "nurses", "teams.doctors.members.1", "team nurses is not listed"),
    (ROTATION, ROTATION.replace("bob", "eve"), "eve]", "rosters.on-call.rotation.0.people.1", "person eve is not listed"),
    (OVERRIDE, OVERRIDE.replace("bob", "eve"), "person: eve", "rosters.on-call.overrides.0.person", "person eve is not listed"),
    ('"roster:on-call"', '"roster:on-call", "roster:nights"', "nights", "policies.red.steps.0.page.1", "roster nights is not listed"),
    ("then: last", "then: least", "then: least", "policies.red.then", "policy least is not listed"),
    (
        "  cai:\n",
        "  standing-number:\n    name: N\n    methods: {a: {address: local, rings: true}}\n  cai:\n",
        "standing-number",
        None,
        "take another",
    ),
    ("timezone: Asia/Shanghai", "timezone: Asia/Shanghia", "Shanghia", "timezone", "time zone Asia/Shanghia is not known"),
    ("{county: 35}", "{county: 35, city: 50}", "city: 50", "clinics.village.travel_min.city", "is of network south, the clinic of network north"),
    ("capabilities: [pci]", "capabilities: [trauma]", "  village:", "clinics.village", "reaches no centre with pci in its network north"),
    (OVERRIDE, OVERRIDE.replace("03-06", "03-05"), "person: bob", "rosters.on-call.overrides.0", "ends before it begins"),
    ("[bob]\nrosters", '[bob, "team:deputies"]\nrosters', '"team:deputies"]\nrosters', "teams.deputies.members.1", "a cycle"),
    (LAST, f"{LAST}    then: last\n", "last\n  reading:", "policies.last.then", "last leads back to last: a cycle"),
    (LAST, '      - page: ["person:cai"]\n', 'page: ["person:cai"]\n', "policies.last.steps.0", "may ring nobody: cai has no method that rings"),
    ("bob, begins: 2026-03", "cai, begins: 2026-03", "roster:on-call", "policies.red.steps.0", "may ring nobody: cai has no method that rings"),
]


@pytest.mark.parametrize(("old", "new", "at", "where", "what"), MISTAKES, ids=[f"{row[3]}: {row[4]}" for row in MISTAKES])
def test_a_mistake_is_told_with_its_line(tmp_path: Path, old: str, new: str, at: str, where: str | None, what: str):
    text = with_part(old, new)
    (problem,) = found(tmp_path, text)
    assert problem.line == line_of(text, at)
    assert problem.where == (where or "people.standing-number")
    assert what in problem.what


def test_a_cycle_over_several_teams_and_policies_is_told_at_each_of_its_links(tmp_path: Path):
    text = with_part("[bob]\nrosters", '[bob, "team:doctors"]\nrosters').replace(LAST, f"{LAST}    then: red\n")
    assert [(each.where, each.line) for each in found(tmp_path, text)] == [
        ("teams.doctors.members.1", line_of(text, "team:deputies")),
        ("teams.deputies.members.1", line_of(text, '"team:doctors"]\n')),
        ("policies.red.then", line_of(text, "then: last")),
        ("policies.last.then", line_of(text, "then: red")),
    ]


GAPS = [  # the rotation, and from when to when nobody is on call for the first time; it is Monday 2026-03-02, 12:00
    (["{people: [ann], begins: 2026-03-09T08:00:00}"], "from 2026-03-02 12:00 to 2026-03-05 08:00"),  # the override covers a day of it
    (["{people: [ann], begins: 2027-01-01T08:00:00}"], "from 2026-03-02 12:00 to 2026-03-05 08:00"),
    (["{people: [ann], begins: 2026-01-01T08:00:00, hours: {span: 08:00-18:00}}"], "from 2026-03-02 18:00 to 2026-03-03 08:00"),
    (
        [
            "{people: [ann, bob], begins: 2026-01-01T08:00:00, hours: {span: 08:00-18:00}}",
            "{people: [bob], begins: 2026-01-01T18:00:00, hours: {days: [mon, tue, wed, thu, fri, sun], span: 18:00-08:00}}",
        ],
        "from 2026-03-07 18:00 to 2026-03-08 08:00",
    ),
    (["{people: [ann], begins: 2026-01-01T08:00:00, hours: {span: 00:00-23:59}}"], "from 2026-03-02 23:59 to 2026-03-03 00:00"),
]


@pytest.mark.parametrize(("rotation", "gap"), GAPS, ids=[gap for _, gap in GAPS])
def test_a_roster_with_a_gap_is_refused_with_its_line(tmp_path: Path, rotation: list[str], gap: str):
    text = with_part(ROTATION, "\n      ".join(f"- {layer}" for layer in rotation))
    assert found(tmp_path, text) == [Problem(line_of(text, "  on-call:"), "rosters.on-call", f"nobody is on call {gap}")]


def test_a_gap_is_told_as_long_as_it_is_though_hand_overs_lie_in_it(tmp_path: Path):
    text = with_part(ROTATION, "- {people: [ann], begins: 2026-01-01T08:00:00, shift_h: 1, hours: {days: [mon]}}").replace(OVERRIDE, "[]")
    text = text.replace("overrides:\n      []", "overrides: []")
    assert [each.what for each in found(tmp_path, text)] == ["nobody is on call from 2026-03-03 00:00 to 2026-03-09 00:00"]


def test_a_gap_that_does_not_end_says_so_and_one_after_sixty_days_is_not_looked_for(tmp_path: Path):
    text = with_part(ROTATION, "- {people: [ann], begins: 2027-01-01T08:00:00}").replace("03-06", "04-20")
    assert [each.what for each in found(tmp_path, text, NOW + timedelta(days=10))] == [
        "nobody is on call from 2026-04-20 08:00 on, as far as was looked",
    ]
    assert found(tmp_path, text.replace("04-20", "09-01"), NOW + timedelta(days=10)) == []


def test_layers_that_meet_leave_no_gap_on_the_day_that_summer_time_begins_or_ends(tmp_path: Path):
    layers = [
        "{people: [ann, bob], begins: 2026-01-01T02:30:00, shift_h: 24, hours: {span: 02:30-01:30}}",
        "{people: [bob], begins: 2026-01-01T01:30:00, hours: {span: 01:30-02:30}}",
    ]
    text = with_part(ROTATION, "\n      ".join(f"- {layer}" for layer in layers)).replace("Asia/Shanghai", "America/New_York")
    assert found(tmp_path, text) == []
    assert found(tmp_path, text, NOW + timedelta(days=220)) == []


def test_a_team_is_rung_where_one_of_it_is_and_a_roster_only_where_each_is(tmp_path: Path):
    assert found(tmp_path, with_part(LAST, '      - page: ["person:cai", "team:doctors"]\n')) == []
    assert found(tmp_path, with_part(LAST, '      - page: ["person:cai", "roster:on-call"]\n')) == []
    over = with_part("bob, begins: 2026-03", "cai, begins: 2026-03")
    assert [each.where for each in found(tmp_path, over)] == ["policies.red.steps.0"]
    assert found(tmp_path, over, NOW + timedelta(days=10)) == []  # whose turn is over is asked no more
    mixed = with_part(ROTATION, ROTATION.replace("ann", "cai"))
    assert [each.where for each in found(tmp_path, mixed)] == ["policies.red.steps.0"]


def test_a_policy_that_pages_for_no_red_need_not_ring(tmp_path: Path):
    assert found(tmp_path, with_part("policy: red\n    reading", "policy: last\n    reading")) == []
    assert found(tmp_path, TEXT.replace("    policy: red\n", "    policy: reading\n"))[0].where == "policies.reading.steps.0"


def test_what_has_no_address_is_told_and_who_is_reached_by_nothing_is_no_end_of_a_step(tmp_path: Path):
    directory, contacts = read_directory_file(written(tmp_path, TEXT))
    lost = Contacts(people={"ann": {"call": contacts.people["ann"]["call"]}, "cai": contacts.people["cai"]}, standing_alarms={})
    told = [(each.where, each.what) for each in check(directory, lost, NOW, {})]
    assert ("people.ann.methods.push", "has no address") in told
    assert ("people.bob.methods.call", "has no address") in told
    assert ("centres.city", "has no standing alarm: where nobody is on call, nobody could be rung") in told
    assert ("policies.last.steps.0", "nobody can be reached by this step") in told
    assert ("policies.red.steps.0", "pages for red and may ring nobody: bob has no method that rings") in told


def test_the_command_prints_what_a_directory_holds(tmp_path: Path):
    path = written(tmp_path, TEXT.replace("2026-01-01", "2020-01-01").replace("2026-03-", "9998-03-"))
    done = CliRunner().invoke(app, ["directory", "check", str(path)])
    assert (done.exit_code, done.stdout) == (
        0,
        f"{path}: version spring-1, nothing wrong: centres 2, clinics 1, people 3, teams 2, rosters 1, policies 3\n",
    )
    told = json.loads(CliRunner().invoke(app, ["directory", "check", str(path), "--json"]).stdout)
    assert told == {
        "file": str(path),
        "version": "spring-1",
        "centres": 2,
        "clinics": 1,
        "people": 3,
        "teams": 2,
        "rosters": 1,
        "policies": 3,
        "problems": [],
        "remarks": [],
    }


def test_what_is_over_may_be_loaded_and_is_told_with_its_line(tmp_path: Path):
    text = with_part("    reading_policy: reading\n", '    diverting: {until: 2020-12-24T08:00:00+08:00, reason: "full"}\n')
    path = written(tmp_path, text.replace("2026-", "2020-"))
    done = CliRunner().invoke(app, ["directory", "check", str(path)])
    assert (done.exit_code, "nothing wrong" in done.stdout) == (0, True)
    diverting, override = line_of(text, "diverting"), line_of(text, OVERRIDE)
    assert [line.split(" and ")[0] for line in done.stderr.splitlines()] == [
        f"{path}:{diverting}: centres.county.diverting: is over since 2020-12-24T08:00+08:00",
        f"{path}:{override}: rosters.on-call.overrides.0: is over since 2020-03-06T08:00+08:00",
    ]
    told = json.loads(CliRunner().invoke(app, ["directory", "check", str(path), "--json"]).stdout)
    assert [each["line"] for each in told["remarks"]] == [diverting, override]


def test_what_is_not_over_yet_is_not_remarked_on(tmp_path: Path):
    ends = datetime.fromisoformat("2026-03-06T08:00:00+08:00")
    path = written(tmp_path, TEXT)
    assert checked_with_remarks(path, ends - timedelta(seconds=1))[2] == ()
    assert len(checked_with_remarks(path, ends)[2]) == 1


def test_the_command_ends_with_status_1_and_file_and_line_of_each_mistake(tmp_path: Path):
    path = written(tmp_path, with_part("2026-01-01T08:00:00", "2020-01-01T08:00:00, hours: {span: 08:00-18:00}"))
    done = CliRunner().invoke(app, ["directory", "check", str(path)])
    assert done.exit_code == 1
    assert done.stdout.startswith(f"{path}:{line_of(TEXT, '  on-call:')}: rosters.on-call: nobody is on call from ")
    told = json.loads((done := CliRunner().invoke(app, ["directory", "check", str(path), "--json"])).stdout)
    assert done.exit_code == 1
    assert [(each["line"], each["where"]) for each in told["problems"]] == [(line_of(TEXT, "  on-call:"), "rosters.on-call")]


def test_the_command_says_that_a_file_cannot_be_read(tmp_path: Path):
    done = CliRunner().invoke(app, ["directory", "check", str(tmp_path / "missing.yaml")])
    assert done.exit_code == 1
    assert "cannot be read" in done.stderr
