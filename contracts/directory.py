"""Centres, clinics, people: who answers for a clinic, who is on call, in which order they are paged. How each is reached travels apart.

Rosters' and centres' hours are on the wall clock of `timezone`. Whether the whole makes sense (gaps, cycles, a red that rings nobody) is judged
by `greenchannel directory check`; the models here refuse only what could not be read."""

import re
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Self

from pydantic import AwareDatetime, BeforeValidator, Field, SecretStr, StringConstraints, field_serializer, model_validator

from contracts.ids import CentreId, ClinicId, PersonId, Slug
from contracts.vocabulary import Event, Frozen

STANDING_NUMBER: PersonId = "standing-number"  # who is paged where nobody is on call: whoever answers the centre's standing number
STANDING_ALARM = "standing-alarm"  # the method by which a machine rings it

TeamId = Slug
RosterId = Slug
PolicyId = Slug
NetworkId = Slug
MethodName = Slug
DailyHours = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")]
Target = Annotated[str, StringConstraints(pattern=r"^(person|team|roster):[a-z0-9][a-z0-9-]{0,62}$")]
Member = Annotated[str, StringConstraints(pattern=r"^(team:)?[a-z0-9][a-z0-9-]{0,62}$")]

_DAY_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


def _written_out(at: object) -> datetime:
    """Return the time that a text writes out; of a number, seconds from 1970 would be made, and 20261224 is no such."""
    if isinstance(at, datetime):
        return at
    if not isinstance(at, str) or not _DAY_AND_TIME.match(at):
        raise ValueError("write the day and the time, as in 2026-03-05T08:00:00")
    return datetime.fromisoformat(at)


WallClock = Annotated[datetime, BeforeValidator(_written_out)]
Moment = Annotated[AwareDatetime, BeforeValidator(_written_out)]


class Entry(Frozen):
    """What people write in a file: read from there with `extra="forbid"`, for a misspelt word is an error, not a default."""


class Capability(StrEnum):
    """What a centre can do about a patient."""

    PCI = "pci"
    STROKE = "stroke"
    TRAUMA = "trauma"
    OBSTETRICS = "obstetrics"
    NEONATES = "neonates"


class Weekday(StrEnum):
    MON, TUE, WED, THU, FRI, SAT, SUN = "mon", "tue", "wed", "thu", "fri", "sat", "sun"


class Hours(Entry):
    """Days and a span of the wall clock; one that ends before it begins goes on into the next day. The same time twice is the whole day."""

    days: tuple[Weekday, ...] = tuple(Weekday)
    span: DailyHours = "00:00-00:00"

    @property
    def begins(self) -> time:
        return time.fromisoformat(self.span[:5])

    @property
    def ends(self) -> time:
        return time.fromisoformat(self.span[6:])


class Diverting(Entry):
    """The centre takes nobody until then."""

    until: Moment
    reason: str = Field(min_length=1, max_length=120)


class Centre(Entry):
    name: str = Field(min_length=1, max_length=80)
    network: NetworkId
    standing_number: str = Field(description="always answered by a person", pattern=r"^[0-9+*# -]{3,30}$")
    capabilities: tuple[Capability, ...] = Field(min_length=1)
    hours: tuple[Hours, ...] = Field(default=(), description="when it takes patients; none: always")
    diverting: Diverting | None = None
    policy: PolicyId = Field(description="who is paged for red and for what could not be judged")
    reading_policy: PolicyId | None = Field(default=None, description="who is paged for a yellow that nobody read in time; without it, `policy`")
    read_emergency_within_min: int = Field(default=60, ge=5, le=7 * 24 * 60, description="a yellow of the emergency lane is to be read by then")
    read_routine_within_min: int = Field(default=24 * 60, ge=5, le=14 * 24 * 60)
    arrival_to_wire_min: int = Field(default=30, ge=5, le=180, description="from the patient's arrival to the wire, as this centre knows itself")


class Clinic(Entry):
    name: str = Field(min_length=1, max_length=80)
    network: NetworkId
    travel_min: dict[CentreId, Annotated[int, Field(ge=0, le=24 * 60)]] = Field(
        min_length=1, description="minutes to each centre that it may send to"
    )
    lysis_min: int | None = Field(default=None, ge=0, le=240, description="minutes from the decision to the bolus here; none: no lysis is given here")


class Person(Entry):
    """A person's methods, in the order in which they are tried; True for one that rings."""

    name: str = Field(min_length=1, max_length=80)
    methods: dict[MethodName, bool] = Field(min_length=1)


class Team(Entry):
    name: str = Field(min_length=1, max_length=80)
    members: tuple[Member, ...] = Field(min_length=1)


class Shift(Entry):
    """People in turn, each for so many hours, from the first hand-over on; within `hours` where they are given."""

    people: tuple[PersonId, ...] = Field(min_length=1)
    begins: WallClock = Field(description="the first hand-over, on the wall clock", json_schema_extra={"format": "date-time-local"})
    shift_h: int = Field(default=24, ge=1, le=24 * 28)
    hours: Hours = Hours()

    @model_validator(mode="after")
    def _is_wall_clock(self) -> Self:
        if self.begins.tzinfo is not None:
            raise ValueError("begins is on the directory's wall clock: write it without an offset")
        return self


