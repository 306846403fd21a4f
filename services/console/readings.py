"""What is shown of an upload that a physician is to read, worked out from its case's facts. Pure."""

from contracts.cases import UploadAssessed
from contracts.ids import CaseId, CentreId, ClinicId, EventId, UploadId
from contracts.vocabulary import Age, Frozen, Instant, Priority, Sex
from services.console.course import Course
from services.console.projection import Facts


class ReadingView(Frozen):
    """An upload on the reading list. `sources` names for each figure the event that it comes from."""

    case_id: CaseId
    upload_id: UploadId
    centre_id: CentreId
    clinic_id: ClinicId
    clinic: str
    priority: Priority | None
    headline: str
    age_y: Age | None
    sex: Sex | None
    received_at: Instant
    read_by: Instant
    overdue: bool
    sources: dict[str, EventId]


def reading_view(facts: Facts, upload_id: UploadId, clinic_names: dict[ClinicId, str]) -> ReadingView | None:
    """Return an upload as it stands on the reading list; None where it was never listed, was read, or is let go."""
    course = Course(facts)
    listed = course.listed.get(upload_id)
    if listed is None or upload_id in course.read | course.let_go:
        return None
    known = course.people.get(upload_id)
    sources = dict.fromkeys(("centre_id", "clinic_id", "headline", "received_at", "read_by"), course.sources[f"listed/{upload_id}"])
    if known is not None:
        sources |= dict.fromkeys(("priority", "age_y", "sex"), course.sources[f"upload/{upload_id}"])
    overdue = course.sources.get(f"overdue/{upload_id}")
    if overdue is not None:
        sources["overdue"] = overdue
    return ReadingView(
        case_id=listed.case_id,
        upload_id=upload_id,
        centre_id=listed.centre_id,
        clinic_id=listed.clinic_id,
        clinic=clinic_names.get(listed.clinic_id, listed.clinic_id),
        priority=known.priority if isinstance(known, UploadAssessed) else None,
        headline=listed.headline,
        age_y=known.age_y if known else None,
        sex=known.sex if known else None,
        received_at=listed.received_at,
        read_by=listed.read_by,
        overdue=overdue is not None,
        sources=sources,
    )


def may_still_come(facts: Facts, upload_id: UploadId) -> bool:
    """Return whether nothing says yet that the upload is done with: neither that it was read or let go, nor that it is forgotten."""
    course = Course(facts)
    return bool(facts) and upload_id not in course.read | course.let_go
