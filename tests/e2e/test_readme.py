"""The README is true: every command of `greenchannel` in it is typed as it stands, and every setting in it exists."""

import json
import os
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.gateway.facts import KNOWN
from services.notify.callbacks import Word
from services.program.judging import judge, synthetic
from services.runtime.settings import PREFIX, Settings
from tests.conftest import ROOT
from tests.e2e.centre import Centre

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]


def test_every_command_of_the_readme_works_as_it_stands(centre: Centre, tmp_path: Path):
    (tmp_path / "greenchannel-data").symlink_to(centre.data)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    activate = next(line for line in COMMANDS if line.endswith("/activate"))
    typed = [line for line in COMMANDS if line.startswith("greenchannel ")]
    assert len(typed) >= 6
    for line in typed:
        terminal = ["bash", "-c", f"{activate} && {line}"]
        done = subprocess.run(terminal, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr}"


def test_every_make_target_of_the_readme_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = [shlex.split(line)[1] for line in COMMANDS if line.startswith("make ")]
    assert {"demo", "test", "lint", "bench"} <= set(targets)
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_every_setting_is_in_the_readme_and_no_other():
    told = set(re.findall(rf"`({PREFIX}[A-Z_]+)", README))
    assert told == {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}


def test_what_the_transcript_says_of_the_patient_is_what_the_program_says(tmp_path: Path):
    recording = tmp_path / "anterior.dcm"
    recording.write_bytes(synthetic("anterior", st_mv=None, seed=7, age_y=61, sex="M", made_at=datetime.now(UTC)))
    (told,) = judge([recording], age_y=61, sex="M", profile=None)
    finding = told["findings"][0]
    assert re.findall(r"^ *(assessed .*)$", README, re.MULTILINE) == [f"assessed {told['priority']}: {finding['title']} {finding['title_zh']}"]


def test_the_callback_of_the_readme_is_one_that_is_taken_today():
    body = "\n".join(line for line in COMMANDS if line.startswith(("at=", "body=")))
    printed = subprocess.run(["bash", "-c", f'{body}\nprintf "%s" "$body"'], capture_output=True, text=True, check=True).stdout
    word = Word.model_validate(json.loads(printed) | {"notice_id": "5f4a9f0e-8a70-5b51-9c1e-6d2f3b7c1a44"})
    assert abs(word.at - datetime.now(UTC)) < timedelta(minutes=5)


def test_every_fact_of_an_upload_is_in_the_readme():
    assert [name for name in KNOWN if f"`{name}`" not in README] == []
