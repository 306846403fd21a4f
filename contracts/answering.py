"""Who answers for whom, by the directory alone: a clinic's centres, and the centres that a person is paged for. Pure."""

from datetime import datetime

from contracts.directory import Capability, Centre, Directory, people_of_centre
from contracts.ids import CentreId, ClinicId, PersonId


def nearest_centre(directory: Directory, clinic_id: ClinicId) -> tuple[CentreId, Centre]:
    """Return whom a clinic may always call: of the centres that it sends to, the nearest of its network with a catheter lab.

    It always answers somebody: where there is none, the nearest without one; for a clinic that is not listed, the first with a
    lab. Hours and diversions are not asked: who answers the standing number knows them."""
    clinic = directory.clinics.get(clinic_id)
    travel_min = clinic.travel_min if clinic else {}

    def how_far(centre_id: CentreId) -> tuple[bool, bool, bool, int, str]:
        centre = directory.centres[centre_id]
        other_network = clinic is not None and centre.network != clinic.network
        return (
            centre_id not in travel_min,
            Capability.PCI not in centre.capabilities,
            other_network,
            travel_min.get(centre_id, 0),
            centre_id if clinic else "",
        )

    nearest = min(directory.centres, key=how_far)
    return nearest, directory.centres[nearest]


def centres_of_clinic(directory: Directory, clinic_id: ClinicId) -> tuple[CentreId, ...]:
    """Return the centres of the clinic's network that it sends to; where there is none, the one that it may call."""
    clinic = directory.clinics.get(clinic_id)
    sends_to = clinic.travel_min if clinic else {}
    found = tuple(
        centre_id for centre_id, centre in directory.centres.items() if clinic and centre.network == clinic.network and centre_id in sends_to
    )
    return found or (nearest_centre(directory, clinic_id)[0],)


def centres_of_person(directory: Directory, person_id: PersonId, at: datetime) -> tuple[CentreId, ...]:
    """Return the centres that may page the person from then on: by name, in a team, on a roster, in a policy that follows."""
    return tuple(centre_id for centre_id in directory.centres if person_id in people_of_centre(directory, centre_id, at))


def answering_centre(directory: Directory, centre_id: CentreId | None) -> CentreId:
    """Return the centre whose people are paged for what a centre has; where that is not listed any more, the first that is: somebody answers."""
    return centre_id if centre_id is not None and centre_id in directory.centres else next(iter(directory.centres))
