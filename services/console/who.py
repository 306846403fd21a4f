"""Who asks, and what they may see: a clinic its own uploads, a person what is theirs or their centres'."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request

from contracts.access import Access, ClinicTokenAdded, Role
from contracts.answering import answering_centre, centres_of_clinic, centres_of_person
from contracts.directory import Directory
from contracts.ids import CentreId, ClinicId, PersonId
from services.console.course import Course
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


def who_asks(request: Request, access: Access, directory: Directory, at: datetime) -> Clinic | Person:
    """Return the holder of the request's token; Problem 401 where there is none."""
    holder = access.holder(bearer_token(request))
    if holder is None:
        raise unauthorized("This token is not known here. Ask whoever runs Greenchannel for yours.")
    if isinstance(holder, ClinicTokenAdded):
        return Clinic(holder.clinic_id)
    return Person(holder.person_id, centres_of_person(directory, holder.person_id, at), holder.roles)


def person_of(who: Clinic | Person, directory: Directory) -> Person:
    """Return the person who asks about cases; Problem 403 where it is a clinic, or somebody whom the directory does not list.

    Who is of no centre by now may still have a case in hand: each case says whether it is for them."""
    if isinstance(who, Clinic):
        raise Problem(403, "Not allowed", "A clinic's token reads its own uploads: GET /v1/uploads/{upload_id}. Cases are for the centre's people.")
    if who.person_id not in directory.people:
        raise Problem(403, "Not allowed", f"{who.person_id} is not in the directory. Ask whoever keeps it to list you there.")
    return who


def may_command(who: Person) -> Person:
    """Return the person; Problem 403 where their roles only read."""
    if not COMMANDING & set(who.roles):
        raise Problem(403, "Not allowed", f"{who.person_id} may read cases, not act on them: that takes a clinician's or a coordinator's account.")
    return who


def is_for(person: Person, course: Course, paged: Collection[PersonId], directory: Directory) -> bool:
    """Return whether a person reads and commands a case, once it is open for people.

    It is for who has it in hand, whoever was called for it, who is asked to take it over while they are asked, and the people of the centres whose
    it is or was; where its centre is not listed any more, of the one whose people are paged instead."""
    if course.opened is None:
        return False
    centres = {*course.centres, answering_centre(directory, course.centre_id), course.asked_centre()}
    return course.is_in_hands_of(person.person_id) or person.person_id in paged or not centres.isdisjoint(person.centres)


def may_read_upload(who: Clinic | Person, clinic_id: ClinicId, directory: Directory) -> bool:
    if isinstance(who, Clinic):
        return who.clinic_id == clinic_id
    return not set(who.centres).isdisjoint(centres_of_clinic(directory, clinic_id))
