"""Who asks, and what they may see: a clinic its own uploads, a person what belongs to their centres."""

from dataclasses import dataclass

from fastapi import Request

from contracts.access import Access, ClinicTokenAdded, Role
from contracts.answering import centres_of_clinic, centres_of_person
from contracts.directory import Directory
from contracts.ids import CentreId, ClinicId, PersonId
from services.runtime.http import Problem, bearer_token, unauthorized

COMMANDING = {Role.CLINICIAN, Role.COORDINATOR}


@dataclass(frozen=True)
class Clinic:
    clinic_id: ClinicId


@dataclass(frozen=True)
class Person:
    person_id: PersonId
    centres: tuple[CentreId, ...]
    roles: tuple[Role, ...]


def who_asks(request: Request, access: Access, directory: Directory) -> Clinic | Person:
    """Return the holder of the request's token; Problem 401 where there is none."""
    holder = access.holder(bearer_token(request))
    if holder is None:
        raise unauthorized("This token is not known here. Ask whoever runs Greenchannel for yours.")
    if isinstance(holder, ClinicTokenAdded):
        return Clinic(holder.clinic_id)
    return Person(holder.person_id, centres_of_person(directory, holder.person_id), holder.roles)


def person_of(who: Clinic | Person) -> Person:
    """Return the person who asks about cases; Problem 403 where it is a clinic, or somebody of no centre."""
    if isinstance(who, Clinic):
        raise Problem(403, "Not allowed", "A clinic's token reads its own uploads: GET /v1/uploads/{upload_id}. Cases are for the centre's people.")
    if not who.centres:
        raise Problem(403, "Not allowed", f"{who.person_id} is paged by no centre of the directory, and reads no cases.")
    return who


def may_command(who: Person) -> Person:
    """Return the person; Problem 403 where their roles only read."""
    if not COMMANDING & set(who.roles):
        raise Problem(403, "Not allowed", f"{who.person_id} may read cases, not act on them: that takes a clinician's or a coordinator's account.")
    return who


def may_read_upload(who: Clinic | Person, clinic_id: ClinicId, directory: Directory) -> bool:
    if isinstance(who, Clinic):
        return who.clinic_id == clinic_id
    return not set(who.centres).isdisjoint(centres_of_clinic(directory, clinic_id))
