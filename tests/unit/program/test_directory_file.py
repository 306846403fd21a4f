"""A directory file: what it says goes where it belongs, and each mistake in its form is told with its line."""

import pickle
from pathlib import Path

import pytest

from contracts.directory import Contacts, Directory
from contracts.envelope import MAX_VALUE_BYTES
from services.program.directory_file import DirectoryRefused, checked_directory_file, read_directory_file
from services.runtime.errors import ConfigurationError
from tests.unit.program.directory_text import NOW, TEXT, line_of, with_part, written


def refused(folder: Path, text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(DirectoryRefused) as caught:
        read_directory_file(written(folder, text))
    return [(each.line, each.where, each.what) for each in caught.value.problems]


def test_addresses_go_to_the_contacts_and_nothing_of_them_to_the_directory(tmp_path: Path):
    directory, contacts = read_directory_file(written(tmp_path, TEXT))
    assert list(directory.people["ann"].methods.items()) == [("push", False), ("call", True)]  # in the order of the file
    assert contacts.people["ann"]["push"].get_secret_value() == "json://phone.test/ann"
    assert contacts.standing_alarms.keys() == directory.centres.keys()
    assert contacts.standing_alarms["county"].get_secret_value() == "local"
    told = directory.model_dump_json()
    assert "json://" not in told
    assert "alarm" not in told
    assert directory.centres["county"].hours[0].span == "00:00-00:00"
    assert directory.rosters["on-call"].rotation[0].begins.tzinfo is None


def test_what_was_read_is_the_same_after_its_way_as_events(tmp_path: Path):
    directory, contacts = read_directory_file(written(tmp_path, TEXT))
    assert Directory.model_validate_json(directory.model_dump_json()) == directory
    assert Contacts.model_validate_json(contacts.model_dump_json()) == contacts


MISTAKES = [  # what is written otherwise, how; the mistake's line is that of the last part; where; what is said of it
    ("    lysis_min: 10", "    lysis_mins: 10", "lysis_mins", "clinics.village.lysis_mins", "no such word is known here"),
    ("rings: false}\n      call", "rings: false, ring: 1}\n      call", "ring: 1", "people.ann.methods.push.ring", "no such word is known here"),
    ("    network: north\n    travel", "    travel", "  village:", "clinics.village.network", "is missing here"),
    ("555-0101", "5550101", "5550101", "centres.city.standing_number", "put it in quotes: it is to be text"),
    ("[pci, stroke]", "[pci, strok]", "strok]", "centres.city.capabilities.1", "Input should be 'pci', 'stroke', 'trauma'"),
    ("  cai:\n", "  Cai Li:\n", "Cai Li", "people.Cai Li", "String should match pattern"),
    ("  cai:\n", "  12:\n", "  12:", "people.?", "a name is to be text: put it in quotes"),
    ("  bob:\n", "  ann:\n", "  ann:\n    name: Bob", "people.ann", "stands here twice"),
    ("    name: Cai\n", "    name: Cai\n    name: Chai\n", "name: Chai", "people.cai.name", "stands here twice"),
    ('address: "mailto://cai@mail.test", ', "", "mail:", "people.cai.methods.mail.address", "is missing here"),
    ('"mailto://cai@mail.test"', '""', "mail:", "people.cai.methods.mail.address", "at least 1"),
    ("2026-01-01T08:00:00", "2026-01-01T08:00:00+08:00", "2026-01-01", "rosters.on-call.rotation.0", "without an offset"),
    ("2026-01-01T08:00:00", "2026-13-01T08:00:00", "2026-13-01", "rosters.on-call.rotation.0.begins", "month must be in 1..12"),
    (
        "2026-03-05T08:00:00+08:00",
        "2026-03-05T08:00:00",
        "2026-03-05",
        "rosters.on-call.overrides.0.begins",
        "with a time zone, e.g. 2026-03-05T08:00:00+08:00",
    ),
    ("wait_s: 60", "wait_s: 6", "wait_s: 6}", "policies.red.steps.0.wait_s", "greater than or equal to 30"),
    ('page: ["person:bob"]', 'page: ["doctor:bob"]', "doctor:bob", "policies.last.steps.0.page.0", "String should match pattern"),
    ("timezone: Asia/Shanghai\n", "timezone: &here Asia/Shanghai\nzone: *here\n", "zone: *here", "zone", "an alias (*name) is not taken here"),
    ("version: spring-1\n", "", "timezone:", "version", "is missing here"),
]


@pytest.mark.parametrize(("old", "new", "at", "where", "what"), MISTAKES, ids=[f"{row[3]}: {row[4]}" for row in MISTAKES])
def test_a_mistake_in_the_form_is_told_with_its_line(tmp_path: Path, old: str, new: str, at: str, where: str, what: str):
    text = with_part(old, new)
    (found,) = refused(tmp_path, text)
    assert (found[0], found[1]) == (line_of(text, at), where)
    assert what in found[2]


def test_all_mistakes_are_told_at_once_in_the_order_of_their_lines(tmp_path: Path):
    text = with_part("wait_s: 60", "wait_s: 6").replace("network: south", "netwrok: south").replace('"roster:on-call"', '"rooster:on-call"')
    assert [line for line, _, _ in refused(tmp_path, text)] == [
        line_of(text, "  city:"),
        line_of(text, "netwrok"),
        line_of(text, "wait_s: 6}"),
        line_of(text, "rooster"),
    ]


def test_text_that_is_no_yaml_is_told_with_its_line(tmp_path: Path):
    (found,) = refused(tmp_path, with_part("[pci, stroke]", "[pci, stroke"))
    assert found[0] > line_of(TEXT, "[pci, stroke]")


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n- b\n", "just words\n"])
def test_what_is_no_directory_is_refused(tmp_path: Path, text: str):
    ((line, where, what),) = refused(tmp_path, text)
    assert (line, where) == (1, "file")
    assert (what == "the file is empty") == (text in {"", "# nothing\n"})


def test_a_refusal_is_file_and_line_for_each_mistake_and_outlives_a_process(tmp_path: Path):
    path = written(tmp_path, with_part("wait_s: 60", "wait_s: 6").replace("network: south", "netwrok: south"))
    with pytest.raises(ConfigurationError) as caught:
        read_directory_file(path)
    said = str(caught.value).splitlines()
    assert len(said) == 3
    assert all(line.startswith(f"{path}:") for line in said)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_no_address_is_in_an_error(tmp_path: Path):
    text = with_part('{address: "json://gateway.test/ann", rings: true}', '{address: {json: "json://gateway.test/ann"}, rings: perhaps}')
    found = refused(tmp_path, text)
    assert {where for _, where, _ in found} == {"people.ann.methods.call.address", "people.ann.methods.call.rings"}
    assert "gateway" not in str(found)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"version: \x07"])
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "directory.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"directory\.yaml"):
        read_directory_file(path)


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_directory_file(tmp_path / "missing.yaml")
    with pytest.raises(ConfigurationError, match="larger than 4 MiB"):
        read_directory_file(written(tmp_path, "#" * (4 * 1024 * 1024 + 1)))


def test_a_directory_that_no_event_could_carry_is_refused(tmp_path: Path):
    more = "".join(f"  person-{number}: {{name: {'x' * 80}, methods: {{local: {{address: local, rings: true}}}}}}\n" for number in range(5000))
    ((line, where, what),) = refused(tmp_path, with_part("teams:\n", f"{more}teams:\n"))
    assert (line, where) == (1, "file")
    assert f"at most {MAX_VALUE_BYTES} are carried" in what


def test_what_is_wrong_as_a_whole_is_refused_with_its_line_too(tmp_path: Path):
    path = written(tmp_path, TEXT)
    assert checked_directory_file(path, NOW) == read_directory_file(path)
    text = with_part('page: ["person:bob"]', 'page: ["person:eve"]')
    with pytest.raises(DirectoryRefused, match=f"directory.yaml:{line_of(text, 'person:eve')}: .*person eve is not listed"):
        checked_directory_file(written(tmp_path, text), NOW)
