"""Who is on call, and whom a policy's step pages: never nobody."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from contracts.directory import STANDING_NUMBER, Directory, PolicyId, Roster, RosterId, Shift, Step, Target, is_team, target_of
from contracts.ids import PersonId, Slug
from services.cases.wall_clock import instant_of, is_always, is_within, shown, spans, zone_of

LOST_POLICY_WAIT = timedelta(seconds=60)  # a policy that is not listed says no wait of its own


@dataclass(frozen=True)
class Wave:
    """Whom one step pages, all at once, and how long they have."""

    people: tuple[PersonId, ...]  # never empty
    gaps: tuple[str, ...]  # the targets that named nobody at that time, as the policy writes them; "policy:x" for one that is not listed
    wait: timedelta  # until the next step
    begins_anew: bool  # all steps were paged, and it is the first one's turn again


def wave(directory: Directory, policy_id: PolicyId, step: int, at: datetime) -> Wave:
    """Return whom a policy pages at that step, counted from 0 through its repeats, its `then` and round again, without end.

    Nothing that is missing in the directory raises: where no target names anybody that is listed, it is the standing number."""
    paged = list(_sequence(directory, policy_id))
    turn = paged[step % len(paged)]
    begins_anew = step > 0 and step % len(paged) == 0
    if isinstance(turn, str):
        return Wave((STANDING_NUMBER,), (f"policy:{turn}",), LOST_POLICY_WAIT, begins_anew)
    named = {target: people_of(directory, target, at) for target in turn.page}
    people = tuple(dict.fromkeys(person for people in named.values() for person in people)) or (STANDING_NUMBER,)
    return Wave(people, tuple(target for target, those in named.items() if not those), timedelta(seconds=turn.wait_s), begins_anew)


def _sequence(directory: Directory, policy_id: PolicyId) -> Iterator[Step | PolicyId]:
    """Yield every step in its turn, and the name of a policy that is not listed in its place."""
    for each in chain_of(directory, policy_id):
        policy = directory.policies.get(each)
        if policy is None:
            yield each
            return
        for step in policy.steps:
            yield from [step] * policy.repeat


def chain_of(directory: Directory, policy_id: PolicyId) -> tuple[PolicyId, ...]:
    """Return a policy and those that follow it, each once; the last may be one that is not listed."""
    chain: list[PolicyId] = []
    following: PolicyId | None = policy_id
    while following is not None and following not in chain:
        chain.append(following)
        policy = directory.policies.get(following)
        following = policy.then if policy else None
    return tuple(chain)


def people_of(directory: Directory, target: Target, at: datetime) -> tuple[PersonId, ...]:
    """Return the listed people whom a target names at that time, each once, in the order in which it names them."""
    kind, name = target_of(target)
    match kind:
        case "team":
            named = people_in(directory, name)
        case "roster":
            named = people_on_call(directory, name, at)
        case _:  # a person
            named = (name,)
    return tuple(person for person in named if person in directory.people)


def people_in(directory: Directory, team_id: Slug) -> tuple[PersonId, ...]:
    """Return the people of a team and of the teams in it, each once, in order; a team that holds itself is taken once."""
    people: dict[PersonId, None] = {}
    seen: set[Slug] = set()
    waiting = [f"team:{team_id}"]
    while waiting:
        member = waiting.pop()
        name = member.removeprefix("team:")
        if not is_team(member):
            people[name] = None
        elif name not in seen and name in directory.teams:
            seen.add(name)
            waiting += reversed(directory.teams[name].members)
    return tuple(people)


def people_on_call(directory: Directory, roster_id: RosterId, at: datetime) -> tuple[PersonId, ...]:
    """Return who is on call by a roster: the overrides of that time, else the rotation, a person for each shift that runs; who has just handed over
    is the last. Nobody by a roster that is not listed, or where the time zone is not known."""
    roster, zone = directory.rosters.get(roster_id), zone_of(directory)
    if roster is None or zone is None:
        return ()
    now = on_duty(roster, at, zone)
    if not now or not roster.hand_over_min:
        return now  # nobody came: nothing was handed over
    since = at - timedelta(minutes=roster.hand_over_min)
    left = [person for then in (*reversed(changes(roster, since, at, zone)), since) for person in on_duty(roster, then, zone)]
    return tuple(dict.fromkeys((*now, *left)))


def changes(roster: Roster, after: datetime, until: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return, in order, the instants behind `after` and up to `until` between which nobody comes or goes."""
    found = {instant for override in roster.overrides for instant in (override.begins, override.ends)}
    for shift in roster.rotation:
        found.update(_hand_overs(shift, after, until, zone))
        if not is_always(shift.hours):
            found.update(instant for span in spans(shift.hours, after, until, zone) for instant in span)
    return sorted(instant for instant in found if after < instant <= until)


def on_duty(roster: Roster, at: datetime, zone: ZoneInfo) -> tuple[PersonId, ...]:
    """Return who has the duty, without those who have just handed it over."""
    instead = tuple(override.person for override in roster.overrides if override.begins <= at < override.ends)
    in_turn = (person for shift in roster.rotation for person in _turn_of(shift, at, zone))
    return tuple(dict.fromkeys(instead or in_turn))


def _turn_of(shift: Shift, at: datetime, zone: ZoneInfo) -> tuple[PersonId, ...]:
    turn = _turn(shift, at, zone)
    return (shift.people[turn % len(shift.people)],) if turn >= 0 and is_within(shift.hours, at, zone) else ()


def _turn(shift: Shift, at: datetime, zone: ZoneInfo) -> int:
    """Return how many hand-overs there were before the one that this turn began with; below 0 before the first."""
    turn: int = (shown(at, zone) - shift.begins) // timedelta(hours=shift.shift_h)
    while instant_of(_begins(shift, turn + 1), zone) <= at:  # in an hour that the clock shows twice it has shown more than it shows
        turn += 1
    return turn


def _begins(shift: Shift, turn: int) -> datetime:
    return shift.begins + turn * timedelta(hours=shift.shift_h)


def _hand_overs(shift: Shift, after: datetime, until: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    for turn in range(_turn(shift, after, zone), _turn(shift, until, zone) + 1):
        yield instant_of(_begins(shift, turn), zone)
