"""The strategy clock: both figures, and which of them decides."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.directory import Directory
from contracts.vocabulary import Strategy
from services.cases.strategy import Proposal, propose

CONTACT = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)


def directory(travel_min: int, lysis_min: int | None, arrival_to_wire_min: int = 30) -> Directory:
    centre = {"name": "C", "network": "net", "standing_number": "555-0100", "capabilities": ["pci"], "policy": "red"}
    clinic: dict[str, Any] = {"name": "Clinic", "network": "net", "travel_min": {"centre": travel_min}, "lysis_min": lysis_min}
    return Directory.model_validate(
        {
            "version": "test-1",
            "centres": {"centre": {**centre, "arrival_to_wire_min": arrival_to_wire_min}},
            "clinics": {"clinic": clinic},
            "people": {"ann": {"name": "Ann", "methods": {"local": True}}},
            "policies": {"red": {"steps": [{"page": ["person:ann"]}]}},
        }
    )


def proposed(held: Directory, gone: timedelta, clinic: str = "clinic", centre: str = "centre") -> Proposal:
    return propose(held, clinic, centre, CONTACT, CONTACT + gone)


def test_primary_pci_is_proposed_where_the_wire_can_cross_within_two_hours_of_first_contact():
    found = proposed(directory(50, 10), timedelta(minutes=10))
    assert (found.strategy, found.contact_to_wire_min, found.contact_to_bolus_min, found.limit_min) == (Strategy.PRIMARY_PCI, 120, 20, 120)
    assert found.reason == (
        "primary PCI is within 120 min. First contact to wire: 120 min (10 gone, 30 to leave, 50 on the way, 30 from arrival); "
        "to lysis bolus: 20 min (10 gone, 10 from the decision)"
    )


def test_a_minute_that_has_begun_counts_whole_and_one_over_the_limit_proposes_lysis():
    found = proposed(directory(50, 10), timedelta(minutes=10, seconds=1))
    assert (found.strategy, found.contact_to_wire_min, found.contact_to_bolus_min) == (Strategy.LYSIS, 121, 21)
    assert found.reason.startswith("lysis, for primary PCI takes more than 120 min. ")


def test_where_no_lysis_is_given_primary_pci_is_proposed_however_long_it_takes():
    found = proposed(directory(90, None), timedelta(minutes=10))
    assert (found.strategy, found.contact_to_wire_min, found.contact_to_bolus_min) == (Strategy.PRIMARY_PCI, 160, None)
    assert found.reason.startswith("primary PCI takes more than 120 min, but no lysis is given there. ")
    assert "First contact to wire: 160 min" in found.reason


def test_a_patient_who_is_at_the_centre_has_nothing_to_leave():
    assert proposed(directory(0, None), timedelta(minutes=10)).contact_to_wire_min == 40
    assert proposed(directory(1, None), timedelta(minutes=10)).contact_to_wire_min == 71


@pytest.mark.parametrize(("clinic", "centre", "bolus_min"), [("gone", "centre", None), ("clinic", "gone", 20)])
def test_where_the_travel_time_is_not_known_primary_pci_is_proposed_and_the_reason_says_so(clinic: str, centre: str, bolus_min: int | None):
    found = proposed(directory(50, 10), timedelta(minutes=10), clinic, centre)
    assert (found.strategy, found.contact_to_wire_min, found.contact_to_bolus_min) == (Strategy.PRIMARY_PCI, None, bolus_min)
    assert f"First contact to wire: not known, for the travel time to {centre} is not known" in found.reason


def test_a_first_contact_that_a_clock_puts_into_the_future_takes_no_time_away():
    assert proposed(directory(50, 10), -timedelta(minutes=5)).contact_to_wire_min == 110


@given(st.integers(0, 1440), st.none() | st.integers(0, 240), st.integers(5, 180), st.timedeltas(-timedelta(days=1), timedelta(days=400)))
def test_lysis_is_proposed_only_where_the_wire_is_late_and_both_figures_are_always_told(
    travel_min: int, lysis_min: int | None, arrival_to_wire_min: int, gone: timedelta
):
    found = proposed(directory(travel_min, lysis_min, arrival_to_wire_min), gone)
    assert found.contact_to_wire_min is not None
    assert (found.strategy is Strategy.LYSIS) == (found.contact_to_wire_min > found.limit_min and lysis_min is not None)
    assert len(found.reason) < 300
    assert f"First contact to wire: {found.contact_to_wire_min} min" in found.reason
    assert f"to lysis bolus: {'none' if lysis_min is None else f'{found.contact_to_bolus_min} min'}" in found.reason
