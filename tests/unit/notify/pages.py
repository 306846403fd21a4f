"""A page and a directory for the tests of notify."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from contracts.cases import PageRequested
from contracts.directory import Directory
from contracts.envelope import Record, seal
from contracts.ids import CaseId, EventId, UploadId, notice_id
from contracts.vocabulary import Priority, Sex

T0 = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
NAMES = UUID("00000000-0000-5000-8000-000000000002")


def directory(ann: str = "local", alarm: str = "local", other_alarm: str = "local") -> Directory:
    centre = {"standing_number": "555-0100", "on_call": ["ann"]}
    return Directory.model_validate(
        {
            "version": "test-1",
            "centres": {
                "north": centre | {"name": "North", "standing_alarm": alarm},
                "south": centre | {"name": "South", "standing_alarm": other_alarm},
            },
            "clinics": {"clinic": {"name": "Test Clinic", "centre": "south"}},
            "people": {"ann": {"name": "Test Ann", "methods": {"phone": ann}}},
        }
    )


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


def sealed(asked: PageRequested) -> Record:
    """Return a page as cases writes it."""
    return seal(
        asked,
        event_id=EventId(uuid5(NAMES, f"event {asked.notice_id}")),
        source="cases",
        subject=asked.case_id,
        key=asked.patient_key,
        time=asked.at,
        recorded=asked.at,
        correlation=asked.upload_id,
        causation=asked.case_id,
        sequence=3,
        priority=asked.priority,
    )
