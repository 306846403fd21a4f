"""Which centre a patient goes to, and why that one."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from contracts.directory import Capability, Centre, Clinic, Directory
from contracts.ids import CentreId, ClinicId
from services.cases.wall_clock import DAY, is_within, shown, zone_of

MAX_REASON = 300


@dataclass(frozen=True)
class Routed:
    centre_id: CentreId
    centre: Centre
    travel_min: int | None  # from the clinic; None where it is not known
    reason: str  # at most 300 characters


@dataclass(frozen=True)
class _Way:
    """A centre as seen from the clinic, and what speaks against it."""

    centre_id: CentreId
    centre: Centre
    travel_min: int | None
    closed: str
    diverting: str
    incapable: str
    foreign: str

    def against(self) -> list[str]:
        return [each for each in (self.foreign, self.incapable, self.diverting, self.closed) if each]

    def weight(self) -> tuple[bool, bool, bool, bool]:
        """Return how bad it is to go there: hours weigh least, the network most."""
        return bool(self.foreign), bool(self.incapable), bool(self.diverting), bool(self.closed)

    def name(self) -> str:
        return self.centre_id if self.travel_min is None else f"{self.centre_id} ({self.travel_min} min)"


def route(directory: Directory, clinic_id: ClinicId, need: Capability, at: datetime) -> Routed:
    """Return the nearest centre of the clinic's network that can do what is needed, is open and takes patients; of two as near, the first by id.

    It never fails. Where none qualifies, hours are ignored first, then diversion, then capability, then the network, and the reason says so. For a
    clinic that is not listed it is the first centre of the directory that qualifies."""
    clinic = directory.clinics.get(clinic_id)
    ways = [_way(directory, clinic, centre_id, need, at) for centre_id in directory.centres]
    if clinic:
        ways.sort(key=lambda way: (way.travel_min is None, way.travel_min or 0, way.centre_id))
    chosen = min(ways, key=_Way.weight)  # of equals the nearest: they are in that order
    passed_over = [way for way in ways[: ways.index(chosen)] if way.travel_min is not None or not clinic]
    reason = _reason(chosen, need, passed_over)
    if clinic is None:
        reason = f"{clinic_id} is not listed: {reason}"
    return Routed(chosen.centre_id, chosen.centre, chosen.travel_min, reason if len(reason) <= MAX_REASON else f"{reason[: MAX_REASON - 3]}...")


def _way(directory: Directory, clinic: Clinic | None, centre_id: CentreId, need: Capability, at: datetime) -> _Way:
    centre, zone = directory.centres[centre_id], zone_of(directory)
    travel_min = clinic.travel_min.get(centre_id) if clinic else None
    foreign = ""
    if clinic and travel_min is None:
        foreign = "has no travel time from this clinic"
    elif clinic and centre.network != clinic.network:
        foreign = f"is of network {centre.network}"
    return _Way(
        centre_id,
        centre,
        travel_min,
        closed=_closed(centre, at, zone),
        diverting=_diverting(centre, at, zone),
        incapable="" if need in centre.capabilities else f"has no {need}",
        foreign=foreign,
    )


def _closed(centre: Centre, at: datetime, zone: ZoneInfo | None) -> str:
    if not centre.hours:
        return ""
    if zone is None:
        return "may be closed: the time zone is not known here"
    return "" if any(is_within(hours, at, zone) for hours in centre.hours) else "is closed now"


def _diverting(centre: Centre, at: datetime, zone: ZoneInfo | None) -> str:
    if centre.diverting is None or centre.diverting.until <= at:
        return ""
    until = centre.diverting.until
    if zone is None or until - at > 30 * DAY:  # the last days of the calendar are in no other zone
        when = f"{until:%Y-%m-%d %H:%M%z}"
    else:
        local = shown(until, zone)
        when = f"{local:%H:%M}" if local.date() == shown(at, zone).date() else f"{local:%Y-%m-%d %H:%M}"
    return f"diverts until {when}: {centre.diverting.reason}"


def _reason(chosen: _Way, need: Capability, passed_over: Iterable[_Way]) -> str:
    against = chosen.against()
    far = "travel time not known" if chosen.travel_min is None else f"{chosen.travel_min} min"
    rank = "first" if chosen.travel_min is None else "nearest"
    why = f"none qualifies; taken although it {' and '.join(against)}" if against else f"{rank} with {need}"
    others = (f"{way.name()} {' and '.join(way.against())}" for way in passed_over)
    return "; ".join((f"{chosen.centre_id}: {far}, {why}", *others))
