"""Whether a directory makes sense as a whole: somebody answers at every minute, is reached, and is rung where it is red."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, pairwise
from zoneinfo import ZoneInfo

from contracts.directory import STANDING_NUMBER, Capability, Contacts, Directory, Roster, Step, Target, is_team, target_of
from contracts.ids import PersonId, Slug
from services.cases.on_call import chain_of, changes, on_duty, people_in
from services.cases.wall_clock import shown, zone_of

LOOKS_AHEAD = timedelta(days=60)
Place = tuple[str | int, ...]  # the way from the file's root to something in it
Lines = Mapping[Place, int]
Found = Iterator[tuple[Place, str]]


@dataclass(frozen=True, order=True)
class Problem:
    line: int  # from 1
    where: str
    what: str


def problem_at(lines: Lines, place: Place, what: str) -> Problem:
    """Return the problem with the line of its place, or of the nearest thing around it that the file holds."""
    line = next((lines[place[:length]] for length in range(len(place), -1, -1) if place[:length] in lines), 1)
    return Problem(line, ".".join(map(str, place)) or "file", what)


def check(directory: Directory, contacts: Contacts, at: datetime, lines: Lines) -> tuple[Problem, ...]:
    """Return all that is wrong with a directory, in the order of its lines; () where it may be loaded. at: from when on rosters are looked at."""
    found = chain(
        _names(directory),
        _centres(directory, contacts),
        _clinics(directory),
        _people(directory, contacts),
        _team_cycles(directory),
        _policy_cycles(directory),
        _rosters(directory, at),
        _steps(directory, contacts, at),
    )
    return tuple(sorted({problem_at(lines, place, what) for place, what in found}))


def remarks(directory: Directory, at: datetime, lines: Lines) -> tuple[Problem, ...]:
    """Return what may be loaded and is over at that time: nobody goes by it, and who wrote it may have meant another day."""
    found: list[tuple[Place, datetime]] = [
        (("rosters", roster_id, "overrides", index), override.ends)
        for roster_id, roster in directory.rosters.items()
        for index, override in enumerate(roster.overrides)
    ]
    found += [(("centres", centre_id, "diverting"), centre.diverting.until) for centre_id, centre in directory.centres.items() if centre.diverting]
    return tuple(
        sorted(
            problem_at(lines, place, f"is over since {ended.isoformat(timespec='minutes')} and changes nothing: take it out, or mend its days")
            for place, ended in found
            if ended <= at
        )
    )


def _names(directory: Directory) -> Found:
    """What is named and not listed."""
    listed: dict[str, Container[Slug]] = {
        "centre": directory.centres,
        "person": directory.people,
        "team": directory.teams,
        "roster": directory.rosters,
        "policy": directory.policies,
    }
    for place, kind, name in chain(_named_by_places(directory), _named_by_policies(directory), _named_by_groups(directory)):
        if name not in listed[kind]:
            yield place, f"{kind} {name} is not listed"


def _named_by_places(directory: Directory) -> Iterator[tuple[Place, str, Slug]]:
    for centre_id, centre in directory.centres.items():
        yield ("centres", centre_id, "policy"), "policy", centre.policy
        if centre.reading_policy is not None:
            yield ("centres", centre_id, "reading_policy"), "policy", centre.reading_policy
    for clinic_id, clinic in directory.clinics.items():
        for centre_id in clinic.travel_min:
            yield ("clinics", clinic_id, "travel_min", centre_id), "centre", centre_id


def _named_by_policies(directory: Directory) -> Iterator[tuple[Place, str, Slug]]:
    for policy_id, policy in directory.policies.items():
        for number, step in enumerate(policy.steps):
            for index, target in enumerate(step.page):
                yield ("policies", policy_id, "steps", number, "page", index), *target_of(target)
        if policy.then is not None:
            yield ("policies", policy_id, "then"), "policy", policy.then


def _named_by_groups(directory: Directory) -> Iterator[tuple[Place, str, Slug]]:
    for team_id, team in directory.teams.items():
        for index, member in enumerate(team.members):
            yield ("teams", team_id, "members", index), "team" if is_team(member) else "person", member.removeprefix("team:")
    for roster_id, roster in directory.rosters.items():
        for layer, shift in enumerate(roster.rotation):
            for index, person in enumerate(shift.people):
                yield ("rosters", roster_id, "rotation", layer, "people", index), "person", person
        for index, override in enumerate(roster.overrides):
            yield ("rosters", roster_id, "overrides", index, "person"), "person", override.person


def _centres(directory: Directory, contacts: Contacts) -> Found:
    for centre_id in directory.centres:
        if centre_id not in contacts.standing_alarms:
            yield ("centres", centre_id), "has no standing alarm: where nobody is on call, nobody could be rung"


def _clinics(directory: Directory) -> Found:
    for clinic_id, clinic in directory.clinics.items():
        listed = {centre_id: directory.centres[centre_id] for centre_id in clinic.travel_min if centre_id in directory.centres}
        for centre_id, centre in listed.items():
            if centre.network != clinic.network:
                yield ("clinics", clinic_id, "travel_min", centre_id), f"is of network {centre.network}, the clinic of network {clinic.network}"
        if not any(centre.network == clinic.network and Capability.PCI in centre.capabilities for centre in listed.values()):
            yield ("clinics", clinic_id), f"reaches no centre with {Capability.PCI.value} in its network {clinic.network}"


def _people(directory: Directory, contacts: Contacts) -> Found:
    for person_id, person in directory.people.items():
        if person_id == STANDING_NUMBER:
            yield ("people", person_id), "this id stands for whoever answers a centre's standing number: take another"
        for method in person.methods:
            if method not in contacts.people.get(person_id, {}):
                yield ("people", person_id, "methods", method), "has no address"


def _team_cycles(directory: Directory) -> Found:
    for team_id, team in directory.teams.items():
        for index, member in enumerate(team.members):
            if is_team(member) and team_id in _teams_in(directory, member.removeprefix("team:")):
                yield ("teams", team_id, "members", index), f"{member} holds this team, which holds it: a cycle"


def _teams_in(directory: Directory, team_id: Slug) -> set[Slug]:
    """Return a team and those that lie in it, however deep."""
    seen, waiting = set[Slug](), [team_id]
    while waiting:
        if (each := waiting.pop()) not in seen and each in directory.teams:
            seen.add(each)
            waiting += [member.removeprefix("team:") for member in directory.teams[each].members if is_team(member)]
    return seen


def _policy_cycles(directory: Directory) -> Found:
    for policy_id, policy in directory.policies.items():
        if policy.then is not None and policy_id in chain_of(directory, policy.then):
            yield (
                ("policies", policy_id, "then"),
                f"{policy.then} leads back to {policy_id}: a cycle. After the last policy the first step follows by itself",
            )


def _rosters(directory: Directory, at: datetime) -> Found:
    zone = zone_of(directory)
    if zone is None:
        yield ("timezone",), f"time zone {directory.timezone} is not known: write it as in Asia/Shanghai"
    for roster_id, roster in directory.rosters.items():
        for index, override in enumerate(roster.overrides):
            if override.ends <= override.begins:
                yield ("rosters", roster_id, "overrides", index), "ends before it begins"
        if zone is not None and (told := _first_gap(roster, at, zone)):
            yield ("rosters", roster_id), told


def _first_gap(roster: Roster, at: datetime, zone: ZoneInfo) -> str:
    """Return, on the wall clock, from when to when nobody is on call for the first time; "" where there always is somebody."""
    until = at + LOOKS_AHEAD
    moments = [at, *changes(roster, at, until, zone), until]  # between two of them nobody comes or goes
    gaps = [(begins, ends) for begins, ends in pairwise(moments) if begins < ends and not on_duty(roster, begins, zone)]
    if not gaps:
        return ""
    first, ends = gaps[0]
    for begins, next_ends in gaps[1:]:
        ends = next_ends if begins == ends else ends
    to = f"to {shown(ends, zone):%Y-%m-%d %H:%M}" if ends < until else "on, as far as was looked"
    return f"nobody is on call from {shown(first, zone):%Y-%m-%d %H:%M} {to}"


def _steps(directory: Directory, contacts: Contacts, at: datetime) -> Found:
    """Steps that reach nobody, and of those that page for red, the ones that ring nobody."""
    red = {policy_id for centre in directory.centres.values() for policy_id in chain_of(directory, centre.policy)}
    for policy_id, policy in directory.policies.items():
        for number, step in enumerate(policy.steps):
            place = ("policies", policy_id, "steps", number)
            if not any(_reached(directory, contacts, person, ringing=False) for target in step.page for person in _everybody(directory, target, at)):
                yield place, "nobody can be reached by this step"
            elif policy_id in red and (silent := _silent(directory, contacts, step, at)):
                yield place, f"pages for red and may ring nobody: {', '.join(silent)} {'has' if len(silent) == 1 else 'have'} no method that rings"


def _silent(directory: Directory, contacts: Contacts, step: Step, at: datetime) -> tuple[PersonId, ...]:
    """Return the people by whom a step may come to ring nobody; () where one of its targets always rings somebody.

    Of a team all are paged, so one who is rung is enough; of a roster each comes to be the only one."""
    silent: list[PersonId] = []
    for target in step.page:
        kind, _ = target_of(target)
        people = [person for person in _everybody(directory, target, at) if person in directory.people]
        unheard = [person for person in people if not _reached(directory, contacts, person, ringing=True)]
        if people and (not unheard or (kind == "team" and len(unheard) < len(people))):
            return ()
        silent += unheard
    return tuple(dict.fromkeys(silent))


def _everybody(directory: Directory, target: Target, at: datetime) -> Iterable[PersonId]:
    """Return whom a target may name from now on."""
    kind, name = target_of(target)
    if kind == "person":
        return (name,)
    if kind == "team":
        return people_in(directory, name)
    roster = directory.rosters.get(name)
    if roster is None:
        return ()
    in_turn = (person for shift in roster.rotation for person in shift.people)
    return dict.fromkeys((*in_turn, *(override.person for override in roster.overrides if override.ends > at)))


def _reached(directory: Directory, contacts: Contacts, person_id: PersonId, *, ringing: bool) -> bool:
    person = directory.people.get(person_id)
    addresses = contacts.people.get(person_id, {})
    return person is not None and any(method in addresses and (rings or not ringing) for method, rings in person.methods.items())
