"""A repeat compared with the patient's earlier ECGs: what is found, what is passed over, and what is said where nothing could be compared."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pytest

from contracts.assessments import Assessed
from contracts.ids import UploadId
from contracts.vocabulary import Lane, Priority
from services.triage.decode import decode
from services.triage.earlier import KEPT, QRS_ALIKE_MS, EarlierEcg, EarlierEcgs, left_by
from services.triage.reading import read_recording
from tests.unit.triage.raised_st import halves, with_st_raised
from tests.unit.triage.rule_patient import judge, measured

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
QUIET = "challenge/E00002.hea"
CHEST = ("V3", "V4", "V5")


def kept(recording, *, minutes=12.0, upload=1) -> EarlierEcg:
    """Return what the assessment of a recording leaves, received so long before now."""
    reading = read_recording(recording, age_y=60, sex=None)
    at = NOW - timedelta(minutes=minutes)
    of_upload = {"upload_id": UploadId(UUID(int=upload)), "clinic_id": "clinic", "patient_key": "a" * 64, "lane": Lane.EMERGENCY}
    left = left_by(Assessed(**reading.model_dump(), **of_upload, at=at, received_at=at))
    assert left is not None
    return left


def compared(recording, *found):
    return read_recording(recording, age_y=60, sex=None, earlier=EarlierEcgs(at=NOW, found=found))


def changes(reading):
    return [finding for finding in reading.findings if finding.rule == "dynamic_change"]


def said(reading):
    """Return what is said about the comparison, in words."""
    return [problem.text for problem in reading.quality.problems if problem.code == "not_compared"]


@pytest.fixture(scope="module")
def parts(uploaded):
    return halves(decode(uploaded(QUIET)))


@pytest.mark.parametrize(("leads", "rise_mv"), [(CHEST, 0.08), (("II", "aVF", "III"), 0.065)])
def test_st_that_has_risen_in_two_neighbours_is_yellow_with_both_values_the_threshold_and_its_source(parts, leads, rise_mv):
    before, after = parts
    earlier, raised = kept(before), with_st_raised(after, leads, rise_mv)
    assert read_recording(raised, age_y=60, sex=None).priority is Priority.GREEN  # it is below every limit by itself
    reading = compared(raised, earlier)
    (finding,) = changes(reading)
    assert (finding.priority, reading.priority, finding.leads) == (Priority.YELLOW, Priority.YELLOW, leads)
    assert reading.compared_with == earlier.upload_id
    risen = {value.lead: value for value in finding.values if value.name == "risen_st_j_mv"}
    now = {value.lead: value for value in finding.values if value.name == "st_j_mv"}
    for lead in leads:
        assert risen[lead].measured == pytest.approx(rise_mv, abs=0.03)
        assert risen[lead].threshold == 0.05
        assert now[lead].measured - risen[lead].measured == pytest.approx(earlier.st_j_mv[lead], abs=1e-6)
    assert "12 min earlier" in finding.title
    assert "Fourth Universal Definition" in finding.source
    assert finding.title_zh


@pytest.mark.parametrize("path", [QUIET, "challenge/E00001.hea", "ludb/63.hea", "ptbxl/00051_hr.hea", "ptbxl/00478_hr.hea", "ptbxl/04960_hr.hea"])
def test_two_halves_of_one_quiet_recording_show_no_change_either_way(uploaded, path):
    before, after = halves(decode(uploaded(path)))
    for one, other in ((before, after), (after, before)):
        reading = compared(other, kept(one))
        assert reading.compared_with == UploadId(UUID(int=1))
        assert changes(reading) == []


def test_an_infarction_that_is_new_is_red_and_also_said_to_be_new(parts):
    reading = compared(with_st_raised(parts[1], CHEST, 0.4), kept(parts[0]))
    assert reading.priority is Priority.RED
    assert reading.findings[0].rule == "stemi"
    assert changes(reading)


def test_the_newest_of_several_is_compared_with_whatever_their_order(parts):
    before, after = parts
    found = [kept(before, minutes=minutes, upload=number) for number, minutes in enumerate((300.0, 5.0, 60.0), start=1)]
    assert compared(after, *found).compared_with == compared(after, *reversed(found)).compared_with == UploadId(UUID(int=2))


def test_a_depression_that_has_gone_back_to_the_level_is_no_rise(parts):
    low = with_st_raised(parts[0], CHEST, -0.09)
    reading = compared(parts[1], kept(low))
    assert reading.compared_with is not None
    assert changes(reading) == []


@pytest.mark.parametrize("minutes", [0.0, -5.0, KEPT.total_seconds() / 60 + 1])
def test_what_is_not_earlier_or_too_old_is_not_compared_with(parts, minutes):
    reading = compared(with_st_raised(parts[1], CHEST, 0.08), kept(parts[0], minutes=minutes))
    assert (reading.compared_with, changes(reading), said(reading)) == (None, [], [])


def test_the_same_recording_sent_again_hides_no_earlier_one(parts):
    raised = with_st_raised(parts[1], CHEST, 0.08)
    reading = compared(raised, kept(raised, minutes=1, upload=2), kept(parts[0], minutes=30, upload=1))
    assert reading.compared_with == UploadId(UUID(int=1))
    assert changes(reading)
    assert compared(raised, kept(raised)).compared_with is None


def test_another_width_of_the_qrs_is_not_compared_and_that_is_said(parts):
    before = kept(parts[0])
    other = before.model_copy(update={"qrs_ms": before.qrs_ms + QRS_ALIKE_MS + 4})
    raised = with_st_raised(parts[1], CHEST, 0.08)
    reading = compared(raised, other)
    assert (reading.compared_with, changes(reading)) == (None, [])
    (sentence,) = said(reading)
    assert f"{other.qrs_ms:.0f} ms" in sentence
    older = before.model_copy(update={"received_at": before.received_at - timedelta(hours=1), "upload_id": UploadId(UUID(int=3))})
    assert compared(raised, other, older).compared_with == older.upload_id  # of the same width: it can be


def test_a_lead_whose_st_is_not_sure_in_both_is_not_compared(parts):
    before, after = parts
    raised = with_st_raised(after, ("V4", "V5"), 0.08)
    assert changes(compared(raised, kept(before)))[0].leads == ("V4", "V5")
    assert "V4" not in kept(trembling(before, "V4")).st_j_mv
    for one, other in ((trembling(before, "V4"), raised), (before, trembling(raised, "V4"))):
        reading = compared(other, kept(one))
        assert reading.compared_with is not None
        assert changes(reading) == []


def trembling(recording, lead):
    """Return the recording with a slow tremor in one lead, which moves ST from beat to beat and lifts none of them by much."""
    seconds = np.arange(recording.samples_mv.shape[1]) / recording.fs_hz
    samples_mv = recording.samples_mv.copy()
    samples_mv[recording.leads.index(lead)] += (0.12 * np.sin(2 * np.pi * 4.3 * seconds)).astype(np.float32)
    return replace(recording, samples_mv=samples_mv)


def test_earlier_ecgs_that_could_not_be_looked_up_cost_the_comparison_and_no_verdict(parts):
    alone = read_recording(parts[1], age_y=60, sex=None)
    reading = read_recording(parts[1], age_y=60, sex=None, earlier=EarlierEcgs(at=NOW, found=None))
    assert len(said(reading)) == 1
    assert reading.model_copy(update={"quality": alone.quality}) == alone


def test_nobodys_earlier_ecg_is_nothing_to_tell_of(parts):
    assert compared(parts[1]) == read_recording(parts[1], age_y=60, sex=None)


@pytest.mark.parametrize(
    ("st_mv", "earlier_mv", "qrs_ms", "fires"),
    [
        ({"V4": 0.08, "V5": 0.08}, {"V4": 0.0, "V5": 0.0}, 90.0, True),
        ({"V4": 0.08, "V6": 0.08}, {"V4": 0.0, "V6": 0.0}, 90.0, False),  # no neighbours
        ({"II": 0.06, "III": 0.06, "aVF": 0.06}, {"II": 0.0, "III": 0.0, "aVF": 0.0}, 90.0, True),
        ({"V4": 0.08, "V5": 0.03}, {"V4": 0.0, "V5": -0.1}, 90.0, False),  # V5 is not elevated now
        ({"V4": 0.08, "V5": 0.08}, {"V4": 0.0, "V5": 0.0}, 120.0, False),
    ],
)
def test_it_takes_two_neighbours_that_have_risen_and_stand_above_the_level(st_mv, earlier_mv, qrs_ms, fires):
    given = replace(measured(qrs_ms=qrs_ms, **st_mv), earlier_st_j_mv=earlier_mv, earlier_minutes=200.0)
    titles = [finding.title for finding in judge(given) if finding.rule == "dynamic_change"]
    assert len(titles) == fires
    assert not fires or "the ECG 3 h earlier" in titles[0]
