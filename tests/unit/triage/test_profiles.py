"""A region's profile is chosen by its name, judged by, and named in every reading; one that is not there is refused with those that are."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.vocabulary import Priority
from services.program.cli import app
from services.program.serve import check
from services.runtime.archive import UploadedFile
from services.runtime.errors import ConfigurationError
from services.runtime.settings import settings_from_environment
from services.triage.app import answer
from services.triage.decode import decode
from services.triage.reading import not_evaluable, read, read_recording, warm_up
from services.triage.rulebook import SHIPPED, Rulebook, UnknownProfile, shipped, shipped_for
from services.triage.rulebook.profiles import load_named, profile_names

LOWLAND = """\
id: lowland
version: "3"
rulebook: ecg
thresholds:
  st_elevation_mv: {unknown: lowest, rows: [{where: all leads, value: 3.0}, {leads: [V2], where: V2, value: 3.0}]}
"""
RED = "vendor/philips-1.03/129DYNRG.XML"


def beside_the_rulebook(folder: Path, name: str, text: str = LOWLAND) -> Path:
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return Path(shutil.copy(SHIPPED, folder / "ecg.yaml"))


@pytest.fixture
def lowland(tmp_path) -> Rulebook:
    return load_named(beside_the_rulebook(tmp_path, "lowland"), "lowland")


@pytest.fixture(autouse=True)
def _environment(monkeypatch) -> None:
    for name, value in {"KAFKA": "none", "REDIS": "none", "BLOBS": "none", "DIRECTORY": "none", "ACCESS": "none"}.items():
        monkeypatch.setenv(f"GREENCHANNEL_{name}", value)


def test_a_profile_is_judged_by_and_named_in_the_reading(uploaded, lowland):
    as_shipped, _ = read(uploaded(RED), age_y=None, sex=None)
    reading, _ = read(uploaded(RED), age_y=None, sex=None, rulebook=lowland)
    assert (as_shipped.priority, as_shipped.rulebook_version) == (Priority.RED, shipped().version)
    assert reading.priority is not Priority.RED
    assert (reading.rulebook, reading.rulebook_version) == ("ecg", f"{shipped().version}+lowland 3")


def test_it_is_named_also_where_nothing_could_be_judged(uploaded, lowland):
    said = f"{shipped().version}+lowland 3"
    unreadable = [UploadedFile("recording", b"no recording")]
    flat = decode(uploaded(RED))
    flat = replace(flat, samples_mv=flat.samples_mv * 0)
    readings = [
        read(unreadable, age_y=None, sex=None, rulebook=lowland)[0],
        read_recording(flat, age_y=None, sex=None, rulebook=lowland),
        not_evaluable((), age_y=None, sex=None, rulebook=lowland),
    ]
    assert [(reading.priority, reading.rulebook_version) for reading in readings] == [(Priority.NOT_EVALUABLE, said)] * 3


def test_a_worker_judges_by_the_rulebook_that_it_was_born_with(uploaded, lowland):
    warm_up(lowland)
    (file,) = uploaded(RED)
    earlier = {"at": "2026-03-01T03:00:00Z", "found": []}
    task = {"media_type": "application/octet-stream", "age_y": None, "sex": None, "earlier": earlier}
    told, _ = answer(lowland, task, file.content)
    assert (told["rulebook_version"], told["priority"] == "red") == (f"{shipped().version}+lowland 3", False)
    assert answer(shipped(), task, file.content)[0]["priority"] == "red"
    assert answer(lowland, task | {"media_type": "application/unknown"}, b"")[0]["rulebook_version"] == f"{shipped().version}+lowland 3"


def test_a_name_that_no_profile_has_is_refused_with_those_that_there_are(tmp_path):
    rulebook = beside_the_rulebook(tmp_path, "lowland")
    beside_the_rulebook(tmp_path, "coast")
    assert profile_names(rulebook) == ("coast", "lowland")
    for wrong in ("lowlnd", "ecg", "../lowland", ""):
        with pytest.raises(UnknownProfile, match="coast, lowland"):
            load_named(rulebook, wrong)


def test_a_service_whose_environment_names_no_profile_that_there_is_does_not_start(monkeypatch):
    check(settings_from_environment())
    monkeypatch.setenv("GREENCHANNEL_RULES_PROFILE", "nowhere")
    with pytest.raises(ConfigurationError, match=r"^GREENCHANNEL_RULES_PROFILE: there is no profile nowhere: ") as refused:
        check(settings_from_environment())
    assert all(name in str(refused.value) for name in profile_names(SHIPPED))


def test_every_profile_that_comes_with_the_program_may_be_used_and_bears_the_name_that_it_is_chosen_by():
    for name in profile_names(SHIPPED):
        assert f"+{name} " in shipped_for(name).version


def test_triage_on_the_command_line_refuses_a_profile_that_is_not_there(recordings):
    done = CliRunner().invoke(app, ["triage", str(recordings / RED), "--profile", "nowhere"])
    assert done.exit_code == 1
    assert "there is no profile nowhere" in done.stderr
    assert done.stdout == ""


def test_triage_on_the_command_line_shows_a_finding_in_both_languages(recordings):
    done = CliRunner().invoke(app, ["triage", str(recordings / RED)])
    assert done.exit_code == 0
    assert "STEMI, anterior" in done.stdout
    assert "ST段抬高型心肌梗死" in done.stdout.replace("\n", "")
