"""An address that nothing can be sent to is refused with its line, before somebody's page fails for good; and it is not shown."""

from pathlib import Path

import pytest

from services.program.address_check import NOT_UNDERSTOOD
from services.program.directory_file import DirectoryRefused, checked_directory_file
from tests.unit.program.directory_text import NOW, TEXT, line_of, with_part, written

OF_ANN, OF_CITY = '"json://gateway.test/ann"', "standing_number: 555-0101\n    standing_alarm: local"


def test_addresses_that_can_be_used_pass(tmp_path: Path):
    for address in ("mailto://user:password@mail.test", "wecombot://botkey", "json://gateway.test/{notice_id}", "local"):
        checked_directory_file(written(tmp_path, with_part(OF_ANN, f'"{address}"')), NOW)


@pytest.mark.parametrize("address", ["+8613800001111", "555-0100", "sms://gateway.test", "http://gateway.test/page", "json://", "Local", "nobody"])
def test_an_address_that_no_carrier_understands_is_refused_with_its_line(tmp_path: Path, address: str):
    for text, where in (
        (with_part(OF_ANN, f'"{address}"'), "people.ann.methods.call.address"),
        (with_part(OF_CITY, OF_CITY.replace("local", f'"{address}"')), "centres.city.standing_alarm"),
    ):
        with pytest.raises(DirectoryRefused) as refused:
            checked_directory_file(written(tmp_path, text), NOW)
        assert [(each.line, each.where, each.what) for each in refused.value.problems] == [(line_of(text, f'"{address}"'), where, NOT_UNDERSTOOD)]
        assert f'{address}"' not in str(refused.value)


def test_where_apprise_is_not_installed_a_directory_can_be_checked_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    checked_directory_file(written(tmp_path, with_part(OF_ANN, '"+8613800001111"')), NOW)


def test_the_text_that_other_tests_use_passes(tmp_path: Path):
    checked_directory_file(written(tmp_path, TEXT), NOW)
