"""What a synthetic patient promises: the ST that was asked for, leads that agree with each other, the same bytes again, and no doubt about whose."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from ecgdatakit import FileParser

from contracts.vocabulary import Sex
from services.ops.cardiac_dipole import J_POINT_S, QRS_ONSET_S, Floats
from services.ops.synthetic_dicom import STEP_MV, to_dicom
from services.ops.synthetic_patient import LEADS, Pattern, SyntheticRecording, synthesize

MADE_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STRONGEST = {Pattern.ANTERIOR: "V3", Pattern.INFERIOR: "III", Pattern.LATERAL: "V6"}


def st_at_j(recording: SyntheticRecording) -> dict[str, float]:
    """Measure ST at the model's own J point against its own QRS onset, in mV, as the median of the beats that lie whole in the recording."""
    beats = []
    for r_s in recording.r_peaks_s[1:-1]:
        onset, j = (round((r_s + offset_s) * recording.fs_hz) for offset_s in (QRS_ONSET_S, J_POINT_S))
        beats.append(recording.samples_mv[:, j] - recording.samples_mv[:, onset - 4 : onset].mean(axis=1))
    assert len(beats) >= 5
    return dict(zip(recording.leads, np.median(beats, axis=0).tolist(), strict=True))


def in_dicom(recording: SyntheticRecording) -> bytes:
    return to_dicom(recording, age_y=60, sex=Sex.MALE, made_at=MADE_AT)


def lead(recording: SyntheticRecording, name: str) -> Floats:
    samples_mv: Floats = recording.samples_mv[recording.leads.index(name)]
    return samples_mv


@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("st_mv", [0.1, 0.3, 0.8])
@pytest.mark.parametrize("pattern", STRONGEST)
def test_the_strongest_lead_of_a_territory_has_the_st_elevation_that_was_asked_for(pattern: Pattern, st_mv: float, seed: int) -> None:
    measured = st_at_j(synthesize(pattern, st_mv=st_mv, seed=seed))
    assert measured[STRONGEST[pattern]] == pytest.approx(st_mv, abs=0.03)
    assert max(measured, key=measured.__getitem__) == STRONGEST[pattern] or st_mv < 0.3


@pytest.mark.parametrize("heart_rate_bpm", [45, 72, 140])
@pytest.mark.parametrize("seed", range(1, 6))
def test_a_normal_heart_has_no_st_deviation_in_any_lead(seed: int, heart_rate_bpm: float) -> None:
    measured = st_at_j(synthesize(Pattern.NORMAL, st_mv=None, seed=seed, heart_rate_bpm=heart_rate_bpm))
    assert max(abs(st_mv) for st_mv in measured.values()) <= 0.05


def test_an_anterior_infarction_passes_the_highest_threshold_in_contiguous_leads() -> None:
    measured = st_at_j(synthesize(Pattern.ANTERIOR, st_mv=0.3, seed=1))
    assert all(measured[name] >= 0.25 for name in ("V2", "V3", "V4"))


def test_an_inferior_infarction_has_reciprocal_depression_in_i_and_avl() -> None:
    measured = st_at_j(synthesize(Pattern.INFERIOR, st_mv=0.3, seed=1))
    assert all(measured[name] >= 0.2 for name in ("II", "III", "aVF"))
    assert measured["aVL"] <= -0.1
    assert measured["I"] <= -0.03


@pytest.mark.parametrize("pattern", Pattern)
def test_the_limb_leads_obey_einthoven_and_goldberger(pattern: Pattern) -> None:
    recording = synthesize(pattern, st_mv=None, seed=4)
    i, ii, iii = (lead(recording, name) for name in ("I", "II", "III"))
    assert np.allclose(ii, i + iii, atol=1e-12)
    assert np.allclose(lead(recording, "aVR"), -(i + ii) / 2, atol=1e-12)
    assert np.allclose(lead(recording, "aVL"), (i - iii) / 2, atol=1e-12)
    assert np.allclose(lead(recording, "aVF"), (ii + iii) / 2, atol=1e-12)
    assert np.ptp(i) > 0.5


def test_the_r_wave_grows_from_v1_and_the_s_wave_goes() -> None:
    recording = synthesize(Pattern.NORMAL, st_mv=None, seed=1)
    r_to_s = [lead(recording, name).max() / -lead(recording, name).min() for name in ("V1", "V2", "V3", "V4")]
    assert r_to_s == sorted(r_to_s)
    assert r_to_s[0] < 1 < r_to_s[2]


