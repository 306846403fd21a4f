"""A data folder's example data: written once, and never over what a person wrote."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from services.program.directory_file import checked_directory_file
from services.program.example_data import CLINIC, PERSON, write_client, write_example_data, write_url
from services.runtime.errors import ConfigurationError
from tests.conftest import ROOT
from tests.integration.directories import T0


def test_what_a_new_folder_begins_with_makes_sense_and_is_readable_by_the_owner_only(tmp_path: Path):
    files = write_example_data(tmp_path)
    write_client(files.client, {"url": "http://x", "clinic_token": 'a"b'})
    directory, contacts = checked_directory_file(files.directory, T0)
    assert (CLINIC in directory.clinics, PERSON in directory.people) == (True, True)
    assert contacts.people[PERSON].keys() == directory.people[PERSON].methods.keys()
    assert tomllib.loads(files.client.read_text()) == {"url": "http://x", "clinic_token": 'a"b'}
    assert {path.stat().st_mode & 0o777 for path in (files.client, files.patient_key_secret, files.directory)} == {0o600}


def test_what_is_there_is_a_persons_and_stays(tmp_path: Path):
    files = write_example_data(tmp_path)
    files.directory.write_text("# ours\n")
    files.directory.chmod(0o640)
    before = files.patient_key_secret.read_bytes()
    write_example_data(tmp_path)
    assert (files.directory.read_text(), files.patient_key_secret.read_bytes()) == ("# ours\n", before)
    assert files.directory.stat().st_mode & 0o777 == 0o640


def test_a_new_address_changes_no_other_line_of_a_clients_file_nor_a_link_to_it(tmp_path: Path):
    (tmp_path / "ours.toml").write_text('# ours\nurl = "http://old"\nclinic = "a"\n')
    client = tmp_path / "client.toml"
    client.symlink_to(tmp_path / "ours.toml")
    write_url(client, "http://new")
    assert client.is_symlink()
    assert client.read_text() == 'url = "http://new"\n# ours\nclinic = "a"\n'
    client.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="delete it and start again"):
        write_url(client, "http://new")


@pytest.mark.needs_package("strace", "strace")
def test_the_secret_of_the_patient_keys_is_on_the_disk_before_it_has_its_name_and_its_name_before_it_is_used(tmp_path: Path):
    data, trace = tmp_path / "data", tmp_path / "trace"
    data.mkdir()
    code = "import pathlib, sys; from services.program.example_data import write_example_data; write_example_data(pathlib.Path(sys.argv[1]))"
    watched = ["strace", "-f", "-y", "-e", "trace=fsync,rename,renameat,renameat2", "-o", str(trace), sys.executable, "-c", code, str(data)]
    subprocess.run(watched, cwd=ROOT, env=os.environ, check=True, timeout=60)
    calls = trace.read_text().splitlines()
    secret = [number for number, call in enumerate(calls) if "patient-key.secret" in call]
    synced, renamed = secret[0], secret[1]
    assert "fsync(" in calls[synced]
    assert "rename" in calls[renamed]
    assert "fsync(" in calls[renamed + 1]
    assert f"<{data}>" in calls[renamed + 1]
