"""Who may see and do what at the console: by the token, the roles of its account, and the policies that name the person."""

import pytest
from fastapi import Request

from contracts.access import Access, Role
from contracts.answering import centres_of_person
from contracts.directory import Directory
from services.console.course import Course
from services.console.who import Clinic, Person, is_for, may_command, may_read_upload, person_of, who_asks
from services.runtime.http import Problem
from tests.integration.directories import T0, a_directory, account, clinic_token
from tests.unit.console.life import Life

CENTRE = {"name": "C", "network": "county", "standing_number": "555-0100", "capabilities": ["pci"]}
DIRECTORY = a_directory(
    centres={"county": CENTRE | {"policy": "red"}, "elsewhere": CENTRE | {"policy": "other", "network": "other"}},
    people={name: {"name": name, "methods": {"local": True}} for name in ("ann", "eve", "lee")},
    policies={"red": {"steps": [{"page": ["person:ann"]}]}, "other": {"steps": [{"page": ["person:eve"]}]}},
)
TWO = a_directory(
    centres={"centre": CENTRE | {"policy": "red"}, "elsewhere": CENTRE | {"policy": "other"}},
    people={name: {"name": name, "methods": {"local": True}} for name in ("ann", "bob", "eve", "lee", "zoe")},
    policies={"red": {"steps": [{"page": ["person:zoe"]}]}, "other": {"steps": [{"page": ["person:eve"]}]}},
)


def access(*roles: Role) -> Access:
    known = Access()
    for event in (
        account("ann", "ann", *roles),
        account("eve", "eve"),
        account("lee", "lee"),
        account("guest", "guest"),
        clinic_token("township", "township"),
    ):
        known.hear(event)
    return known


def asks(token: str, *roles: Role) -> Clinic | Person:
    request = Request({"type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())]})
    return who_asks(request, access(*roles), DIRECTORY, T0)


def test_a_token_is_its_holders_and_a_stranger_has_none():
    assert asks("township") == Clinic("township")
    assert asks("ann") == Person("ann", ("county",), (Role.CLINICIAN,))
    with pytest.raises(Problem, match="401"):
        asks("nobody")


@pytest.mark.parametrize(("role", "may"), [(Role.CLINICIAN, True), (Role.COORDINATOR, True), (Role.OPS, False), (Role.QUALITY, False)])
def test_clinicians_and_coordinators_act_on_cases_and_the_others_read(role: Role, may: bool):
    person = person_of(asks("ann", role), DIRECTORY)
    if may:
        assert may_command(person) is person
    else:
        with pytest.raises(Problem, match="403"):
            may_command(person)
    assert may_command(Person("ann", (), (Role.OPS, role, Role.COORDINATOR)))


@pytest.mark.parametrize("token", ["guest", "township"])
def test_a_clinic_and_who_is_not_in_the_directory_read_no_cases(token: str):
    with pytest.raises(Problem, match="403"):
        person_of(asks(token), DIRECTORY)


def test_who_is_paged_by_no_centre_any_more_asks_as_a_person_and_each_case_says_whether_it_is_theirs():
    assert person_of(asks("lee"), DIRECTORY) == Person("lee", (), (Role.CLINICIAN,))


LIFE = Life()
KINDS = [fact.type for fact, _ in LIFE.heard()]


def sees(person: str, kind: str, turn: int = 0, *, paged: frozenset[str] = frozenset(), directory: Directory = TWO) -> bool:
    """Return whether a person sees the life's case after the turn-th event of a kind."""
    until = [index for index, each in enumerate(KINDS) if each == kind][turn] + 1
    course = Course({fact.event_id: fact for fact, _ in LIFE.heard()[:until]})
    return is_for(Person(person, centres_of_person(directory, person, T0), (Role.CLINICIAN,)), course, paged, directory)


def test_a_case_is_for_its_centre_and_for_whom_it_is_offered_to_while_they_are_asked():
    assert [sees("zoe", "CaseOpened"), sees("eve", "CaseOpened"), sees("lee", "CaseOpened")] == [True, False, False]
    to_the_centre = [sees("eve", "HandOverOffered", 0), sees("eve", "HandOverExpired")]
    by_name = [sees("eve", "HandOverOffered", 1), sees("eve", "HandOverDeclined"), sees("eve", "TakenOver")]
    assert (to_the_centre, by_name) == ([True, False], [True, False, False])
    assert [sees(who, "HandOverAccepted") for who in ("eve", "zoe", "lee")] == [True, True, False]  # its centre now, and before


def test_who_has_a_case_in_hand_or_was_called_for_it_sees_it_whatever_their_centre():
    assert [sees("bob", "TakenOver"), sees("bob", "HandOverAccepted")] == [True, False]
    assert [sees("lee", "CaseOpened", paged=frozenset({"lee"})), sees("lee", "CaseOpened", paged=frozenset({"ann"}))] == [True, False]
    assert not sees("lee", "UploadAssessed", paged=frozenset({"lee"}))  # it is not open for people yet


def test_a_case_whose_centre_is_not_listed_any_more_is_for_the_one_whose_people_are_paged_instead():
    first_is_elsewhere = TWO.model_copy(update={"centres": {"elsewhere": TWO.centres["elsewhere"]}})
    third_is_behind = first_is_elsewhere.model_copy(update={"centres": {**first_is_elsewhere.centres, "third": TWO.centres["centre"]}})
    assert [sees("eve", "CaseOpened", directory=each) for each in (TWO, first_is_elsewhere, third_is_behind)] == [False, True, True]
    assert not sees("zoe", "CaseOpened", directory=third_is_behind)


def test_an_upload_is_shown_to_its_clinic_and_to_the_centres_that_it_sends_to():
    assert {token: may_read_upload(asks(token), "township", DIRECTORY) for token in ("township", "ann", "eve")} == {
        "township": True,
        "ann": True,
        "eve": False,
    }
    assert not may_read_upload(asks("township"), "harbour", DIRECTORY)
