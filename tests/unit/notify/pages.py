"""Pages, notes, a directory and contacts for the tests of notify."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid5

from contracts.cases import NobodyOnCall, NoteRequested, PageRequested
from contracts.directory import Contacts, Directory
from contracts.envelope import Record, seal
from contracts.ids import CaseId, EventId, UploadId, notice_id
from contracts.vocabulary import Priority, Sex

T0 = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
NAMES = UUID("00000000-0000-5000-8000-000000000002")


def directory() -> Directory:
    """Return two centres; the clinic is nearer to South."""
    centre = {"network": "county", "standing_number": "555-0100", "capabilities": ["pci"], "policy": "red"}
    return Directory.model_validate(
        {
            "version": "test-1",
            "centres": {"north": centre | {"name": "North"}, "south": centre | {"name": "South"}},
            "clinics": {"clinic": {"name": "Test Clinic", "network": "county", "travel_min": {"north": 60, "south": 20}}},
            "people": {"ann": {"name": "Test Ann", "methods": {"phone": True}}},
            "policies": {"red": {"steps": [{"page": ["person:ann"]}]}},
        }
    )


def contacts(alarms: Mapping[str, str] = MappingProxyType({"north": "local", "south": "local"}), **of_ann: str) -> Contacts:
    """Return how Ann is reached, by a method each, and the addresses that ring standing numbers."""
    return Contacts.model_validate({"people": {"ann": of_ann or {"phone": "local"}}, "standing_alarms": dict(alarms)})


def page(name: str = "one", priority: Priority = Priority.RED, **changed: Any) -> PageRequested:
    """Return a page whose ids are made of its name."""
    case = CaseId(uuid5(NAMES, f"case {name}"))
    person, method, round_ = changed.get("person_id", "ann"), changed.get("method", "phone"), changed.get("round", 1)
    of_page = {
        "at": T0,
        "case_id": case,
        "patient_key": str(uuid5(NAMES, f"patient {name}")),
        "notice_id": notice_id(case, person, method, round_),
        "person_id": person,
        "method": method,
        "round": round_,
        "priority": priority,
        "headline": "Anterior STEMI (V2, V3, V4)",
        "clinic_id": "clinic",
        "upload_id": UploadId(uuid5(NAMES, f"upload {name}")),
        "received_at": T0,
        "age_y": 61,
        "sex": Sex.MALE,
    }
    return PageRequested(**of_page | changed)


def note(name: str = "one", **changed: Any) -> NoteRequested:
    """Return a note about the case of the page of that name."""
    about = page(name)
    of_note = {
        "at": T0,
        "case_id": about.case_id,
        "patient_key": about.patient_key,
        "notice_id": notice_id(about.case_id, "ann", "phone", 90),
        "person_id": "ann",
        "method": "phone",
        "round": 90,
        "text": "Test Bob has it in hand.",
        "centre_id": "south",
    }
    return NoteRequested(**of_note | changed)


def nobody_on_call() -> NobodyOnCall:
    about = page()
    return NobodyOnCall(at=T0, case_id=about.case_id, patient_key=about.patient_key, centre_id="south", rosters=("first",), step=0)


def sealed(asked: PageRequested | NoteRequested | NobodyOnCall, priority: Priority | None = None) -> Record:
    """Return what cases writes; the priority is the case's where the event itself has none."""
    of_page = asked.priority if isinstance(asked, PageRequested) else priority
    name = asked.at if isinstance(asked, NobodyOnCall) else asked.notice_id
    return seal(
        asked,
        event_id=EventId(uuid5(NAMES, f"event {name}")),
        source="cases",
        subject=asked.case_id,
        key=asked.patient_key,
        time=asked.at,
        recorded=asked.at,
        correlation=asked.upload_id if isinstance(asked, PageRequested) else page().upload_id,
        causation=asked.case_id,
        sequence=3,
        priority=of_page,
    )
