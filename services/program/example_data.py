"""What a new data folder begins with: an example centre, clinic and cardiologist, plainly marked, the secret of patient keys, and a client's file."""

import json
import os
import re
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.runtime.errors import ConfigurationError

CLINIC, PERSON = "demo-clinic", "demo-cardiologist"  # as DIRECTORY below has them
_URL = re.compile(r"\s*url\s*=")

DIRECTORY = """\
# Example data: replace it with your own centres, clinics and people; `greenchannel directory check` says what is wrong, line by line,
# and `greenchannel directory load` makes every service go by it.
version: example-1
timezone: Asia/Shanghai
centres:
  demo-centre:
    name: Example Chest Pain Centre
    network: demo
    standing_number: 555-0100
    standing_alarm: local
    capabilities: [pci]
    policy: demo
clinics:
  demo-clinic:
    name: Example Township Clinic
    network: demo
    travel_min: {demo-centre: 35}
    lysis_min: 10
people:
  demo-cardiologist:
    name: Example Cardiologist
    # In the order in which they are tried; an Apprise address each (mailto://, wecombot://, json://...). 'local' is this machine's pager file.
    methods:
      local: {address: local, rings: true}
  demo-coordinator:
    name: Example Coordinator
    methods:
      local: {address: local, rings: true}
rosters:
  demo-cardiologists:
    rotation:
      - {people: [demo-cardiologist], begins: 2026-01-01T08:00:00, shift_h: 24}
policies:
  demo:
    steps:
      - {page: ["roster:demo-cardiologists"], wait_s: 60}
      - {page: ["person:demo-coordinator"], wait_s: 60}
"""


@dataclass(frozen=True)
class Files:
    """Where the parts of a data folder lie."""

    directory: Path
    patient_key_secret: Path
    client: Path
    pager: Path
    earlier_access: Path  # tokens lay in a file once; see first_start


def files_of(data: Path) -> Files:
    return Files(
        directory=data / "directory.yaml",
        patient_key_secret=data / "patient-key.secret",
        client=data / "client.toml",
        pager=data / "pager.jsonl",
        earlier_access=data / "access.yaml",
    )


def write_example_data(data: Path) -> Files:
    """Write what is missing of the example data, readable by the owner only; return where all lies. What is there is a person's by now."""
    files = files_of(data)
    _write_new(files.directory, DIRECTORY)
    _write_new(files.patient_key_secret, secrets.token_hex(32))
    return files


def write_client(client: Path, told: Mapping[str, str]) -> None:
    """Write what a command finds the server by: its address, the example clinic's and person's ids and tokens."""
    _replace(client, "".join(f"{name} = {json.dumps(value)}\n" for name, value in told.items()))


def write_url(client: Path, url: str) -> None:
    """Have the server's address in a client's file; all else in it stays. Raises ConfigurationError."""
    try:
        lines = client.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(client, f"cannot be read ({type(error).__name__}): delete it and start again, it is written anew") from None
    _replace(client, "\n".join([f'url = "{url}"', *(line for line in lines if not _URL.match(line))]) + "\n")


def _write_new(path: Path, text: str) -> None:
    if not path.exists():
        _replace(path, text)


def _replace(path: Path, text: str) -> None:
    """Have the whole text under its name, on the disk: a power cut must not lose the secret that all patient keys are made with."""
    path = path.resolve()  # a link that a person made goes on leading where it does
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600
    unfinished = path.with_name(f".{path.name}.unfinished")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
