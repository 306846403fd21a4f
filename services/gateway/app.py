"""Wiring of the gateway: HTTP in, blobs and intake topics out. Nothing here decides."""

from pathlib import Path

from contracts import topics
from contracts.access import Access
from contracts.directory import Directory
from services.gateway.ecgs import router
from services.gateway.intake import Intake
from services.gateway.room import Room
from services.runtime.errors import ConfigurationError
from services.runtime.service import Links, Plan, Service
from services.runtime.yaml_files import read_access, read_directory

READS = ()
WRITES = (topics.INTAKE_EMERGENCY, topics.INTAKE_ROUTINE)
SECRET_BYTES_AT_LEAST = 32


def build(links: Links) -> Service:
    """Wire the gateway; ConfigurationError where a file that it needs is missing or wrong."""
    settings = links.settings
    directory = read_directory(settings.directory)
    access = read_access(settings.access)
    clinics_must_be_listed(access, directory, settings.access)
    intake = Intake(links.blobs, links.producer, _patient_secret(settings.patient_key_secret))
    return Service(router=router(access, directory, intake, Room()))


PLAN = Plan(name="gateway", writes=WRITES, build=build)


def clinics_must_be_listed(access: Access, directory: Directory, path: Path) -> None:
    """Raise ConfigurationError where the access file, which lies at the path, has a token of a clinic that the directory does not list."""
    for entry in access.clinics:
        if entry.clinic not in directory.clinics:
            raise ConfigurationError(
                path, f"a token belongs to clinic {entry.clinic}, which the directory does not list; add it there or revoke the token"
            )


def _patient_secret(path: Path | None) -> bytes:
    if path is None:
        raise ConfigurationError("GREENCHANNEL_PATIENT_KEY_SECRET", "is missing; name a file with a random secret that is kept for good")
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(path, f"cannot be read: {error.strerror}") from None
    if len(secret) < SECRET_BYTES_AT_LEAST:
        raise ConfigurationError(path, f"is shorter than {SECRET_BYTES_AT_LEAST} bytes; `openssl rand -hex 32` makes one that is not")
    return secret
