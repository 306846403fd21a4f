"""The README is true: every command of `greenchannel` in it is typed as it stands, and every setting in it exists."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

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
