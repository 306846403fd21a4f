"""`greenchannel triage`: a line for each file in their order, whatever the others are."""

import json
from pathlib import Path

from typer.testing import CliRunner

from services.program.cli import app


def test_a_file_that_is_missing_keeps_no_other_from_being_judged(recordings: Path, tmp_path: Path):
    first, last = (str(recordings / "vendor/philips-1.03" / name) for name in ("129DYNRG.XML", "129DYPRG.XML"))
    missing = str(tmp_path / "missing.dcm")
    done = CliRunner().invoke(app, ["triage", missing, first, missing, last, "--json"])
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["file"] for each in told] == [missing, first, missing, last]
    assert [("priority" in each, "is not there" in each.get("error", "")) for each in told] == [(False, True), (True, False)] * 2
    assert "missing.dcm" in done.stderr
    assert done.exit_code == 1
    for_people = CliRunner().invoke(app, ["triage", missing, first])
    assert (for_people.exit_code, "129DYNRG" in for_people.stdout, "missing.dcm: is not there" in for_people.stderr) == (1, True, True)


def test_what_could_not_be_judged_is_printed_with_the_rate_and_the_rulebook(recordings: Path):
    told = CliRunner().invoke(app, ["triage", str(recordings / "challenge/JS45545.hea")], env={"COLUMNS": "200"}).stdout
    assert any(line.startswith("  not judged:") and "stemi" in line for line in told.splitlines())
    assert "rate 187 /min" in told
    assert "rulebook ecg" in told
