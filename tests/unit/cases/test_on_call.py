"""Who is on call on the wall clock, and whom each step of a policy pages: never nobody."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts.directory import STANDING_NUMBER, Directory, Roster
from services.cases.on_call import changes, people_on_call, wave
from services.cases.wall_clock import instant_of, shown

PEOPLE = ("ann", "bob", "cai", "dan")
SHANGHAI, NEW_YORK = "Asia/Shanghai", "America/New_York"
T0 = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DAYS = {"people": ["ann", "bob"], "begins": "2026-01-01T08:00"}  # a day each, from eight to eight
LATE = {"people": ["cai"], "begins": "2026-01-01T08:00", "hours": {"days": ["mon", "tue", "wed", "thu", "fri"], "span": "18:00-08:00"}}


def directory(timezone: str = SHANGHAI, **parts: Any) -> Directory:
    return Directory.model_validate(
        {
            "version": "test-1",
            "timezone": timezone,
            "centres": {"centre": {"name": "Centre", "network": "net", "standing_number": "555-0100", "capabilities": ["pci"], "policy": "red"}},
            "clinics": {"clinic": {"name": "Clinic", "network": "net", "travel_min": {"centre": 20}}},
            "people": {person: {"name": person, "methods": {"local": True}} for person in PEOPLE},
            "policies": {"red": {"steps": [{"page": ["person:ann"]}]}},
            **parts,
        }
    )


def rota(*rotation: dict[str, Any], timezone: str = SHANGHAI, **more: Any) -> Directory:
    return directory(timezone, rosters={"rota": {"rotation": rotation, **more}})


def on_call(held: Directory, wall: str, fold: int = 0) -> tuple[str, ...]:
    return people_on_call(held, "rota", datetime.fromisoformat(wall).replace(tzinfo=ZoneInfo(held.timezone), fold=fold))


def test_people_take_turns_from_the_first_hand_over_on():
    held = rota(DAYS)
    walls = ["2026-01-01T07:59:59", "2026-01-01T08:00", "2026-01-02T07:59:59", "2026-01-02T08:00", "2026-01-03T08:00"]
    assert [on_call(held, wall) for wall in walls] == [(), ("ann",), ("ann",), ("bob",), ("ann",)]


def test_a_shift_with_hours_is_on_call_within_them_only_and_a_night_goes_on_into_the_next_day():
    held = rota(DAYS, LATE)
    walls = ["2026-01-02T17:59", "2026-01-02T18:00", "2026-01-03T07:59", "2026-01-03T08:00", "2026-01-03T18:00"]  # a Friday, a Saturday
    assert [on_call(held, wall) for wall in walls] == [("bob",), ("bob", "cai"), ("bob", "cai"), ("ann",), ("ann",)]


def test_who_leaves_is_on_call_too_for_so_long_and_no_longer():
    held = rota(DAYS, hand_over_min=15)
    walls = ["2026-01-02T07:59", "2026-01-02T08:00", "2026-01-02T08:14:59", "2026-01-02T08:15"]
    assert [on_call(held, wall) for wall in walls] == [("ann",), ("bob", "ann"), ("bob", "ann"), ("bob",)]


def test_an_override_replaces_whom_the_rotation_has_and_is_handed_over_to_and_back():
    override = {"person": "dan", "begins": "2026-01-02T12:00:00+08:00", "ends": "2026-01-02T13:00:00+08:00"}
    held = rota(DAYS, overrides=[override], hand_over_min=15)
    walls = ["2026-01-02T11:59", "2026-01-02T12:00", "2026-01-02T12:15", "2026-01-02T13:00", "2026-01-02T13:15"]
    assert [on_call(held, wall) for wall in walls] == [("bob",), ("dan", "bob"), ("dan",), ("bob", "dan"), ("bob",)]


def test_who_leaves_a_gap_behind_has_handed_over_to_nobody():
    held = rota({"people": ["ann"], "begins": "2026-01-01T08:00", "hours": {"span": "08:00-18:00"}}, hand_over_min=30)
    assert [on_call(held, wall) for wall in ("2026-01-02T17:59", "2026-01-02T18:00")] == [("ann",), ()]


@pytest.mark.parametrize(
    ("wall", "fold", "who"),
    [
        ("2026-03-08T01:59", 0, "ann"),  # the clock is put forward from 02:00 to 03:00: the hand-over of 02:30 is then
        ("2026-03-08T03:00", 0, "bob"),
        ("2026-03-09T02:29", 0, "bob"),
        ("2026-03-09T02:30", 0, "ann"),
    ],
)
def test_a_hand_over_at_a_time_that_the_clock_skips_is_when_it_skips_it(wall: str, fold: int, who: str):
    held = rota({"people": ["bob", "ann"], "begins": "2026-03-06T02:30"}, timezone=NEW_YORK)
    assert on_call(held, wall, fold) == (who,)


@pytest.mark.parametrize(
    ("wall", "fold", "who"),
    [
        ("2026-11-01T01:29", 0, "ann"),  # the clock shows 01:00 to 02:00 twice: who took over in the first of them keeps it in the second
        ("2026-11-01T01:30", 0, "bob"),
        ("2026-11-01T01:00", 1, "bob"),
        ("2026-11-01T01:30", 1, "bob"),
        ("2026-11-02T01:29", 0, "bob"),
        ("2026-11-02T01:30", 0, "ann"),
    ],
)
def test_a_hand_over_at_a_time_that_the_clock_shows_twice_happens_once(wall: str, fold: int, who: str):
    held = rota({"people": ["bob", "ann"], "begins": "2026-10-30T01:30"}, timezone=NEW_YORK)
    assert on_call(held, wall, fold) == (who,)


@given(st.sampled_from(["America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Shanghai", "Pacific/Apia"]), st.data())
@example("Pacific/Apia", None)
def test_an_instant_of_the_wall_clock_is_when_it_is_first_shown_or_passed(timezone: str, data: st.DataObject | None):
    zone = ZoneInfo(timezone)
    day_skipped = datetime.fromisoformat("2011-12-30T12:00")
    wall = data.draw(st.datetimes(datetime.fromisoformat("2009-01-01"), datetime.fromisoformat("2030-01-01"))) if data else day_skipped
    wall = wall.replace(microsecond=0)
    instant = instant_of(wall, zone)
    assert shown(instant, zone) >= wall > shown(instant - timedelta(seconds=1), zone)


def shifts() -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda people, begins, shift_h: {"people": people, "begins": begins, "shift_h": shift_h},
        st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=4),
        st.datetimes(datetime.fromisoformat("2026-01-01"), datetime.fromisoformat("2026-02-01")),
        st.integers(1, 80),
    )


HOURS = st.builds(
    lambda days, span: {"days": sorted(days), "span": "{:02}:{:02}-{:02}:{:02}".format(*span)},
    st.sets(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), min_size=1),
    st.tuples(st.integers(0, 23), st.integers(0, 59), st.integers(0, 23), st.integers(0, 59)),
)
ZONES = st.sampled_from([SHANGHAI, NEW_YORK, "Australia/Lord_Howe"])
INSTANTS = st.datetimes(datetime.fromisoformat("2026-02-02"), datetime.fromisoformat("2027-02-01"), timezones=st.just(UTC))


@st.composite
def rotas(draw: st.DrawFn, overrides_at_least: int = 0) -> Directory:
    """Layers of shifts, one with no hours, overrides and a hand-over time: from the first hand-over on there is no gap."""
    layers = [draw(shifts()), *({**draw(shifts()), "hours": draw(HOURS)} for _ in range(draw(st.integers(0, 2))))]
    overrides = [
        {"person": draw(st.sampled_from(PEOPLE)), "begins": begins, "ends": begins + draw(st.timedeltas(MINUTE, 30 * DAY))}
        for begins in draw(st.lists(INSTANTS, min_size=overrides_at_least, max_size=3))
    ]
    return rota(*layers, timezone=draw(ZONES), overrides=overrides, hand_over_min=draw(st.sampled_from([0, 15, 120])))


@given(rotas(), INSTANTS)
def test_by_a_rota_without_gaps_somebody_is_on_call_at_every_instant(held: Directory, at: datetime):
    people = people_on_call(held, "rota", at)
    assert people
    assert len(set(people)) == len(people)


@given(rotas(overrides_at_least=1), st.integers(0, 99))
def test_an_override_wins(held: Directory, percent: int):
    roster = held.rosters["rota"]
    at = roster.overrides[0].begins + (roster.overrides[0].ends - roster.overrides[0].begins) * percent / 100
    overriding = tuple(dict.fromkeys(each.person for each in roster.overrides if each.begins <= at < each.ends))
    people = people_on_call(held, "rota", at)
    assert people[: len(overriding)] == overriding
    came = [each.begins for each in roster.overrides if each.begins <= at] + [each.ends for each in roster.overrides if each.ends <= at]
    if at - max(came) >= timedelta(minutes=roster.hand_over_min):
        assert people == overriding


@given(rotas(), INSTANTS, st.timedeltas(timedelta(0), 3 * DAY))
def test_nobody_comes_or_goes_between_two_changes(held: Directory, after: datetime, span: timedelta):
    plain = held.model_copy(update={"rosters": {"rota": held.rosters["rota"].model_copy(update={"hand_over_min": 0})}})
    roster: Roster = plain.rosters["rota"]
    at = after + span
    last = max((instant for instant in changes(roster, after, at, ZoneInfo(plain.timezone))), default=after)
    assert people_on_call(plain, "rota", last) == people_on_call(plain, "rota", at)


def test_steps_follow_each_other_with_their_repeats_then_the_next_policy_and_round_again():
    first = {"steps": [{"page": ["person:ann"], "wait_s": 30}, {"page": ["person:bob"], "wait_s": 90}], "repeat": 2, "then": "more"}
    held = directory(policies={"red": first, "more": {"steps": [{"page": ["person:cai"]}]}})
    waves = [wave(held, "red", step, T0) for step in range(12)]
    assert [each.people[0] for each in waves] == ["ann", "ann", "bob", "bob", "cai", "ann", "ann", "bob", "bob", "cai", "ann", "ann"]
    assert [each.wait.total_seconds() for each in waves[:5]] == [30, 30, 90, 90, 60]
    assert [step for step, each in enumerate(waves) if each.begins_anew] == [5, 10]
    assert wave(held, "red", 5 * 10**9, T0) == waves[5]


def test_all_of_a_step_are_paged_at_once_each_once_and_in_order():
    teams = {"night": {"name": "Night", "members": ["bob", "team:spare", "ann"]}, "spare": {"name": "Spare", "members": ["cai", "bob"]}}
    policies = {"red": {"steps": [{"page": ["person:dan", "team:night", "roster:rota"]}]}}
    held = directory(teams=teams, policies=policies, rosters={"rota": {"rotation": [DAYS]}})
    assert wave(held, "red", 0, T0).people == ("dan", "bob", "cai", "ann")


def test_who_is_paged_where_a_roster_has_a_gap_and_that_it_has_one():
    policies = {"red": {"steps": [{"page": ["roster:rota"]}, {"page": ["roster:rota", "person:ann"]}]}}
    held = directory(policies=policies, rosters={"rota": {"rotation": [{**DAYS, "begins": "2027-01-01T08:00"}]}})
    alone, beside = wave(held, "red", 0, T0), wave(held, "red", 1, T0)
    assert (alone.people, alone.gaps) == ((STANDING_NUMBER,), ("roster:rota",))
    assert (beside.people, beside.gaps) == (("ann",), ("roster:rota",))


@pytest.mark.parametrize(
    ("page", "gaps"),
    [
        (["person:gone"], ("person:gone",)),
        (["team:gone", "roster:gone"], ("team:gone", "roster:gone")),
        (["team:empty"], ("team:empty",)),
        (["team:ring"], ("team:ring",)),
        (["roster:of-strangers"], ("roster:of-strangers",)),
    ],
)
def test_what_is_not_listed_any_more_is_a_gap_and_the_standing_number_is_paged(page: list[str], gaps: tuple[str, ...]):
    teams = {
        "empty": {"name": "Empty", "members": ["gone"]},
        "ring": {"name": "Ring", "members": ["team:ring-2"]},
        "ring-2": {"name": "Ring", "members": ["team:ring"]},
    }
    rosters = {"of-strangers": {"rotation": [{**DAYS, "people": ["gone"]}]}}
    found = wave(directory(policies={"red": {"steps": [{"page": page}]}}, teams=teams, rosters=rosters), "red", 0, T0)
    assert (found.people, found.gaps) == ((STANDING_NUMBER,), gaps)


def test_a_policy_that_is_not_listed_pages_the_standing_number_in_its_turn():
    held = directory(policies={"red": {"steps": [{"page": ["person:ann"]}], "then": "gone"}})
    assert [wave(held, "red", step, T0).people for step in range(3)] == [("ann",), (STANDING_NUMBER,), ("ann",)]
    lost = wave(held, "gone", 7, T0)
    assert (lost.people, lost.gaps, lost.begins_anew) == ((STANDING_NUMBER,), ("policy:gone",), True)
    assert lost.wait > timedelta(0)


def test_by_a_time_zone_that_is_not_known_nobody_is_on_call_and_the_standing_number_is_paged():
    for timezone in ("Asia/Nowhere", "Asia", "../etc"):
        held = directory(timezone, policies={"red": {"steps": [{"page": ["roster:rota"]}]}}, rosters={"rota": {"rotation": [DAYS]}})
        assert wave(held, "red", 0, T0).people == (STANDING_NUMBER,)


SLUGS = st.sampled_from([*PEOPLE, "gone", "rota", "red", "more", "night"])


@given(
    rotas(),
    st.dictionaries(
        st.sampled_from(["red", "more", "night"]),
        st.fixed_dictionaries(
            {
                "steps": st.lists(
                    st.fixed_dictionaries(
                        {"page": st.lists(st.builds("{}:{}".format, st.sampled_from(["person", "team", "roster"]), SLUGS), min_size=1)}
                    ),
                    min_size=1,
                    max_size=3,
                ),
                "repeat": st.integers(1, 3),
                "then": st.none() | st.sampled_from(["red", "more", "night", "gone"]),
            }
        ),
        min_size=1,
    ),
    st.dictionaries(
        st.sampled_from(["night", "more"]),
        st.fixed_dictionaries({"name": st.just("Team"), "members": st.lists(SLUGS | SLUGS.map("team:{}".format), min_size=1)}),
    ),
    st.integers(0, 10**6),
    INSTANTS,
)
def test_a_step_never_pages_nobody(held: Directory, policies: dict[str, Any], teams: dict[str, Any], step: int, at: datetime):
    whole = Directory.model_validate({**held.model_dump(), "policies": policies, "teams": teams})
    found = wave(whole, "red", step, at)
    assert found.people
    assert len(set(found.people)) == len(found.people)
    assert set(found.people) <= {*whole.people, STANDING_NUMBER}
    assert found.wait > timedelta(0)
