"""What `up` tells its services."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.local.stack import StackAddresses
from services.program.cli import app
from services.program.example_data import files_of
from services.program.up import _settings

URL = "http://127.0.0.1:8080"


@pytest.mark.parametrize(("told", "link"), [("https://console.county.test", "https://console.county.test"), ("", URL), (None, URL)])
def test_pages_link_to_the_address_that_is_given_else_to_this_machines(monkeypatch: pytest.MonkeyPatch, told: str | None, link: str):
    monkeypatch.delenv("GREENCHANNEL_LINK", raising=False)
    if told is not None:
        monkeypatch.setenv("GREENCHANNEL_LINK", told)
    assert _settings(StackAddresses("127.0.0.1:1", "redis://127.0.0.1:2/0", "file:///blobs"), files_of(Path("data")), URL).link == link


@pytest.mark.parametrize("command", ["up", "stack"])
@pytest.mark.parametrize(("name", "told"), [("INSTANCE", "bad name!"), ("REPLICATION", "three")])
def test_a_setting_that_no_service_takes_is_refused_before_anything_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, name: str, told: str
):
    monkeypatch.setenv(f"GREENCHANNEL_{name}", told)
    ended = CliRunner().invoke(app, [command, "--data", str(tmp_path / "data")])
    assert ended.exit_code == 1
    assert f"GREENCHANNEL_{name}: " in ended.stderr
    assert "nothing was started" in ended.stderr
    assert not (tmp_path / "data").exists()
