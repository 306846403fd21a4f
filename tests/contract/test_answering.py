"""Who answers for whom: a clinic always has somebody to call, and a person sees the cases of the centres that page them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.answering import answering_centre, centres_of_clinic, centres_of_person, nearest_centre
from contracts.commands import PageAgain
from contracts.directory import Capability, Directory
from contracts.ids import CaseId, EventId
from services.cases.decision import Decision, Heard
from services.cases.routing import route
from services.cases.state import Case
from tests.integration.directories import T0, a_directory


def centre(network: str = "county", *, can: str = "pci", policy: str = "red", reading: str | None = None) -> dict[str, Any]:
    return {"name": "C", "network": network, "standing_number": "555-0100", "capabilities": [can], "policy": policy, "reading_policy": reading}


def clinic(**travel_min: int) -> dict[str, Any]:
    return {"name": "Township", "network": "county", "travel_min": travel_min}


def test_a_clinic_calls_the_nearest_centre_with_a_lab_of_its_network():
    centres = {"far": centre(), "near": centre(), "nearer": centre(can="stroke"), "nearest": centre("other"), "unknown": centre()}
    directory = a_directory(centres=centres, clinics={"township": clinic(far=90, near=50, nearer=20, nearest=10)})
    assert nearest_centre(directory, "township") == ("near", directory.centres["near"])
    assert centres_of_clinic(directory, "township") == ("far", "near", "nearer")


def test_a_clinic_that_is_not_listed_calls_the_centre_that_its_patients_are_sent_to():
    directory = a_directory(centres={"west": centre(can="stroke"), "south": centre(), "east": centre()}, clinics={"township": clinic(west=10)})
    assert nearest_centre(directory, "left-the-directory")[0] == "south"
    assert route(directory, "left-the-directory", Capability.PCI, datetime(2026, 3, 1, tzinfo=UTC)).centre_id == "south"


@given(
    st.dictionaries(
        st.sampled_from("abcd"), st.builds(centre, st.sampled_from(["county", "other"]), can=st.sampled_from(["pci", "stroke"])), min_size=1
    ),
    st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 300), min_size=1),
    st.sampled_from(["township", "left-the-directory"]),
)
def test_whatever_the_directory_holds_somebody_answers(centres: dict[str, Any], travel_min: dict[str, int], asked: str):
    directory = a_directory(centres=centres, clinics={"township": clinic(**travel_min)})
    name, found = nearest_centre(directory, asked)
    assert directory.centres[name] == found
    assert set(centres_of_clinic(directory, asked)) <= set(centres) != set()
    assert centres_of_clinic(directory, asked)


PEOPLE = {name: {"name": name, "methods": {"local": True}} for name in ("ann", "bob", "eve", "joe", "kim", "lee", "guest")}
TEAMS = {"first": {"name": "First", "members": ["bob", "team:second"]}, "second": {"name": "Second", "members": ["eve", "team:first"]}}
ROSTERS = {
    "night": {
        "rotation": [{"people": ["joe"], "begins": "2026-01-01T08:00:00"}],
        "overrides": [{"person": "kim", "begins": "2026-03-01T00:00:00Z", "ends": "2026-03-02T00:00:00Z"}],
        "hand_over_min": 15,
    }
}
POLICIES = {
    "red": {"steps": [{"page": ["person:ann", "team:first"]}, {"page": ["roster:night", "team:gone", "roster:gone"]}], "then": "last"},
    "last": {"steps": [{"page": ["person:lee"]}], "then": "red"},
    "reading": {"steps": [{"page": ["person:guest"]}], "then": "gone"},
}


@pytest.fixture
def directory() -> Directory:
    centres = {"north": centre(), "south": centre(policy="reading"), "west": centre(policy="gone", reading="reading")}
    return a_directory(centres=centres, people=PEOPLE, teams=TEAMS, rosters=ROSTERS, policies=POLICIES)


@pytest.mark.parametrize("person", ["ann", "bob", "eve", "joe", "kim", "lee"])
def test_by_name_in_a_team_of_a_team_on_a_roster_as_a_stand_in_and_in_what_follows_a_person_belongs_to_the_centre(directory: Directory, person: str):
    assert centres_of_person(directory, person, T0) == ("north",)


def test_who_is_paged_for_a_yellow_alone_belongs_to_the_centre_and_a_stranger_to_none(directory: Directory):
    assert centres_of_person(directory, "guest", T0) == ("south", "west")
    assert centres_of_person(directory, "nobody", T0) == ()


def test_who_stood_in_belongs_to_the_centre_until_they_have_handed_over(directory: Directory):
    ends = datetime(2026, 3, 2, tzinfo=UTC)
    moments = [ends - timedelta(days=9), ends, ends + timedelta(minutes=14), ends + timedelta(minutes=15)]
    assert [centres_of_person(directory, "kim", at) for at in moments] == [("north",), ("north",), ("north",), ()]


def test_for_a_centre_that_is_not_listed_any_more_the_first_that_is_answers(directory: Directory):
    assert [answering_centre(directory, each) for each in ("south", "gone", None)] == ["south", "north", "north"]


def test_the_centre_that_answers_is_the_one_whose_people_cases_pages(directory: Directory):
    for centre_id in ("south", "gone", None):
        case = Case(case_id=CaseId(UUID(int=1)), patient_key=str(UUID(int=3)), centre_id=centre_id)
        heard = Heard(EventId(UUID(int=2)), T0, PageAgain(case_id=case.case_id, at=T0, round=1))
        assert Decision(case, heard, directory).centre()[0] == answering_centre(directory, centre_id)
