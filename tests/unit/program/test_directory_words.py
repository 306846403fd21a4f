"""What stands in a directory file without quotes: each word is read as it is written, or refused with its line."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.directory import Diverting, Override, Shift
from services.program.directory_file import DirectoryRefused, read_directory_file
from tests.unit.program.directory_text import TEXT, line_of, with_part, written

TURN = "begins: 2026-01-01T08:00:00}"
REFUSED = [  # what is written otherwise, how, what is said of it
    ("lysis_min: 10", "lysis_min: no", "a whole number in digits alone"),
    ("lysis_min: 10", "lysis_min: 010", "a whole number in digits alone"),
    ("lysis_min: 10", "lysis_min: 1_0", "a whole number in digits alone"),
    ("lysis_min: 10", "lysis_min: 10.0", "a whole number in digits alone"),
    ("lysis_min: 10", "lysis_min: '10'", "a whole number in digits alone"),
    ("lysis_min: 10", "lysis_min: true", "a whole number in digits alone"),
    ("{county: 35}", "{county: no}", "a whole number in digits alone"),
    (TURN, TURN.replace("}", ", shift_h: 8:00}"), "a whole number in digits alone"),
    (TURN, TURN.replace("}", ", shift_h: yes}"), "a whole number in digits alone"),
    ("555-0101", "95018", "put it in quotes"),
    ("name: Bob", "name: true", "put it in quotes"),
    ("lysis_min: 10", "lysis_min:", "stands empty"),
    ("lysis_min: 10", "lysis_min: ~", "stands empty"),
    ("lysis_min: 10", "lysis_min: none", "a whole number in digits alone"),
    ("name: Bob", "name: null", "stands empty"),
    ("name: Bob", "name:", "stands empty"),
    ("address: local, rings: true", "address: local, rings: yes", "true or false"),
    ("address: local, rings: true", "address: local, rings: 1", "true or false"),
    (TURN, "begins: 20260101}", "write the day and the time"),
    (TURN, "begins: '20260101'}", "write the day and the time"),
    (TURN, "begins: 2026-01-01}", "write the day and the time"),
    ("2026-03-05T08:00:00+08:00", "20260305", "write the day and the time"),
    ("2026-03-06T08:00:00+08:00", "1772755200.0", "write the day and the time"),
    ("name: Bob", "name: !!timestamp foo", "take the mark out"),
    ("name: Bob", "name: !!bool maybe", "take the mark out"),
    ("name: Bob", "name: !!int 0x1F", "take the mark out"),
    ("name: Bob", "name: !!null foo", "take the mark out"),
    ("name: Bob", "name: !!binary Qm9i", "take the mark out"),
    ("name: Bob", "name: !!set {Bob}", "take the mark out"),
    ("name: Bob", r'name: "\ud800"', "half a character"),
    ("[pci, stroke]", "pci", "write it in [ ]"),
    ("name: Bob", "name: !!str [Bob]", "take the mark out"),
    ("  bob:\n", "  null:\n", "put it in quotes"),
]
AS_WRITTEN = [
    "010-555",
    "0123456",
    "+8613800000000",
    "08:30",
    "1.10",
    "2026-03-05",
    "no",
    "on",
    "yes",
    "off",
    "1e3",
    "0x1F",
    "1_000",
    "=",
    "<<",
    ".inf",
]


@pytest.mark.parametrize(("old", "new", "what"), REFUSED, ids=[row[1].strip() for row in REFUSED])
def test_what_is_not_what_it_should_be_is_refused_with_its_line_and_what_to_write(tmp_path: Path, old: str, new: str, what: str):
    text = TEXT.replace(old, new, 1)
    with pytest.raises(DirectoryRefused) as caught:
        read_directory_file(written(tmp_path, text))
    (problem, *others) = caught.value.problems
    assert (problem.line, what in problem.what, others) == (line_of(TEXT[: TEXT.index(old) + len(old)], old), True, []), problem


def test_brackets_without_end_are_refused(tmp_path: Path):
    with pytest.raises(DirectoryRefused, match="brackets"):
        read_directory_file(written(tmp_path, with_part("name: Bob", f"name: {'[' * 250}{']' * 250}")))


@pytest.mark.parametrize("word", AS_WRITTEN)
def test_a_word_that_other_files_take_for_a_number_or_a_day_is_text_here(tmp_path: Path, word: str):
    directory, _ = read_directory_file(written(tmp_path, with_part("name: Bob", f"name: {word}")))
    assert directory.people["bob"].name == word


@pytest.mark.parametrize("name", ["no", "on", "yes", "off", "y", "n"])
def test_an_id_is_text_though_other_files_take_it_for_yes_or_no(tmp_path: Path, name: str):
    text = TEXT.replace("bob", name)
    assert name in read_directory_file(written(tmp_path, text))[0].people


@given(st.text("0123456789.:+-_eExXoOabfTtYyNnrulsZ~", min_size=1, max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_stands_there_is_read_as_it_is_written_or_refused(tmp_path: Path, word: str):
    try:
        directory, _ = read_directory_file(written(tmp_path, with_part("name: Bob", f"name: {word}")))
        assert directory.people["bob"].name == word
    except DirectoryRefused:
        pass
    try:
        directory, _ = read_directory_file(written(tmp_path, with_part("lysis_min: 10", f"lysis_min: {word}")))
        assert str(directory.clinics["village"].lysis_min) == word or (
            word in {"~", "null", "NULL"} and directory.clinics["village"].lysis_min is None
        )
    except DirectoryRefused:
        pass


NUMBER = 20261224


@pytest.mark.parametrize("at", [NUMBER, float(NUMBER), str(NUMBER), "2026-12-24", True])
def test_a_number_is_no_time_for_whoever_reads_a_directory(at: object):
    for model, fields in ((Override, {"person": "bob", "begins": at, "ends": at}), (Diverting, {"until": at, "reason": "full"})):
        with pytest.raises(ValidationError, match="write the day and the time"):
            model.model_validate(fields)
    with pytest.raises(ValidationError, match="write the day and the time"):
        Shift.model_validate({"people": ["bob"], "begins": at})
