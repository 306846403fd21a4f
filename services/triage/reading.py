"""From the files of an upload to a verdict: decode, check, measure, judge. Whatever cannot be judged says so; nothing here raises for bad input."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from contracts.assessments import LeadMeasurement, Measurements, Quality, QualityProblem, Reading
from contracts.vocabulary import Priority, Sex
from services.runtime.archive import UploadedFile
from services.triage import words
from services.triage.beats import MedianBeat, median_beat
from services.triage.decode import decode
from services.triage.quality import LeadQuality, lead_quality
from services.triage.recording import STANDARD, Recording, Undecodable
from services.triage.st import BASELINE, QrsBounds, concave_leads, inverted_t_leads, qrs_amplitudes, qrs_bounds, st_elevation
from services.triage.stemi import RULEBOOK, RULEBOOK_VERSION, Measured, judge

Floats = NDArray[np.float64]

_URGENCY = (Priority.GREEN, Priority.YELLOW, Priority.RED)


@dataclass(frozen=True)
class _Measurement:
    """One median beat and what was measured on it; arrays are (leads,) in mV, in the order of `leads`."""

    leads: tuple[str, ...]
    beat: MedianBeat
    bounds: QrsBounds
    st_j_mv: Floats


def read(files: Sequence[UploadedFile], *, age_y: int | None, sex: Sex | None) -> tuple[Reading, Recording | None]:
    """Return the verdict on the files of one upload, and the recording without identity where there is one.

    `age_y` and `sex` are the upload's facts; they win over the file's."""
    try:
        recording = decode(files)
    except Undecodable as error:
        return not_evaluable((words.undecodable(error),), age_y=age_y, sex=sex), None
    return read_recording(recording, age_y=age_y, sex=sex), recording


def read_recording(recording: Recording, *, age_y: int | None, sex: Sex | None) -> Reading:
    """Return the verdict on a decoded recording; the facts given win over the recording's own."""
    age_y = recording.age_y if age_y is None else age_y
    sex = recording.sex if sex is None else sex
    quality = lead_quality(recording)
    problems = words.lead_problems(quality)
    measured = _measure(recording, quality)
    if isinstance(measured, QualityProblem):
        return not_evaluable((*problems, measured), age_y=age_y, sex=sex, statements=recording.vendor_statements)
    findings = judge(_for_the_rules(measured, age_y=age_y, sex=sex))
    priority = max((finding.priority for finding in findings), key=_URGENCY.index, default=Priority.GREEN)
    seen = quality.enough and all(np.isfinite(measured.st_j_mv[measured.leads.index(lead)]) for lead in STANDARD if lead in measured.leads)
    if not seen and priority is not Priority.RED:
        priority, problems = Priority.NOT_EVALUABLE, (*problems, words.TOO_FEW_LEADS)
    elif not seen:
        problems = (*problems, words.PARTLY_JUDGED)
    return Reading(
        rulebook=RULEBOOK,
        rulebook_version=RULEBOOK_VERSION,
        priority=priority,
        findings=findings,
        quality=Quality(evaluable=priority is not Priority.NOT_EVALUABLE, problems=problems),
        measurements=_measurements(measured),
        vendor_statements=recording.vendor_statements,
        age_y=age_y,
        sex=sex,
    )


def warm_up() -> None:
    """Run one made-up recording through the measurement, so that the first patient does not wait for what libraries build on first use."""
    datetime.strptime("2000", "%Y")  # noqa: DTZ007  Python loads what parses dates at the first call
    seconds = np.arange(5000) / 500
    pulse = np.exp(-(((seconds % 0.8 - 0.4) / 0.015) ** 2))
    samples = np.outer(np.linspace(0.4, 1.5, len(STANDARD)), pulse).astype(np.float32)
    read_recording(Recording(STANDARD, samples, 500.0, None, None, (), "synthetic"), age_y=None, sex=None)


def _measure(recording: Recording, quality: LeadQuality) -> _Measurement | QualityProblem:
    rows = [row for row, lead in enumerate(recording.leads) if lead in quality.usable]
    if not rows:
        return words.TOO_FEW_LEADS
    beat = median_beat(recording.samples_mv[rows], recording.fs_hz)
    if beat is None:
        return words.NO_BEATS
    bounds = qrs_bounds(beat.beat_mv, r=beat.r, fs_hz=beat.fs_hz)
    if bounds is None:
        return words.NO_J_POINT
    st_j_mv = np.round(st_elevation(beat.beat_mv, fs_hz=beat.fs_hz, onset=bounds.onset, j=bounds.j), 3)  # what is shown is what is judged
    return _Measurement(leads=tuple(recording.leads[row] for row in rows), beat=beat, bounds=bounds, st_j_mv=st_j_mv)


def _for_the_rules(measured: _Measurement, *, age_y: int | None, sex: Sex | None) -> Measured:
    beat, bounds = measured.beat, measured.bounds
    r_mv, s_mv = qrs_amplitudes(beat.beat_mv, bounds, fs_hz=beat.fs_hz)

    def by_lead(values: Floats) -> dict[str, float]:
        return {lead: float(value) for lead, value in zip(measured.leads, values, strict=True) if np.isfinite(value)}

    def those(mask: NDArray[np.bool_]) -> frozenset[str]:
        return frozenset(lead for lead, is_so in zip(measured.leads, mask, strict=True) if is_so)

    return Measured(
        st_j_mv=by_lead(measured.st_j_mv),
        r_mv=by_lead(r_mv),
        s_mv=by_lead(s_mv),
        qrs_ms=_qrs_ms(measured),
        age_y=age_y,
        sex=sex,
        concave=those(concave_leads(beat.beat_mv, bounds, fs_hz=beat.fs_hz)),
        t_inverted=those(inverted_t_leads(beat.beat_mv, bounds, fs_hz=beat.fs_hz)),
    )


def _qrs_ms(measured: _Measurement) -> float:
    return round((measured.bounds.j - measured.bounds.onset) / measured.beat.fs_hz * 1000, 1)


def _measurements(measured: _Measurement) -> Measurements:
    return Measurements(
        heart_rate_bpm=round(float(60 / measured.beat.rr_s.mean()), 1),
        qrs_ms=_qrs_ms(measured),
        baseline=BASELINE,
        beats=len(measured.beat.at),
        leads=tuple(
            LeadMeasurement(lead=lead, st_j_mv=float(st_mv) if np.isfinite(st_mv) else None)
            for lead, st_mv in zip(measured.leads, measured.st_j_mv, strict=True)
        ),
    )


def not_evaluable(problems: tuple[QualityProblem, ...], *, age_y: int | None, sex: Sex | None, statements: tuple[str, ...] = ()) -> Reading:
    """Return the verdict that nothing could be judged, with the reasons."""
    return Reading(
        rulebook=RULEBOOK,
        rulebook_version=RULEBOOK_VERSION,
        priority=Priority.NOT_EVALUABLE,
        quality=Quality(evaluable=False, problems=problems),
        vendor_statements=statements,
        age_y=age_y,
        sex=sex,
    )
