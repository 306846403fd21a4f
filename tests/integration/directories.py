"""A directory and accounts for tests: made in code, and published to the topics that services follow."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from contracts import topics
from contracts.access import AccessEvents, AccountAdded, ClinicTokenAdded, Role, digest_of
from contracts.directory import Contacts, Directory
from contracts.topics import Topic
from services.program.loading import load, prepare, publish_access
from tests.conftest import Stack

T0 = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


def a_directory(version: str = "test-1", **changed: Any) -> Directory:
    """Return a county with a centre, `ann` on call there, and the clinics `township` and `harbour`; what is given replaces a part of it."""
    centre = {"name": "County", "network": "county", "standing_number": "555-0100", "capabilities": ["pci"], "policy": "red"}
    told = {
        "version": version,
        "centres": {"county": centre},
        "clinics": {name: {"name": name.title(), "network": "county", "travel_min": {"county": 40}} for name in ("township", "harbour")},
        "people": {"ann": {"name": "Test Ann", "methods": {"local": True}}},
        "policies": {"red": {"steps": [{"page": ["person:ann"]}]}},
    }
    return Directory.model_validate(told | changed)


def local_contacts(directory: Directory) -> Contacts:
    """Return contacts by which everybody of a directory is reached at this machine's pager."""
    people = {name: dict.fromkeys(person.methods, "local") for name, person in directory.people.items()}
    return Contacts.model_validate({"people": people, "standing_alarms": dict.fromkeys(directory.centres, "local")})


def account(person: str, token: str, *roles: Role) -> AccountAdded:
    return AccountAdded(at=T0, token_sha256=digest_of(token), person_id=person, roles=roles or (Role.CLINICIAN,))


def clinic_token(clinic: str, token: str) -> ClinicTokenAdded:
    return ClinicTokenAdded(at=T0, token_sha256=digest_of(token), clinic_id=clinic)


def own_topics(monkeypatch: pytest.MonkeyPatch) -> tuple[Topic, Topic]:
    """Have topics of the test's own in place of the real two, which other tests write to; return them."""
    own = tuple(replace(topic, name=f"test.{uuid4().hex}") for topic in (topics.DIRECTORY, topics.ACCESS))
    monkeypatch.setattr(topics, "DIRECTORY", own[0])
    monkeypatch.setattr(topics, "ACCESS", own[1])
    return own[0], own[1]


async def loaded(stack: Stack, directory: Directory, contacts: Contacts | None = None, *given: AccessEvents) -> None:
    """Have the directory, its contacts and the accounts in Kafka; services that run hear of them."""
    await prepare(stack.kafka)
    await load(stack.kafka, directory, contacts or local_contacts(directory), datetime.now(UTC))
    await publish_access(stack.kafka, given)
