"""Whatever a readable file holds beside its leads, and whatever numbers stand in them: the verdict comes, and the contract takes it."""

import re
import unicodedata

import numpy as np
import pytest
from ecgdatakit.models import Lead
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.assessments import MAX_STATEMENT_CHARACTERS, MAX_STATEMENTS, Reading
from contracts.vocabulary import Priority, Sex
from services.runtime.archive import UploadedFile
from services.triage import words
from services.triage.anonymise import without_identity
from services.triage.decode import decode
from services.triage.decode.leads import assemble
from services.triage.quality import LeadQuality
from services.triage.reading import not_evaluable, read, read_recording
from services.triage.recording import KNOWN_LEADS, STANDARD, Recording
from services.triage.stored import decode_stored, encode

RED = "vendor/philips-1.03/129DYNRG.XML"
FEW = settings(max_examples=60, deadline=None)


@pytest.fixture(scope="module")
def infarction(uploaded) -> Recording:
    return decode(uploaded(RED))


def with_statements(recording: Recording, statements: tuple[str, ...]) -> Recording:
    return Recording(recording.leads, recording.samples_mv, recording.fs_hz, recording.age_y, recording.sex, statements, recording.format)


any_text = st.text(st.characters(), max_size=3 * MAX_STATEMENT_CHARACTERS)  # control characters and lone surrogates too


@FEW
@given(st.lists(any_text, max_size=3 * MAX_STATEMENTS), st.lists(any_text, max_size=5))
def test_no_statement_of_a_cart_changes_the_priority(infarction, statements, identity):
    kept = without_identity(statements, identity)
    reading = read_recording(with_statements(infarction, kept), age_y=None, sex=None)
    assert reading.priority is Priority.RED
    assert Reading.model_validate_json(reading.model_dump_json()) == reading
    assert decode_stored(encode(with_statements(infarction, kept))).vendor_statements == kept
    assert not {unicodedata.category(character) for statement in kept for character in statement} & {"Cc", "Cs", "Cf"}


def test_more_and_longer_statements_than_the_contract_admits_are_cut_to_it(infarction):
    kept = without_identity([f"{number} " + "x" * 1000 for number in range(200)], [])
    assert len(kept) == MAX_STATEMENTS
    assert {len(statement) for statement in kept} == {MAX_STATEMENT_CHARACTERS}
    assert read_recording(with_statements(infarction, kept), age_y=None, sex=None).priority is Priority.RED


def test_repeated_statements_do_not_crowd_out_the_others():
    assert without_identity(["Sinus rhythm"] * 100 + ["ST elevation"], []) == ("Sinus rhythm", "ST elevation")


def test_a_red_recording_with_a_long_statement_in_its_file_stays_red(uploaded):
    (file,) = uploaded("vendor/philips-1.03/129DYNRG.XML")
    said = read([file], age_y=None, sex=None)[0].vendor_statements[0].split(" (")[0].encode()
    assert said in file.content
    reading, _ = read([UploadedFile("a.xml", file.content.replace(said, said + b", anterior wall" * 40))], age_y=None, sex=None)
    assert reading.priority is Priority.RED
    assert any(len(statement) > 190 for statement in reading.vendor_statements)


@pytest.mark.parametrize("measured", ["NaN", "1e999", "-inf"])
def test_a_measurement_of_the_carts_own_that_is_no_number_does_not_cost_the_verdict(uploaded, measured):
    (file,) = uploaded("vendor/muse/guangxi_teaching_sinus_rhythm.xml")
    spoilt = re.sub(rb"<(QTInterval|PAxis|PatientAge)>[^<]*<", rb"<\1>" + measured.encode() + b"<", file.content)
    assert spoilt != file.content
    sound, _ = read([file], age_y=30, sex=Sex.MALE)
    reading, _ = read([UploadedFile("a.xml", spoilt)], age_y=30, sex=Sex.MALE)
    kept = sound.vendor_measurements.model_copy(update={"qt_ms": None, "p_axis_deg": None})
    assert kept.qrs_ms == 74
    assert reading == sound.model_copy(update={"vendor_measurements": kept})


odd_values = st.sampled_from([np.nan, np.inf, -np.inf, 1e30, -1e30, 3e38, 1e6, 1e-40, 0.0])
spots = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 4999), st.integers(1, 5000), odd_values), max_size=6)


@FEW
@given(spots)
def test_no_number_in_the_samples_makes_the_contract_refuse_the_verdict(infarction, spots):
    samples = infarction.samples_mv.copy()
    for lead, first, length, value in spots:
        samples[lead, first : first + length] = value
    spoilt = Recording(infarction.leads, samples, infarction.fs_hz, infarction.age_y, infarction.sex, (), infarction.format)
    with np.errstate(all="ignore"):
        reading = read_recording(spoilt, age_y=None, sex=None)
    assert Reading.model_validate_json(reading.model_dump_json()) == reading
    assert reading.priority in (Priority.RED, Priority.NOT_EVALUABLE, Priority.YELLOW)


def test_every_problem_with_every_lead_fits_the_contract():
    every = dict.fromkeys(("missing", "flat", "saturated", "implausible", "short"), KNOWN_LEADS)
    problems = words.lead_problems(LeadQuality(usable=(), **every))
    assert {problem.leads for problem in problems} == {KNOWN_LEADS}
    assert not_evaluable(problems, age_y=None, sex=None).priority is Priority.NOT_EVALUABLE


@pytest.mark.parametrize("unit", ["V", "mV"])
def test_an_amplitude_beyond_all_measure_is_implausible_and_does_not_spoil_the_others(infarction, unit):
    samples = {lead: infarction.samples_mv[row].astype(np.float64) for row, lead in enumerate(infarction.leads)}
    samples["V6"][100] = 1e300
    per = {"V": 1e-3, "mV": 1.0}[unit]
    leads = [Lead(label=lead, samples=values * per, sampling_rate=500, units=unit, is_raw=False) for lead, values in samples.items()]
    order, samples_mv, fs_hz = assemble(leads)
    assert np.isfinite(samples_mv).all()
    recording = Recording(order, samples_mv, fs_hz, None, None, (), "made up")
    reading = read_recording(recording, age_y=None, sex=None)
    assert reading.priority is Priority.RED
    assert [problem.leads for problem in reading.quality.problems if problem.code == "implausible"] == [("V6",)]
    assert (decode_stored(encode(recording)).samples_mv[STANDARD.index("V6")] > 1e5).sum() == 1