def test_the_heart_beats_at_the_rate_that_was_asked_for_and_not_like_a_clock() -> None:
    intervals_s = np.diff(synthesize(Pattern.NORMAL, st_mv=None, seed=1, heart_rate_bpm=90).r_peaks_s)
    assert 60 / intervals_s.mean() == pytest.approx(90, abs=3)
    assert 0.005 < intervals_s.std() < 0.05


def test_with_the_chest_leads_off_they_are_flat_and_the_limb_leads_are_not() -> None:
    recording = synthesize(Pattern.LEAD_OFF, st_mv=None, seed=1)
    flat = {name for name in LEADS if np.ptp(lead(recording, name)) == 0}
    assert flat == {"V1", "V2", "V3", "V4", "V5", "V6"}


@pytest.mark.parametrize("pattern", Pattern)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(pattern: Pattern) -> None:
    once, again, other = (in_dicom(synthesize(pattern, st_mv=None, seed=seed)) for seed in (7, 7, 8))
    assert once == again
    one, another = (pydicom.dcmread(BytesIO(written)) for written in (once, other))
    assert one.SOPInstanceUID != another.SOPInstanceUID
    assert one.WaveformSequence[0].WaveformData != another.WaveformSequence[0].WaveformData


@pytest.mark.parametrize("pattern", Pattern)
def test_other_readers_find_the_same_millivolts_in_the_dicom_file(pattern: Pattern, tmp_path: Path) -> None:
    recording = synthesize(pattern, st_mv=None, seed=2)
    path = tmp_path / "synthetic.dcm"
    path.write_bytes(in_dicom(recording))
    by_pydicom = pydicom.dcmread(path).waveform_array(0).T
    assert np.allclose(by_pydicom, recording.samples_mv, atol=STEP_MV)
    read = FileParser().parse(str(path))
    assert [found.label for found in read.leads] == list(LEADS)
    for found in read.leads:
        assert found.sampling_rate == recording.fs_hz
        assert np.allclose(found.samples, lead(recording, found.label), atol=STEP_MV), found.label


def test_the_dicom_file_says_everywhere_that_it_is_of_nobody() -> None:
    file = pydicom.dcmread(BytesIO(in_dicom(synthesize(Pattern.ANTERIOR, st_mv=0.3, seed=1))))
    assert file.SOPClassUID == "1.2.840.10008.5.1.4.1.1.9.1.1"
    assert (str(file.PatientName), file.PatientID, file.QualityControlSubject) == ("SYNTHETIC^PATIENT", "SYNTHETIC", "YES")
    assert file.WaveformAnnotationSequence[0].UnformattedTextValue == file.PatientComments == "SYNTHETIC RECORDING, NOT A PATIENT"
    assert (file.PatientAge, file.PatientSex, file.AcquisitionDateTime) == ("060Y", "M", "20260102030405.000000+0000")
    for uid in (file.SOPInstanceUID, file.StudyInstanceUID, file.SeriesInstanceUID):
        assert uid.is_valid
        assert uid.startswith("2.25.")


@pytest.mark.parametrize(
    ("pattern", "asked"),
    [
        (Pattern.NORMAL, {"st_mv": 0.3}),
        (Pattern.LEAD_OFF, {"st_mv": 0.0}),
        (Pattern.ANTERIOR, {"st_mv": -0.1}),
        (Pattern.ANTERIOR, {"st_mv": float("nan")}),
        (Pattern.ANTERIOR, {"st_mv": 2.1}),
        (Pattern.NORMAL, {"st_mv": None, "heart_rate_bpm": 39}),
        (Pattern.NORMAL, {"st_mv": None, "heart_rate_bpm": 151}),
        (Pattern.NORMAL, {"st_mv": None, "fs_hz": 100}),
        (Pattern.NORMAL, {"st_mv": None, "seconds": 40}),
    ],
)
def test_what_the_model_cannot_make_is_refused(pattern: Pattern, asked: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"choose|the model holds|DICOM recording has"):
        synthesize(pattern, seed=1, **asked)  # type: ignore[arg-type]


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no zone"):
        to_dicom(synthesize(Pattern.NORMAL, st_mv=None, seed=1), age_y=60, sex=Sex.MALE, made_at=datetime(2026, 1, 2))  # noqa: DTZ001