class Override(Entry):
    """Somebody else is on call for a while."""

    person: PersonId
    begins: Moment
    ends: Moment


class Roster(Entry):
    """Who is on call when. Around a hand-over both are: the one who leaves, for so many minutes, and the one who comes."""

    rotation: tuple[Shift, ...] = Field(min_length=1)
    overrides: tuple[Override, ...] = ()
    hand_over_min: int = Field(default=0, ge=0, le=120)


class Step(Entry):
    page: tuple[Target, ...] = Field(min_length=1, description="all of them at once")
    wait_s: int = Field(default=60, ge=30, le=600, description="until the next step")


class Policy(Entry):
    """Steps in their order, each so many times, then another policy or the first step again: it never ends."""

    steps: tuple[Step, ...] = Field(min_length=1)
    repeat: int = Field(default=1, ge=1, le=10, description="how often each step is paged before the next")
    then: PolicyId | None = None


class Directory(Entry):
    """All that cases and console know; no address and no telephone number of a person is in it."""

    version: str = Field(min_length=1, max_length=40)
    timezone: str = Field(default="Asia/Shanghai", max_length=40)
    centres: dict[CentreId, Centre] = Field(min_length=1)
    clinics: dict[ClinicId, Clinic] = Field(min_length=1)
    people: dict[PersonId, Person] = Field(min_length=1)
    teams: dict[TeamId, Team] = Field(default={})
    rosters: dict[RosterId, Roster] = Field(default={})
    policies: dict[PolicyId, Policy] = Field(min_length=1)


class Contacts(Entry):
    """How people and standing numbers are reached: an Apprise address each, 'local' for this machine's pager. Only notify reads it."""

    people: dict[PersonId, dict[MethodName, SecretStr]] = Field(default={})
    standing_alarms: dict[CentreId, SecretStr] = Field(default={})

    @field_serializer("people", "standing_alarms", when_used="json")
    def _in_the_clear(self, held: dict[str, SecretStr | dict[str, SecretStr]]) -> dict[str, object]:
        """Addresses are written out on their topic, and nowhere else: repr and errors hide them."""
        return {
            name: {method: address.get_secret_value() for method, address in of.items()} if isinstance(of, dict) else of.get_secret_value()
            for name, of in held.items()
        }


class DirectoryLoaded(Event):
    """The whole directory, from now on."""

    KEY: ClassVar[str] = "directory"

    directory: Directory


class ContactsLoaded(Event):
    """How everybody is reached, from now on; of the same version as the directory loaded with it."""

    KEY: ClassVar[str] = "contacts"

    version: str = Field(min_length=1, max_length=40)
    contacts: Contacts


def target_of(target: Target) -> tuple[str, Slug]:
    """Return the kind (person, team, roster) and the id that a step's target names."""
    kind, _, name = target.partition(":")
    return kind, name


def is_team(member: Member) -> bool:
    return member.startswith("team:")


def people_of_centre(directory: Directory, centre_id: CentreId, at: datetime) -> frozenset[PersonId]:
    """Return everybody whom a centre's policies may page from then on: its people. What is not listed any more names nobody."""
    centre = directory.centres.get(centre_id)
    asked = [policy_id for policy_id in (centre.policy, centre.reading_policy) if policy_id] if centre else []
    policies, people = set[PolicyId](), set[PersonId]()
    while asked:
        policy_id = asked.pop()
        policy = directory.policies.get(policy_id)
        if policy is not None and policy_id not in policies:
            policies.add(policy_id)
            asked += [policy.then] if policy.then else []
            people |= {person_id for step in policy.steps for target in step.page for person_id in _people_of_target(directory, target, at)}
    return frozenset(people & directory.people.keys())


def _people_of_target(directory: Directory, target: Target, at: datetime) -> frozenset[PersonId]:
    kind, name = target_of(target)
    if kind == "person":
        return frozenset({name})
    if kind == "team":
        return _people_of_team(directory, name, frozenset())
    roster = directory.rosters.get(name)
    if roster is None:
        return frozenset()
    since = at - timedelta(minutes=roster.hand_over_min)  # who has just handed over is still paged
    in_turn = {each for shift in roster.rotation for each in shift.people}
    return frozenset(in_turn | {override.person for override in roster.overrides if override.ends > since})


def _people_of_team(directory: Directory, team_id: TeamId, within: frozenset[TeamId]) -> frozenset[PersonId]:
    team = directory.teams.get(team_id)
    if team is None or team_id in within:
        return frozenset()
    nested = [_people_of_team(directory, member.removeprefix("team:"), within | {team_id}) for member in team.members if is_team(member)]
    return frozenset(member for member in team.members if not is_team(member)).union(*nested)
