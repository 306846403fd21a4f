"""Where a notice goes: the address of a person's method, or of a centre's standing number. No address is in what is said here."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import SecretStr

from contracts.cases import PageRequested
from contracts.deliveries import Failure
from contracts.directory import STANDING_ALARM, STANDING_NUMBER, Contacts, Directory
from contracts.ids import CentreId, ClinicId
from services.notify.address_targets import unreached
from services.notify.apprise_carrier import understands
from services.notify.carriers import LOCAL, addressed
from services.notify.notice import Asked, Failed


def address_of(asked: Asked, contacts: Contacts, directory: Directory) -> SecretStr | Failed:
    """Return where a notice goes; Failed, for good, where the contacts do not say."""
    person, method = asked.person_id, asked.method
    if person == STANDING_NUMBER:
        return _standing_alarm(asked, contacts, directory)
    if person not in contacts.people:
        return Failed(Failure.PERMANENT, f"{person} is not in the contacts: load a directory that has them")
    address = contacts.people[person].get(method)
    return address or Failed(Failure.PERMANENT, f"{person} has no {method} in the contacts: load a directory that has it")


def _standing_alarm(asked: Asked, contacts: Contacts, directory: Directory) -> SecretStr | Failed:
    if asked.method != STANDING_ALARM:
        return Failed(Failure.PERMANENT, f"a standing number is rung by {STANDING_ALARM}, not by {asked.method}")
    centre_id = asked.centre_id
    if centre_id is None and isinstance(asked, PageRequested):  # of the time when events did not name it
        centre_id = next(iter(nearest_centres(directory, asked.clinic_id)), None)
    if centre_id is None:
        return Failed(Failure.PERMANENT, "the directory has no centre for the clinic: whose standing number it is cannot be said")
    address = contacts.standing_alarms.get(centre_id)
    return address or Failed(Failure.PERMANENT, f"{centre_id} has no standing alarm in the contacts: call its standing number, and load one")


def nearest_centres(directory: Directory, clinic_id: ClinicId) -> tuple[CentreId, ...]:
    """Return the centres that a clinic may send to, the nearest first; none where the directory does not know it."""
    clinic = directory.clinics.get(clinic_id)
    if clinic is None:
        return ()
    return tuple(sorted((each for each in clinic.travel_min if each in directory.centres), key=lambda each: (clinic.travel_min[each], each)))


def clinic_name(clinic_id: ClinicId, directory: Directory) -> str:
    """Return how people call a clinic; its id where the directory does not know it."""
    clinic = directory.clinics.get(clinic_id)
    return clinic.name if clinic else clinic_id


def unusable(contacts: Contacts, pager: Path | None) -> Sequence[tuple[str, str]]:
    """Return where each address stands that cannot be used, and why; never the address itself."""
    placed = [(f"people.{person}.{method}", each) for person, methods in contacts.people.items() for method, each in methods.items()]
    placed += [(f"standing_alarms.{centre}", each) for centre, each in contacts.standing_alarms.items()]
    found = list[tuple[str, str]]()
    for where, address in placed:
        if address.get_secret_value() == LOCAL:
            if pager is None:
                found.append((where, "it is the local pager, and GREENCHANNEL_PAGER names no file"))
        elif not understands(addressed(address, "check")):
            found.append((where, "no kind of address that is known here"))
        elif (wrong := unreached(addressed(address, "check"))) is not None:
            found.append((where, wrong))
    return found
