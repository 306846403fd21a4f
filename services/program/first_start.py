"""What a data folder's Kafka begins with: on the first start its directory.yaml and example tokens; later nothing by itself, but a word."""

from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from contracts.access import AccessEvents, AccountAdded, ClinicTokenAdded, Role
from contracts.directory import Contacts, Directory
from services.program.accounts import new_account, new_clinic_token
from services.program.directory_file import checked_directory_file
from services.program.example_data import CLINIC, DIRECTORY, PERSON, Files, write_client, write_url
from services.program.loading import load, prepare, publish_access, read_accounts, read_loaded
from services.program.typed import typed
from services.runtime.errors import ConfigurationError


async def begin(kafka: str, files: Files, url: str, at: datetime) -> tuple[str, ...]:
    """Have a directory and tokens in Kafka, and client.toml beside them; return what is to be said.

    May be called again wherever it was interrupted. Raises Away, ConfigurationError."""
    await prepare(kafka)
    loaded, contacts = await read_loaded(kafka)
    said: list[str] = []
    if loaded is None or contacts is None:
        loaded, contacts = checked_directory_file(files.directory, at)
        await load(kafka, loaded, contacts, at)
    else:
        said += _differs(files.directory, loaded, contacts, at)
    accounts = await read_accounts(kafka)
    given: list[AccessEvents] = []
    if accounts is None and files.earlier_access.exists():
        given += earlier_tokens(files.earlier_access, at)
        said.append(f"The tokens of {files.earlier_access} were taken over; the file is not read any more.")
    if (accounts is None and not given) or not files.client.exists():
        client, new = _example_tokens(loaded, url, at)
        await publish_access(kafka, [*given, *new])
        write_client(files.client, client)  # after it: a token that is written down is known
    else:
        await publish_access(kafka, given)
        write_url(files.client, url)
    return tuple(said)


def _differs(file: Path, loaded: Directory, contacts: Contacts, at: datetime) -> list[str]:
    """Say where the file holds something else than what is loaded, maybe from elsewhere; a file that cannot be loaded stops nothing.

    Of the example as it was written nothing is said: nobody who loaded their own centre means to load it back."""
    try:
        if file.read_bytes() == DIRECTORY.encode():
            return []
        found = checked_directory_file(file, at)
    except (ConfigurationError, OSError):
        check = typed("directory", "check", str(file))
        return [f"{file} cannot be loaded as it is now, and the loaded directory ({loaded.version}) goes on. To see why: {check}"]
    if found == (loaded, contacts):
        return []
    how = typed("directory", "load", "FILE", data=file.parent)
    return [f"{file} (version {found[0].version}) differs from what is loaded ({loaded.version}), by which everything goes. To load a file: {how}"]


def _example_tokens(directory: Directory, url: str, at: datetime) -> tuple[dict[str, str], list[AccessEvents]]:
    """Return a client's file and the tokens in it, of the example's clinic and person where the directory has them."""
    client, given = {"url": url}, list[AccessEvents]()
    if CLINIC in directory.clinics:
        token, of_clinic = new_clinic_token(directory, CLINIC, at)
        client |= {"clinic": CLINIC, "clinic_token": token}
        given.append(of_clinic)
    if PERSON in directory.people:
        token, of_person = new_account(directory, PERSON, [Role.CLINICIAN], at)
        client |= {"person": PERSON, "person_token": token}
        given.append(of_person)
    return client, given


def earlier_tokens(file: Path, at: datetime) -> list[AccessEvents]:
    """Return the tokens of the file in which they lay before they were events; ConfigurationError where it is not one."""
    try:
        told: dict[str, list[dict[str, Any]]] = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        clinics = [ClinicTokenAdded(at=at, token_sha256=each["token_sha256"], clinic_id=each["clinic"]) for each in told.get("clinics") or ()]
        people = [
            AccountAdded(at=at, token_sha256=each["token_sha256"], person_id=each["person"], roles=(Role.CLINICIAN,))
            for each in told.get("people") or ()
        ]
    except (OSError, ValueError, yaml.YAMLError, TypeError, KeyError, AttributeError, RecursionError):
        raise ConfigurationError(file, "cannot be read: its tokens would be lost. Mend it, or move it away and give new ones") from None
    return [*clinics, *people]
