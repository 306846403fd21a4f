"""Who asks, and what they may see: a clinic its own uploads, a person what belongs to their centres."""

from dataclasses import dataclass

from fastapi import Request

from contracts.access import Access, ClinicToken
from contracts.directory import Directory
from contracts.ids import CentreId, ClinicId, PersonId
from services.runtime.http import Problem, bearer_token, unauthorized


@dataclass(frozen=True)
class Clinic:
    clinic_id: ClinicId


@dataclass(frozen=True)
class Person:
    person_id: PersonId
    centres: tuple[CentreId, ...]


def who_asks(request: Request, access: Access, directory: Directory) -> Clinic | Person:
    """Return the holder of the request's token; Problem 401 where there is none."""
    holder = access.holder(bearer_token(request))
    if holder is None:
        raise unauthorized("This token is not known here. Ask whoever runs Greenchannel for yours.")
    if isinstance(holder, ClinicToken):
        return Clinic(holder.clinic)
    return Person(holder.person, tuple(centre_id for centre_id, centre in directory.centres.items() if holder.person in centre.on_call))


def person_of(who: Clinic | Person) -> Person:
    """Return the person who asks about cases; Problem 403 where it is a clinic, or somebody of no centre."""
    if isinstance(who, Clinic):
        raise Problem(403, "Not allowed", "A clinic's token reads its own uploads: GET /v1/uploads/{upload_id}. Cases are for the centre's people.")
    if not who.centres:
        raise Problem(403, "Not allowed", f"{who.person_id} is on call at no centre of the directory, and reads no cases.")
    return who


def may_read_upload(who: Clinic | Person, clinic_id: ClinicId, directory: Directory) -> bool:
    if isinstance(who, Clinic):
        return who.clinic_id == clinic_id
    return directory.centre_of(clinic_id)[0] in who.centres
