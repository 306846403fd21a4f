"""An address that nothing can be sent to is refused with its line, before somebody's page fails for good; and it is not shown."""

from pathlib import Path

import pytest

from services.notify.address_targets import LEFT_OUT, NOBODY
from services.program.address_check import NOT_UNDERSTOOD
from services.program.directory_file import DirectoryRefused, checked_directory_file
from tests.unit.program.directory_text import NOW, TEXT, line_of, with_part, written

TWILIO = f"twilio://AC{'a' * 32}:{'b' * 32}@15551234567"
SINCH = f"sinch://{'a' * 32}:{'b' * 32}@15551234567"
VONAGE = f"vonage://{'a' * 8}:{'b' * 16}@15551234567"
DINGTALK = f"dingtalk://{'a' * 64}"
MAIL = "mailto://user:password@mail.test"
OF_ANN, OF_CITY = '"json://gateway.test/ann"', "standing_number: 555-0101\n    standing_alarm: local"


def test_addresses_that_can_be_used_pass(tmp_path: Path):
    for address in (MAIL, "wecombot://botkey", "json://gateway.test/{notice_id}", "local"):
        checked_directory_file(written(tmp_path, with_part(OF_ANN, f'"{address}"')), NOW)


@pytest.mark.parametrize(
    "address",
    [
        f"{TWILIO}/+8613800138000",
        f"{TWILIO}/13800138000/w:13900139000?method=sms",
        f"{TWILIO}?to=%2B86 138 0013 8000",
        f"{SINCH}/13800138000",
        f"{VONAGE}/8613800138000/8613800138001",
        DINGTALK,  # the group hears it, whomever it mentions
        f"{DINGTALK}/13800138000",
        f"{MAIL}?to=ann@hospital.test",
        f"{MAIL}?to=Test Ann <ann@hospital.test>,bob@hospital.test&cc=ward@hospital.test",
        f"{MAIL}/ann@hospital.test/bob@hospital.test",
        "bulksms://user:password@8613800138000",
        "voipms://password:user@mail.test/15551234567/15557654321",
        "signal://gateway.test/15551234567/8613800138000",
        "json://gateway.test/page?to=ann",
    ],
)
def test_an_address_that_reaches_all_whom_it_names_passes(tmp_path: Path, address: str):
    checked_directory_file(written(tmp_path, with_part(OF_ANN, f'"{address}"')), NOW)


@pytest.mark.parametrize(
    ("address", "wrong"),
    [
        (TWILIO, NOBODY),
        (f"{TWILIO}/15551234567", NOBODY),
        (SINCH, NOBODY),
        (VONAGE, NOBODY),
        ("httpsms://key@15551234567", NOBODY),
        ("signal://gateway.test/15551234567", NOBODY),
        (f"clickatell://{'t' * 20}", NOBODY),
        ("bulksms://user:password@", NOBODY),
        ("d7sms://token@", NOBODY),
        ("smseagle://token@gateway.test", NOBODY),
        (f"pover://{'u' * 30}@{'t' * 30}/vice!", LEFT_OUT),
        (f"{TWILIO}/+8613800l38000", LEFT_OUT),
        (f"{TWILIO}/13800138", LEFT_OUT),
        (f"{TWILIO}/8613800138000/+8613800l38000", LEFT_OUT),
        (f"{TWILIO}/13800138000l2", LEFT_OUT),
        (f"{TWILIO}?to=13800138000;13900139000", LEFT_OUT),
        (f"{SINCH}/+8613800l38000", LEFT_OUT),
        (f"{VONAGE}/8613800138000/12", LEFT_OUT),
        (f"{DINGTALK}/13800l38000", LEFT_OUT),
        (f"{MAIL}?to=nobody", LEFT_OUT),
        (f"{MAIL}?to=ann@hospital.test,nobody", LEFT_OUT),
        (f"{MAIL}?to=ann@hospital.test&cc=bob@hospital.test,nobody", LEFT_OUT),
        (f"{MAIL}/ann@hospital..test", LEFT_OUT),
        (f"{MAIL},{TWILIO}", NOBODY),
    ],
)
def test_an_address_that_reaches_nobody_or_not_all_whom_it_names_is_refused_unshown(tmp_path: Path, address: str, wrong: str):
    with pytest.raises(DirectoryRefused) as refused:
        checked_directory_file(written(tmp_path, with_part(OF_ANN, f'"{address}"')), NOW)
    assert [(each.where, each.what) for each in refused.value.problems] == [("people.ann.methods.call.address", wrong)]
    assert "1380" not in str(refused.value)
    assert "test" not in wrong + str([each.what for each in refused.value.problems])


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
