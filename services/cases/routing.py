"""stub"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Routed:
    centre_id: str
    centre: object
    travel_min: int | None
    reason: str


def route(directory, clinic_id, need, at):
    c = directory.clinics.get(clinic_id)
    cid = min(c.travel_min, key=c.travel_min.get) if c else next(iter(directory.centres))
    return Routed(cid, directory.centres[cid], c.travel_min[cid] if c else None, "stub")
