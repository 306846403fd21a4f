"""From the files of an upload to a verdict: decode, check, measure, judge. Whatever cannot be judged says so; nothing here raises for bad input."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from contracts.assessments import LeadMeasurement, Measurements, NotJudged, Quality, QualityProblem, Reading
from contracts.vocabulary import Priority, Sex
from services.runtime.archive import UploadedFile
from services.triage import words
from services.triage.beats import MedianBeat, median_beat
from services.triage.decode import decode
from services.triage.delineate import Waves, waves
from services.triage.electrodes import exchanged
from services.triage.measure import ST_AFTER_J_MS, Intervals, LeadWaves, frontal_axis_deg, intervals, lead_waves, st_after_j, st_confidence
from services.triage.quality import LeadQuality, lead_quality, restored, without_exchanged
from services.triage.recording import STANDARD, Recording, Undecodable
from services.triage.repolarisation import pr_segment, t_shape, terminal_distortion
from services.triage.rulebook import RULEBOOK, RULEBOOK_VERSION, Measured, evaluate
from services.triage.st import BASELINE, QrsBounds, concave_leads, inverted_t_leads, qrs_bounds

Floats = NDArray[np.float64]

_URGENCY = (Priority.GREEN, Priority.YELLOW, Priority.RED)


@dataclass(frozen=True)
class _Measurement:
    """One median beat and what was measured on it, once, for the rules and for what is shown; arrays are (leads,) in the order of `leads`.

    `st_mv` is ST by the ms after J."""

    leads: tuple[str, ...]
    beat: MedianBeat
    bounds: QrsBounds
    waves: Waves
    intervals: Intervals
    of_leads: LeadWaves
    st_mv: Mapping[int, Floats]


@dataclass(frozen=True)
class MeasuredBeats:
    """Where the QRS of each beat of the median beat begins and ends: (beats,) in s from the start of the recording."""

    onset_s: Floats
    j_s: Floats


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
    quality, measured = _measure_what_is_what_it_says(*restored(recording, lead_quality(recording)))
    problems = words.lead_problems(quality)
    if isinstance(measured, QualityProblem):
        return not_evaluable((*problems, measured), age_y=age_y, sex=sex, statements=recording.vendor_statements)
    judgement = evaluate(_for_the_rules(measured, age_y=age_y, sex=sex))
    findings = judgement.findings
    priority = max((finding.priority for finding in findings), key=_URGENCY.index, default=Priority.GREEN)
    all_st = all(np.isfinite(measured.st_mv[0][measured.leads.index(lead)]) for lead in STANDARD if lead in measured.leads)
    could_be_red = any(each.priority is Priority.RED for each in judgement.not_judged)
    seen = quality.enough and all_st and not could_be_red
    if not seen and priority is not Priority.RED:
        priority, problems = Priority.NOT_EVALUABLE, (*problems, words.TOO_FEW_LEADS)
    elif not seen:
        problems = (*problems, words.PARTLY_JUDGED)
    return Reading(
        rulebook=RULEBOOK,
        rulebook_version=RULEBOOK_VERSION,
        priority=priority,
        findings=findings,
        not_judged=tuple(NotJudged(rule=each.name, lacked=each.lacked) for each in judgement.not_judged),
        quality=Quality(evaluable=priority is not Priority.NOT_EVALUABLE, problems=problems),
        measurements=_measurements(measured),
        vendor_statements=recording.vendor_statements,
        age_y=age_y,
        sex=sex,
    )


def measured_beats(recording: Recording) -> MeasuredBeats | None:
    """Return the bounds that ST is measured between, laid back on the beats of the recording; None where nothing could be measured."""
    _, measured = _measure_what_is_what_it_says(*restored(recording, lead_quality(recording)))
    if isinstance(measured, QualityProblem):
        return None
    begins = measured.beat.at - measured.beat.r
    return MeasuredBeats(onset_s=(begins + measured.bounds.onset) / measured.beat.fs_hz, j_s=(begins + measured.bounds.j) / measured.beat.fs_hz)


def warm_up() -> None:
    """Run one made-up recording through the measurement, so that the first patient does not wait for what libraries build on first use."""
    datetime.strptime("2000", "%Y")  # noqa: DTZ007  Python loads what parses dates at the first call
    seconds = np.arange(5000) / 500
    pulse = np.exp(-(((seconds % 0.8 - 0.4) / 0.015) ** 2))
    samples = np.outer(np.linspace(0.4, 1.5, len(STANDARD)), pulse).astype(np.float32)
    read_recording(Recording(STANDARD, samples, 500.0, None, None, (), "synthetic"), age_y=None, sex=None)


def _usable_beat(recording: Recording, quality: LeadQuality) -> tuple[tuple[str, ...], MedianBeat, QrsBounds] | QualityProblem:
    rows = [row for row, lead in enumerate(recording.leads) if lead in quality.usable]
    if not rows:
        return words.TOO_FEW_LEADS
    beat = median_beat(recording.samples_mv[rows], recording.fs_hz)
    if beat is None:
        return words.NO_BEATS
    bounds = qrs_bounds(beat.beat_mv, r=beat.r, fs_hz=beat.fs_hz)
    if bounds is None:
        return words.NO_J_POINT
    return tuple(recording.leads[row] for row in rows), beat, bounds


def _measure_what_is_what_it_says(recording: Recording, quality: LeadQuality) -> tuple[LeadQuality, _Measurement | QualityProblem]:
    """Measure, leaving out the leads that exchanged electrodes have spoilt: only the median beat tells which."""
    usable = _usable_beat(recording, quality)
    if isinstance(usable, QualityProblem):
        return quality, usable
    leads, beat, bounds = usable
    quality = without_exchanged(quality, exchanged(leads, beat.beat_mv, onset=bounds.onset, j=bounds.j, fs_hz=beat.fs_hz))
    rows = [row for row, lead in enumerate(leads) if lead in quality.usable]
    if not rows:
        return quality, words.TOO_FEW_LEADS
    return quality, _measured(tuple(leads[row] for row in rows), replace(beat, beat_mv=beat.beat_mv[rows], beats_mv=beat.beats_mv[:, rows]), bounds)


def _measured(leads: tuple[str, ...], beat: MedianBeat, bounds: QrsBounds) -> _Measurement:
    found = waves(beat, bounds)
    of_leads = lead_waves(beat.beat_mv, bounds, t_end=found.t.end if found.t else None, fs_hz=beat.fs_hz)
    return _Measurement(leads, beat, bounds, found, intervals(beat, bounds, found), of_leads, st_after_j(beat.beat_mv, bounds, fs_hz=beat.fs_hz))


def _for_the_rules(measured: _Measurement, *, age_y: int | None, sex: Sex | None) -> Measured:
    beat, bounds, of_leads = measured.beat, measured.bounds, measured.of_leads
    t_wave = t_shape(beat, bounds, measured.waves)

    def by_lead(values: Floats) -> dict[str, float]:
        return {lead: value for lead, value in zip(measured.leads, values.tolist(), strict=True) if math.isfinite(value)}

    def those(mask: NDArray[np.bool_]) -> frozenset[str]:
        return frozenset(lead for lead, is_so in zip(measured.leads, mask, strict=True) if is_so)

    return Measured(
        st_j_mv=by_lead(measured.st_mv[0]),
        st_j60_mv=by_lead(measured.st_mv[60]),
        r_mv=by_lead(of_leads.r_mv),
        s_mv=by_lead(of_leads.s_mv),
        nadir_mv=by_lead(of_leads.nadir_mv),
        qrs_ms=_qrs_ms(measured),
        age_y=age_y,
        sex=sex,
        concave=those(concave_leads(beat.beat_mv, bounds, fs_hz=beat.fs_hz)),
        t_inverted=those(inverted_t_leads(beat.beat_mv, bounds, fs_hz=beat.fs_hz)),
        st_j80_mv=by_lead(measured.st_mv[80]),
        q_mv=by_lead(of_leads.q_mv),
        t_up_mv=by_lead(t_wave.up_mv),
        t_down_mv=by_lead(t_wave.down_mv),
        t_biphasic_mv=by_lead(t_wave.biphasic_mv),
        t_area_mv_ms=by_lead(t_wave.area_mv_ms),
        t_half_ms=by_lead(t_wave.half_ms),
        t_symmetry=by_lead(t_wave.symmetry),
        pr_segment_mv=by_lead(pr_segment(beat, bounds, measured.waves)),
        terminal_distortion=those(terminal_distortion(beat.beat_mv, bounds, of_leads, fs_hz=beat.fs_hz)),
        qt_ms=measured.intervals.qt_ms,
        qtcb_ms=measured.intervals.qtcb_ms,
    )


def _qrs_ms(measured: _Measurement) -> float:
    return round((measured.bounds.j - measured.bounds.onset) / measured.beat.fs_hz * 1000, 1)


def _measurements(measured: _Measurement) -> Measurements:
    beat, bounds = measured.beat, measured.bounds
    found, times = measured.waves, measured.intervals
    axis_deg = frontal_axis_deg(measured.leads, beat.beat_mv, bounds, fs_hz=beat.fs_hz)
    return Measurements(
        heart_rate_bpm=round(float(60 / beat.rr_s.mean()), 1),
        rr_ms=_rounded(times.rr_ms, 1),
        p_ms=_rounded(times.p_ms, 1),
        p_confidence=_rounded(found.p.confidence if found.p else None, 2),
        pr_ms=_rounded(times.pr_ms, 1),
        qrs_ms=_qrs_ms(measured),
        qt_ms=_rounded(times.qt_ms, 1),
        qt_confidence=_rounded(found.t.confidence if found.t else None, 2),
        qtcb_ms=_rounded(times.qtcb_ms, 1),
        qtcf_ms=_rounded(times.qtcf_ms, 1),
        axis_deg=_rounded(axis_deg, 0),
        baseline=BASELINE,
        beats=len(beat.at),
        leads=_lead_measurements(measured),
    )


def _lead_measurements(measured: _Measurement) -> tuple[LeadMeasurement, ...]:
    of_leads, st_j_mv = measured.of_leads, measured.st_mv[0]
    columns = {"st_j_mv": st_j_mv, "q_mv": of_leads.q_mv, "r_mv": of_leads.r_mv, "s_mv": of_leads.s_mv, "t_mv": of_leads.t_mv}
    columns |= {f"st_j{after_j_ms}_mv": measured.st_mv[after_j_ms] for after_j_ms in ST_AFTER_J_MS}
    columns["st_confidence"] = np.where(np.isfinite(st_j_mv), st_confidence(measured.beat, measured.bounds), np.nan)
    return tuple(
        LeadMeasurement(lead=lead, **{name: _rounded(float(column[row]), 3) for name, column in columns.items()})
        for row, lead in enumerate(measured.leads)
    )


def _rounded(value: float | None, digits: int) -> float | None:
    """Return the value as it is shown; None where it was not measured."""
    return None if value is None or not np.isfinite(value) else round(value, digits)


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
