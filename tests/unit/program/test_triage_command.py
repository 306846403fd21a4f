"""`greenchannel triage`: a line for each file that can be read, whatever the others are."""

import json
from pathlib import Path

from typer.testing import CliRunner

from services.program.cli import app


def test_a_file_that_is_missing_keeps_no_other_from_being_judged(recordings: Path, tmp_path: Path):
    first, last = (str(recordings / "vendor/philips-1.03" / name) for name in ("129DYNRG.XML", "129DYPRG.XML"))
    done = CliRunner().invoke(app, ["triage", first, str(tmp_path / "missing.dcm"), last, "--json"])
    assert [json.loads(line)["file"] for line in done.stdout.splitlines()] == [first, last]
    assert "missing.dcm" in done.stderr
    assert done.exit_code == 1


def test_what_could_not_be_judged_is_printed_with_the_rate_and_the_rulebook(recordings: Path):
    told = CliRunner().invoke(app, ["triage", str(recordings / "challenge/JS45545.hea")], env={"COLUMNS": "200"}).stdout
    assert any(line.startswith("  not judged:") and "stemi" in line for line in told.splitlines())
    assert "rate 187 /min" in told
    assert "rulebook ecg" in told
