"""Which centre a patient goes to, and the reason that is kept with it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.directory import Capability, Directory
from services.cases.routing import MAX_REASON, Routed, route

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # a Monday, 12:00 on the wall
DIVERTING = {"until": "2026-03-02T14:00:00+08:00", "reason": "lab down"}
DAYTIME = [{"days": ["mon"], "span": "08:00-11:00"}]


def centre(**parts: Any) -> dict[str, Any]:
    return {"name": "Centre", "network": "net", "standing_number": "555-0100", "capabilities": ["pci"], "policy": "red", **parts}


def directory(travel_min: dict[str, int], **centres: dict[str, Any]) -> Directory:
    return Directory.model_validate(
        {
            "version": "test-1",
            "centres": centres,
            "clinics": {"clinic": {"name": "Clinic", "network": "net", "travel_min": travel_min}},
            "people": {"ann": {"name": "Ann", "methods": {"local": True}}},
            "policies": {"red": {"steps": [{"page": ["person:ann"]}]}},
        }
    )


def routed(held: Directory, clinic: str = "clinic", need: Capability = Capability.PCI, at: datetime = NOON) -> Routed:
    found = route(held, clinic, need, at)
    assert found.centre is held.centres[found.centre_id]
    return found


def test_the_nearest_centre_is_chosen_and_of_two_as_near_the_first_by_id():
    held = directory({"west": 30, "east": 30, "south": 20, "north": 40}, west=centre(), east=centre(), south=centre(), north=centre())
    assert (routed(held).centre_id, routed(held).travel_min, routed(held).reason) == ("south", 20, "south: 20 min, nearest with pci")
    assert routed(directory({"west": 30, "east": 30}, west=centre(), east=centre())).centre_id == "east"


@pytest.mark.parametrize(
    ("city", "why"),
    [
        (centre(diverting=DIVERTING), "city (20 min) diverts until 14:00: lab down"),
        (centre(diverting={**DIVERTING, "until": "2026-03-03T06:00:00+08:00"}), "city (20 min) diverts until 2026-03-03 06:00: lab down"),
        (centre(diverting={**DIVERTING, "until": "9999-12-31T23:59:00Z"}), "city (20 min) diverts until 9999-12-31 23:59+0000: lab down"),
        (centre(hours=DAYTIME), "city (20 min) is closed now"),
        (centre(capabilities=["stroke"]), "city (20 min) has no pci"),
        (centre(network="other"), "city (20 min) is of network other"),
        (centre(capabilities=["stroke"], hours=DAYTIME), "city (20 min) has no pci and is closed now"),
    ],
)
def test_a_nearer_centre_that_does_not_qualify_is_passed_over_and_the_reason_says_why(city: dict[str, Any], why: str):
    found = routed(directory({"city": 20, "county": 35}, city=city, county=centre()))
    assert (found.centre_id, found.reason) == ("county", f"county: 35 min, nearest with pci; {why}")


@pytest.mark.parametrize(
    ("city", "at"),
    [
        (centre(diverting=DIVERTING), NOON + timedelta(hours=2)),
        (centre(hours=DAYTIME), NOON - timedelta(hours=2)),
        (centre(hours=[*DAYTIME, {"span": "22:00-13:00"}]), NOON),
    ],
)
def test_a_centre_that_is_open_and_takes_patients_again_is_chosen(city: dict[str, Any], at: datetime):
    found = routed(directory({"city": 20, "county": 35}, city=city, county=centre()), at=at)
    assert (found.centre_id, found.reason) == ("city", "city: 20 min, nearest with pci")


CLOSED, DIVERTED, STROKE_ONLY, ELSEWHERE = (
    centre(hours=DAYTIME),
    centre(diverting=DIVERTING),
    centre(capabilities=["stroke"]),
    centre(network="other"),
)
GIVEN_UP_FIRST = [  # what the worse one lacks weighs more, though it is nearer
    (CLOSED, DIVERTED, "is closed now"),
    (DIVERTED, STROKE_ONLY, "diverts until 14:00: lab down"),
    (STROKE_ONLY, ELSEWHERE, "has no pci"),
]


@pytest.mark.parametrize(("farther", "nearer", "although"), GIVEN_UP_FIRST, ids=["hours", "diversion", "capability"])
def test_where_none_qualifies_what_weighs_least_is_given_up_first_and_the_reason_says_so(
    farther: dict[str, Any], nearer: dict[str, Any], although: str
):
    found = routed(directory({"city": 20, "county": 35}, city=nearer, county=farther))
    assert found.centre_id == "county"
    assert found.reason.startswith(f"county: 35 min, none qualifies; taken although it {although}; city (20 min) ")


def test_where_the_clinics_network_has_no_centre_another_networks_is_taken():
    found = routed(directory({"city": 20}, city=ELSEWHERE, county=centre()))
    assert (found.centre_id, found.reason) == ("city", "city: 20 min, none qualifies; taken although it is of network other")


def test_where_no_travel_time_leads_to_a_listed_centre_one_is_taken_all_the_same():
    found = routed(directory({"gone": 20}, county=centre()))
    assert (found.centre_id, found.travel_min) == ("county", None)
    assert found.reason == "county: travel time not known, none qualifies; taken although it has no travel time from this clinic"


def test_a_clinic_that_is_not_listed_gets_the_first_centre_that_can_do_it():
    held = directory({"city": 20}, zone=STROKE_ONLY, city=centre(), county=centre())
    found = routed(held, clinic="gone")
    assert (found.centre_id, found.travel_min) == ("city", None)
    assert found.reason == "gone is not listed: city: travel time not known, first with pci; zone has no pci"


def test_in_a_time_zone_that_is_not_known_a_centre_that_is_always_open_goes_before_one_with_hours():
    held = directory({"city": 20, "county": 35}, city=CLOSED, county=centre()).model_copy(update={"timezone": "Asia/Nowhere"})
    assert routed(held).reason == "county: 35 min, nearest with pci; city (20 min) may be closed: the time zone is not known here"


CENTRES = st.fixed_dictionaries(
    {
        "network": st.sampled_from(["net", "other"]),
        "capabilities": st.sets(st.sampled_from(Capability), min_size=1).map(list),
        "hours": st.sampled_from([[], DAYTIME]),
        "diverting": st.sampled_from([None, DIVERTING, {**DIVERTING, "reason": "x" * 120}]),
    }
).map(lambda parts: centre(**parts))
IDS = st.sampled_from(["a", "b", "c", "d" * 63, "e" * 63])


@given(st.dictionaries(IDS, CENTRES, min_size=1), st.dictionaries(IDS, st.integers(0, 1440), min_size=1), st.sampled_from(["clinic", "gone"]))
def test_there_is_always_a_centre_and_none_that_qualifies_is_nearer(centres: dict[str, Any], travel_min: dict[str, int], clinic: str):
    found = routed(directory(travel_min, **centres), clinic=clinic)
    assert 0 < len(found.reason) <= MAX_REASON
    if clinic == "clinic":
        qualifying = [
            (minutes, name)
            for name, minutes in travel_min.items()
            if (held := centres.get(name))
            and (held["network"], held["hours"], held["diverting"]) == ("net", [], None)
            and "pci" in held["capabilities"]
        ]
        assert not qualifying or (found.travel_min, found.centre_id) == min(qualifying)
