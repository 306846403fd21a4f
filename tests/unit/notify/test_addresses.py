"""Where a notice goes, and that nothing said of it holds an address."""

import pytest

from contracts.deliveries import Failure
from contracts.directory import STANDING_ALARM, STANDING_NUMBER
from services.notify.addresses import address_of, unusable
from services.notify.notice import Failed
from tests.unit.notify.pages import contacts, directory, note, page

ALARMS = {"north": "json://127.0.0.1/north-secret", "south": "json://127.0.0.1/south-secret"}


@pytest.mark.parametrize(
    ("asked", "address"),
    [
        (page(method="phone"), "json://127.0.0.1/ann-secret"),
        (note(method="phone"), "json://127.0.0.1/ann-secret"),
        (page(person_id=STANDING_NUMBER, method=STANDING_ALARM, centre_id="north"), ALARMS["north"]),
        (page(person_id=STANDING_NUMBER, method=STANDING_ALARM), ALARMS["south"]),  # an old event: the nearest to its clinic
        (note(person_id=STANDING_NUMBER, method=STANDING_ALARM, centre_id="north"), ALARMS["north"]),
    ],
)
def test_a_notice_goes_to_its_person_or_to_the_standing_number_of_its_own_centre(asked, address):
    found = address_of(asked, contacts(ALARMS, phone="json://127.0.0.1/ann-secret"), directory())
    assert not isinstance(found, Failed)
    assert found.get_secret_value() == address


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (page(person_id="bob"), "bob is not in the contacts"),
        (page(method="pigeon"), "ann has no pigeon in the contacts"),
        (page(person_id=STANDING_NUMBER, method=STANDING_ALARM, centre_id="east"), "east has no standing alarm"),
        (page(person_id=STANDING_NUMBER, method=STANDING_ALARM, clinic_id="unheard-of"), "no centre for the clinic"),
        (page(person_id=STANDING_NUMBER, method="phone", centre_id="north"), "rung by standing-alarm"),
    ],
)
def test_what_the_contacts_do_not_say_fails_for_good_so_that_the_next_method_is_tried(asked, said):
    found = address_of(asked, contacts(ALARMS), directory())
    assert isinstance(found, Failed)
    assert found.failure is Failure.PERMANENT
    assert said in found.reason
    assert "secret" not in found.reason


def test_an_address_that_cannot_be_used_is_named_by_where_it_stands(tmp_path):
    held = contacts({"north": "local", "south": "nothing-known://south-secret"}, phone="json://127.0.0.1/{notice_id}", pager="local")
    assert [where for where, _ in unusable(held, tmp_path / "pager.jsonl")] == ["standing_alarms.south"]
    assert [where for where, _ in unusable(held, None)] == ["people.ann.pager", "standing_alarms.north", "standing_alarms.south"]
    assert "secret" not in str(unusable(held, None))
