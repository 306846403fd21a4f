"""A data folder's example data: written once, and never over what a person wrote."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.access import Access, ClinicToken, PersonToken, digest_of
from services.program.access_file import with_token
from services.program.example_data import DIRECTORY, write_example_data
from services.runtime.errors import ConfigurationError
from services.runtime.yaml_files import read_access
from tests.conftest import ROOT

URL, OTHER_URL = "http://127.0.0.1:1", "http://127.0.0.1:2"
OWN = digest_of("own")
OWN_ACCESS = f"""\
# Ours since 2026-03
clinics:
  # the cart of the first floor
  - token_sha256: {OWN}
    clinic: demo-clinic  # until the new one is listed

  # kept for the second cart
people:
- {{token_sha256: "{OWN}", person: demo-cardiologist}}  # Li's telephone
"""


def tokens(data: Path) -> dict[str, str]:
    return tomllib.loads((data / "client.toml").read_text())


def may(data: Path, who: str) -> bool:
    return read_access(data / "access.yaml").holder(tokens(data)[f"{who}_token"]) is not None


def test_a_new_folder_has_tokens_that_are_known_and_readable_by_the_owner_only(tmp_path: Path):
    files = write_example_data(tmp_path, URL)
    assert may(tmp_path, "clinic")
    assert may(tmp_path, "person")
    assert tokens(tmp_path)["url"] == URL
    assert {path.stat().st_mode & 0o777 for path in (files.access, files.client, files.patient_key_secret, files.directory)} == {0o600}


def test_a_second_start_changes_nothing_but_the_address(tmp_path: Path):
    files = write_example_data(tmp_path, URL)
    before = {path: path.read_bytes() for path in (files.access, files.patient_key_secret, files.directory)}
    known = tokens(tmp_path)
    write_example_data(tmp_path, OTHER_URL)
    assert before == {path: path.read_bytes() for path in before}
    assert tokens(tmp_path) == known | {"url": OTHER_URL}


def test_where_only_client_toml_was_deleted_a_persons_access_file_keeps_every_line(tmp_path: Path):
    write_example_data(tmp_path, URL)
    (tmp_path / "client.toml").unlink()
    (tmp_path / "access.yaml").write_text(OWN_ACCESS)
    (tmp_path / "access.yaml").chmod(0o640)
    write_example_data(tmp_path, URL)
    after = (tmp_path / "access.yaml").read_text()
    assert set(OWN_ACCESS.splitlines()) <= set(after.splitlines())
    assert read_access(tmp_path / "access.yaml").holder("own") is not None
    assert may(tmp_path, "clinic")
    assert may(tmp_path, "person")
    assert (tmp_path / "access.yaml").stat().st_mode & 0o777 == 0o640


def test_a_link_to_an_access_file_elsewhere_stays_a_link(tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "ours.yaml").write_text(OWN_ACCESS)
    (tmp_path / "data" / "access.yaml").symlink_to(tmp_path / "ours.yaml")
    write_example_data(tmp_path / "data", URL)
    assert (tmp_path / "data" / "access.yaml").is_symlink()
    assert may(tmp_path / "data", "clinic")


def test_where_the_directory_has_no_example_clinic_no_token_of_it_is_made(tmp_path: Path):
    (tmp_path / "directory.yaml").write_text(DIRECTORY.replace("demo-clinic", "dongshan"))
    (tmp_path / "access.yaml").write_text(f"clinics: [{{token_sha256: {OWN}, clinic: dongshan}}]\n")
    write_example_data(tmp_path, URL)
    assert [each.clinic for each in read_access(tmp_path / "access.yaml").clinics] == ["dongshan"]
    assert "clinic_token" not in tokens(tmp_path)
    assert may(tmp_path, "person")


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "clinics: []",
        "clinics: []\npeople: []\n",
        '{"clinics": [], "people": []}',
        f"people: [{{token_sha256: {OWN}, person: li}},]",
        f"clinics:\n- {{token_sha256: {OWN}, clinic: a}}",
        f"---\nclinics:\n    -   clinic: a\n        token_sha256: {OWN}\n# end\n",
        f"clinics:\n- token_sha256: {OWN}\n  clinic: a\r\n",
        OWN_ACCESS,
    ],
)
def test_a_token_is_added_to_whatever_a_person_may_write(tmp_path: Path, text: str):
    path = tmp_path / "access.yaml"
    path.write_text(text)
    before = read_access(path)
    clinic, person = ClinicToken(token_sha256=digest_of("new"), clinic="a"), PersonToken(token_sha256=digest_of("also"), person="li")
    for token in (clinic, person):
        path.write_text(with_token(path, token))
    assert read_access(path) == Access(clinics=(*before.clinics, clinic), people=(*before.people, person))


@given(st.text(max_size=60) | st.sampled_from(["clinics: []\n...\n", "clinics:\n", "people: []\n...\n# end"]))
def test_a_file_that_cannot_be_added_to_is_refused_in_words_or_added_to_and_never_damaged(tmp_path_factory: pytest.TempPathFactory, text: str):
    path = tmp_path_factory.mktemp("access") / "access.yaml"
    path.write_text(text)
    token = ClinicToken(token_sha256=digest_of("new"), clinic="a")
    try:
        before = read_access(path)
        path.write_text(with_token(path, token))
    except ConfigurationError:
        return
    assert read_access(path) == before.model_copy(update={"clinics": (*before.clinics, token)})


def test_a_file_that_is_written_too_cleverly_to_be_added_to_is_refused_with_what_to_do(tmp_path: Path):
    path = tmp_path / "access.yaml"
    path.write_text(f"clinics: &all\n- token_sha256: {OWN}\n  clinic: a\n")
    with pytest.raises(ConfigurationError, match="by hand"):
        with_token(path, ClinicToken(token_sha256=digest_of("new"), clinic="a"))


def test_a_file_that_is_not_utf_8_is_refused_with_what_to_do(tmp_path: Path):
    path = tmp_path / "access.yaml"
    path.write_bytes("# 东山\nclinics: []\n".encode("gbk"))
    with pytest.raises(ConfigurationError, match="save it again as UTF-8"):
        read_access(path)


@pytest.mark.needs_package("strace", "strace")
def test_the_secret_of_the_patient_keys_is_on_the_disk_before_it_has_its_name_and_its_name_before_it_is_used(tmp_path: Path):
    data, trace = tmp_path / "data", tmp_path / "trace"
    data.mkdir()
    code = (
        "import pathlib, sys; from services.program.example_data import write_example_data; write_example_data(pathlib.Path(sys.argv[1]), 'http://x')"
    )
    watched = ["strace", "-f", "-y", "-e", "trace=fsync,rename,renameat,renameat2", "-o", str(trace), sys.executable, "-c", code, str(data)]
    subprocess.run(watched, cwd=ROOT, env=os.environ, check=True, timeout=60)
    calls = trace.read_text().splitlines()
    secret = [number for number, call in enumerate(calls) if "patient-key.secret" in call]
    synced, renamed = secret[0], secret[1]
    assert "fsync(" in calls[synced]
    assert "rename" in calls[renamed]
    assert "fsync(" in calls[renamed + 1]
    assert f"<{data}>" in calls[renamed + 1]
