"""What a terminal shows can be copied from it and typed."""

import subprocess
import sys
from pathlib import Path

import pytest

from services.program.typed import typed


def answers(command: str, folder: Path) -> bool:
    return subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, timeout=60, check=False).returncode == 0


def test_a_command_works_where_the_environment_was_not_activated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    shown = typed("case", "--help")
    assert shown != "greenchannel case --help"
    assert answers(shown, tmp_path)


def test_where_it_was_activated_the_name_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    assert typed("case", "list") == "greenchannel case list"
    assert answers(typed("case", "--help"), tmp_path)


def test_another_programs_name_is_not_taken_for_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "greenchannel").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "greenchannel").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    assert answers(typed("case", "--help"), tmp_path)


def test_the_folder_is_named_where_it_is_not_the_one_that_is_looked_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert typed("case", "list", data=tmp_path / "greenchannel-data").endswith("case list")
    assert typed("case", "list", data=tmp_path / "a b").endswith(f"case list --data '{tmp_path}/a b'")
