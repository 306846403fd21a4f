"""Who may see and do what at the console: by the token, the roles of its account, and the policies that name the person."""

import pytest
from fastapi import Request

from contracts.access import Access, Role
from services.console.who import Clinic, Person, may_command, may_read_upload, person_of, who_asks
from services.runtime.http import Problem
from tests.integration.directories import a_directory, account, clinic_token

CENTRE = {"name": "C", "network": "county", "standing_number": "555-0100", "capabilities": ["pci"]}
DIRECTORY = a_directory(
    centres={"county": CENTRE | {"policy": "red"}, "elsewhere": CENTRE | {"policy": "other", "network": "other"}},
    people={name: {"name": name, "methods": {"local": True}} for name in ("ann", "eve")},
    policies={"red": {"steps": [{"page": ["person:ann"]}]}, "other": {"steps": [{"page": ["person:eve"]}]}},
)


def access(*roles: Role) -> Access:
    known = Access()
    for event in (account("ann", "ann", *roles), account("eve", "eve"), account("guest", "guest"), clinic_token("township", "township")):
        known.hear(event)
    return known


def asks(token: str, *roles: Role) -> Clinic | Person:
    request = Request({"type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())]})
    return who_asks(request, access(*roles), DIRECTORY)


def test_a_token_is_its_holders_and_a_stranger_has_none():
    assert asks("township") == Clinic("township")
    assert asks("ann") == Person("ann", ("county",), (Role.CLINICIAN,))
    with pytest.raises(Problem, match="401"):
        asks("nobody")


@pytest.mark.parametrize(("role", "may"), [(Role.CLINICIAN, True), (Role.COORDINATOR, True), (Role.OPS, False), (Role.QUALITY, False)])
def test_clinicians_and_coordinators_act_on_cases_and_the_others_read(role: Role, may: bool):
    person = person_of(asks("ann", role))
    if may:
        assert may_command(person) is person
    else:
        with pytest.raises(Problem, match="403"):
            may_command(person)
    assert may_command(Person("ann", (), (Role.OPS, role, Role.COORDINATOR)))


@pytest.mark.parametrize("token", ["guest", "township"])
def test_a_clinic_and_who_is_paged_by_no_centre_read_no_cases(token: str):
    with pytest.raises(Problem, match="403"):
        person_of(asks(token))


def test_an_upload_is_shown_to_its_clinic_and_to_the_centres_that_it_sends_to():
    assert {token: may_read_upload(asks(token), "township", DIRECTORY) for token in ("township", "ann", "eve")} == {
        "township": True,
        "ann": True,
        "eve": False,
    }
    assert not may_read_upload(asks("township"), "harbour", DIRECTORY)
