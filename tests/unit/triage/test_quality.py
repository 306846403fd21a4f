"""What disturbs a lead is found before it moves ST, said in words, and does not take the other leads with it."""

import re
from dataclasses import replace
from pathlib import PurePath

import numpy as np
import pytest

from services.triage.beats import median_beat
from services.triage.decode import decode
from services.triage.quality import LeadQuality, drift_mv_s, lead_quality, loose_electrodes, noise_mv
from services.triage.recording import CHEST, STANDARD, Recording
from services.triage.st import qrs_bounds, st_elevation
from services.triage.words import lead_problems

FS_HZ = 500.0
QUIET = "ludb/56.hea"


@pytest.fixture(scope="module")
def quiet(uploaded) -> Recording:
    return decode(uploaded(QUIET))


def disturbed(recording: Recording, disturbance_mv: np.ndarray, leads=STANDARD) -> Recording:
    samples = recording.samples_mv.copy()
    for lead in leads:
        samples[recording.leads.index(lead)] += disturbance_mv.astype(np.float32)
    return replace(recording, samples_mv=samples)


def muscle(seed: int, samples: int = 5000) -> np.ndarray:
    """Noise of 20 to 150 Hz with an SD of 1."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    hz = np.fft.rfftfreq(samples, 1 / FS_HZ)
    noise = np.fft.irfft(np.where((hz > 20) & (hz < 150), spectrum, 0), samples)
    return noise / noise.std()


def hum(seed: int, samples: int = 5000) -> np.ndarray:
    """50 Hz, nearly, with an amplitude of 1."""
    chance = np.random.default_rng(seed)
    return np.sin(2 * np.pi * (chance.uniform(49.9, 50.1) * np.arange(samples) / FS_HZ + chance.uniform()))


def wander(seed: int, samples: int = 5000) -> np.ndarray:
    """Breath at 0.15 to 0.4 Hz with an amplitude of 1."""
    chance = np.random.default_rng(seed)
    return np.sin(2 * np.pi * (chance.uniform(0.15, 0.4) * np.arange(samples) / FS_HZ + chance.uniform()))


KINDS = {"muscle": muscle, "mains": hum, "drifting": wander}


@pytest.mark.parametrize(("kind", "size_mv"), [("muscle", 0.06), ("mains", 0.03), ("drifting", 0.7)])
def test_a_disturbed_lead_is_named_and_can_still_be_measured(quiet, kind, size_mv):
    quality = lead_quality(disturbed(quiet, size_mv * KINDS[kind](1), ("V3",)))
    assert {name: getattr(quality, name) for name in KINDS} == {name: ("V3",) if name == kind else () for name in KINDS}
    assert quality.usable == STANDARD
    (problem,) = lead_problems(quality)
    assert problem.leads == ("V3",)
    assert "press on the electrode of V3" in problem.text


@pytest.mark.parametrize(("kind", "size_mv"), [("muscle", 0.3), ("mains", 0.3), ("drifting", 5.0)])
def test_a_lead_too_disturbed_to_measure_is_not_judged_and_eleven_good_ones_are(quiet, kind, size_mv):
    quality = lead_quality(disturbed(quiet, size_mv * KINDS[kind](2), ("V3",)))
    assert quality.unmeasurable == ("V3",)
    assert quality.usable == tuple(lead for lead in STANDARD if lead != "V3")
    (problem,) = lead_problems(quality)
    assert (problem.code, problem.leads) == ("too_noisy", ("V3",))
    assert problem.text.endswith("The electrode of V3 is loose: press it on, and record again.")


def test_a_patient_who_trembles_is_not_told_of_a_loose_electrode(quiet):
    quality = lead_quality(disturbed(quiet, 0.3 * muscle(3)))
    assert quality.unmeasurable[-6:] == CHEST
    text = lead_problems(quality)[0].text
    assert "loose:" not in text
    assert "warm the patient" in text.lower()


def test_a_lead_that_was_lost_half_way_is_not_judged(quiet):
    lost = replace(quiet, samples_mv=quiet.samples_mv.copy())
    lost.samples_mv[STANDARD.index("V5"), 119:2357] = 0
    quality = lead_quality(lost)
    assert quality.flat == ("V5",)
    assert quality.usable == tuple(lead for lead in STANDARD if lead != "V5")


def test_a_heart_that_pauses_is_not_called_a_lost_lead(quiet):
    pause = replace(quiet, samples_mv=quiet.samples_mv.copy())
    pause.samples_mv[:, 1000:2600] = pause.samples_mv[:, 1000:1001]
    assert lead_quality(pause).usable == STANDARD


@pytest.mark.parametrize(
    ("leads", "electrodes"),
    [
        (("I", "II", "aVR"), ("the right arm",)),
        (("I", "III", "aVL"), ("the left arm",)),
        (("II", "III", "aVF", "V2"), ("the left leg", "V2")),
        (("V1", "V2"), ("V1", "V2")),
        (("V7",), ("V7",)),
        (("V1", "V2", "V3"), ()),
        (("I", "II", "III"), ()),
        (("aVR",), ()),
        ((), ()),
    ],
)
def test_the_loose_electrode_is_the_one_that_all_disturbed_leads_share(leads, electrodes):
    assert loose_electrodes(leads) == electrodes


@pytest.mark.parametrize("fs_hz", [250.0, 500.0, 1000.0])
def test_noise_is_measured_in_millivolts_at_any_rate_and_an_offset_is_none(fs_hz):
    noise = 0.1 * np.random.default_rng(4).standard_normal((1, round(10 * fs_hz)))
    assert noise_mv(noise.astype(np.float32) + 5, fs_hz)[0] == pytest.approx(0.1, rel=0.15)
    seconds = np.arange(round(10 * fs_hz)) / fs_hz
    assert drift_mv_s((0.7 * seconds + 3)[None, :].astype(np.float32), fs_hz)[0] == pytest.approx(0.7, rel=0.05)


@pytest.mark.parametrize("hz", [3.0, 5.0, 7.0])
def test_a_heart_that_flutters_is_not_called_noise(hz):
    seconds = np.arange(5000) / FS_HZ
    samples = np.outer(np.linspace(0.3, 1.5, 12), np.sin(2 * np.pi * hz * seconds)).astype(np.float32)
    assert (noise_mv(samples, FS_HZ) < 0.03).all()
    assert (drift_mv_s(samples, FS_HZ) < 0.5).all()


def test_a_lead_with_gaps_is_measured_between_them(quiet):
    recording = disturbed(quiet, 0.3 * muscle(5), ("V2",))
    recording.samples_mv[STANDARD.index("V1"), 1000:1400] = np.nan
    recording.samples_mv[STANDARD.index("V2"), 1000:1400] = np.nan
    recording.samples_mv[STANDARD.index("V3")] = np.where(np.arange(5000) < 1000, np.nan, 0)
    quality = lead_quality(recording)
    assert (quality.unmeasurable, quality.flat) == (("V2",), ("V3",))
    assert "V1" in quality.usable


def held(path: str) -> bool:
    digits = re.findall(r"\d", PurePath(path).stem.split("_")[0])
    return not digits or int(digits[-1]) % 2 == 0


def st_mv(recording: Recording) -> np.ndarray:
    beat = median_beat(recording.samples_mv, recording.fs_hz)
    bounds = qrs_bounds(beat.beat_mv, r=beat.r, fs_hz=beat.fs_hz) if beat else None
    if beat is None or bounds is None:
        return np.full(len(recording.leads), np.nan)  # nothing is measured, so nothing is off
    return st_elevation(beat.beat_mv, fs_hz=beat.fs_hz, onset=bounds.onset, j=bounds.j)


def named(quality: LeadQuality) -> set[str]:
    return {*quality.muscle, *quality.mains, *quality.drifting, *quality.unmeasurable}


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize(
    ("kind", "sizes_mv"), [("muscle", (0.01, 0.02, 0.04, 0.08)), ("mains", (0.005, 0.02, 0.05)), ("drifting", (0.1, 0.25, 0.5, 1.0))]
)
def test_what_grows_is_said_before_st_is_off_by_half_a_millimetre(uploaded, manifest, kind, sizes_mv, everywhere):
    normal = [row["file"] for row in manifest if row["category"] == "NORMAL" and held(row["file"])][::10]
    assert len(normal) >= 10
    off, silent = 0, []
    for number, path in enumerate(normal):
        recording = decode(uploaded(path))
        clean_mv = st_mv(recording)
        for size_mv in sizes_mv:
            grown = recording
            for lead in STANDARD if everywhere else (CHEST[number % 6],):
                grown = disturbed(grown, size_mv * KINDS[kind](100 * number + STANDARD.index(lead)), (lead,))
            moved = np.abs(st_mv(grown) - clean_mv) >= 0.05
            leads = {lead for lead, is_off in zip(recording.leads, moved, strict=True) if is_off}
            off += bool(leads)
            silent += [(path, lead, size_mv) for lead in leads - named(lead_quality(grown))]
    assert silent == []
    assert off > 0 or not everywhere  # the disturbance was great enough to put it to the test
