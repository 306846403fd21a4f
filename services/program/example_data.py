"""What a new data folder begins with: an example centre, clinic and cardiologist, plainly marked, and their tokens."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from contracts.access import digest_of

DIRECTORY = """\
# Example data: replace it with your own centres, clinics and people, then start again.
version: example-1
centres:
  demo-centre:
    name: Example Chest Pain Centre
    standing_number: 555-0100
    standing_alarm: local
    on_call: [demo-cardiologist]
clinics:
  demo-clinic:
    name: Example Township Clinic
    centre: demo-centre
people:
  demo-cardiologist:
    name: Example Cardiologist
    # An Apprise address each (mailto://, wecombot://, json://...); the first is used. 'local' is this machine's pager file.
    methods:
      local: local
"""


@dataclass(frozen=True)
class Files:
    """Where the parts of a data folder lie."""

    directory: Path
    access: Path
    patient_key_secret: Path
    client: Path
    pager: Path


def files_of(data: Path) -> Files:
    return Files(
        directory=data / "directory.yaml",
        access=data / "access.yaml",
        patient_key_secret=data / "patient-key.secret",
        client=data / "client.toml",
        pager=data / "pager.jsonl",
    )


def write_example_data(data: Path, url: str) -> Files:
    """Write what is missing of the example data, readable by the owner only, and the address into client.toml; return where all lies."""
    files = files_of(data)
    _write_new(files.directory, DIRECTORY)
    _write_new(files.patient_key_secret, secrets.token_hex(32))
    if not files.access.exists() or not files.client.exists():
        clinic_token, person_token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        access = {
            "clinics": [{"token_sha256": digest_of(clinic_token), "clinic": "demo-clinic"}],
            "people": [{"token_sha256": digest_of(person_token), "person": "demo-cardiologist"}],
        }
        _replace(files.access, json.dumps(access, indent=2) + "\n")  # JSON is YAML
        _replace(files.client, _client_toml(url, clinic_token, person_token))
    else:
        lines = files.client.read_text(encoding="utf-8").splitlines()
        _replace(files.client, "\n".join([f'url = "{url}"', *(line for line in lines if not line.startswith("url "))]) + "\n")
    return files


def _client_toml(url: str, clinic_token: str, person_token: str) -> str:
    return "\n".join(
        (
            f'url = "{url}"',
            'clinic = "demo-clinic"',
            f'clinic_token = "{clinic_token}"',
            'person = "demo-cardiologist"',
            f'person_token = "{person_token}"',
            "",
        )
    )


def _write_new(path: Path, text: str) -> None:
    if not path.exists():
        _replace(path, text)


def _replace(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.unfinished")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    unfinished.replace(path)
