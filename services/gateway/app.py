"""Wiring of the gateway: HTTP in, blobs and intake topics out. Nothing here decides."""

from pathlib import Path

from contracts import topics
from services.gateway.ecgs import router
from services.gateway.intake import Intake
from services.gateway.room import Room
from services.runtime.errors import ConfigurationError
from services.runtime.service import Links, Plan, Service

READS = ()
FOLLOWS = (topics.ACCESS, topics.DIRECTORY)
WRITES = (topics.INTAKE_EMERGENCY, topics.INTAKE_ROUTINE)
SECRET_BYTES_AT_LEAST = 32


def build(links: Links) -> Service:
    """Wire the gateway; ConfigurationError where a file that it needs is missing or wrong."""
    intake = Intake(links.blobs, links.producer, _patient_secret(links.settings.patient_key_secret))
    return Service(router=router(links.access.current, links.directory.current, intake, Room()))


PLAN = Plan(name="gateway", writes=WRITES, build=build)


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
