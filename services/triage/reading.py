"""From the files of an upload to a verdict: decode, check, measure, judge. Whatever cannot be judged says so; nothing here raises for bad input."""

from collections.abc import Sequence
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
from services.triage.measure import ST_AFTER_J_MS, frontal_axis_deg, intervals, lead_waves, st_confidence
from services.triage.quality import LeadQuality, lead_quality, restored, without_exchanged
from services.triage.recording import STANDARD, Recording, Undecodable
from services.triage.rhythm import Heard, Rhythm, heard, rhythm
from services.triage.rhythm_told import as_shown, for_the_rules
from services.triage.rulebook import RULEBOOK, RULEBOOK_VERSION, Measured, evaluate
from services.triage.st import BASELINE, QrsBounds, concave_leads, inverted_t_leads, qrs_amplitudes, qrs_bounds, st_elevation

Floats = NDArray[np.float64]

_URGENCY = (Priority.GREEN, Priority.YELLOW, Priority.RED)


@dataclass(frozen=True)
class _Measurement:
    """One median beat and what was measured on it; arrays are (leads,) in mV, in the order of `leads`."""

    leads: tuple[str, ...]
    beat: MedianBeat
    bounds: QrsBounds
    waves: Waves
    st_j_mv: Floats


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
    quality, found, told = _seen(recording)
    measured = None if isinstance(found, QualityProblem) else found
    problems = words.lead_problems(quality) + ((found,) if isinstance(found, QualityProblem) else ())
    if told is None and measured is None:
        return not_evaluable(problems, age_y=age_y, sex=sex, statements=recording.vendor_statements)
    judgement = evaluate(_for_the_rules(measured, told, age_y=age_y, sex=sex))
    findings = judgement.findings
    priority = max((finding.priority for finding in findings), key=_URGENCY.index, default=Priority.GREEN)
    could_be_red = any(each.priority is Priority.RED for each in judgement.not_judged)
    seen = quality.enough and measured is not None and _all_st(measured) and not could_be_red
    if told is not None and told.hidden_s is not None:
        problems = (*problems, words.beats_hidden(told.hidden_s))
    if not seen and priority is not Priority.RED:
        priority, problems = Priority.NOT_EVALUABLE, problems if measured is None else (*problems, words.TOO_FEW_LEADS)
    elif not seen:
        problems = (*problems, words.PARTLY_JUDGED)
    return Reading(
        rulebook=RULEBOOK,
        rulebook_version=RULEBOOK_VERSION,
        priority=priority,
        findings=findings,
        not_judged=tuple(NotJudged(rule=each.name, lacked=each.lacked) for each in judgement.not_judged),
        quality=Quality(evaluable=priority is not Priority.NOT_EVALUABLE, problems=problems),
        measurements=_measurements(measured, told),
        vendor_statements=recording.vendor_statements,
        age_y=age_y,
        sex=sex,
    )


def measured_beats(recording: Recording) -> MeasuredBeats | None:
    """Return the bounds that ST is measured between, laid back on the beats of the recording; None where nothing could be measured."""
    _, measured, _ = _seen(recording)
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


def _seen(recording: Recording) -> tuple[LeadQuality, _Measurement | QualityProblem, Rhythm | None]:
    """Return what each lead is worth, what was measured on the median beat or why nothing was, and the rhythm where one could be seen."""
    recording, first = restored(recording, lead_quality(recording))
    beats = heard(recording, first)
    quality, measured = _measure_what_is_what_it_says(recording, first, beats)
    told = rhythm(recording, first, beats, None if isinstance(measured, QualityProblem) else (measured.beat, measured.bounds, measured.waves))
    if told is not None and (told.fibrillation or told.twisting or told.standstill) and not isinstance(measured, QualityProblem):
        return quality, words.NO_BEATS, told  # a beat may be put together of anything; ST of it says nothing
    return quality, measured, told


def _all_st(measured: _Measurement) -> bool:
    return all(np.isfinite(measured.st_j_mv[measured.leads.index(lead)]) for lead in STANDARD if lead in measured.leads)


def _measure(recording: Recording, quality: LeadQuality, beats: Heard | None) -> _Measurement | QualityProblem:
    rows = [row for row, lead in enumerate(recording.leads) if lead in quality.usable]
    if not rows:
        return words.TOO_FEW_LEADS
    beat = median_beat(recording.samples_mv[rows], recording.fs_hz, beats.found if beats is not None and beats.rows == rows else None)
    if beat is None:
        return words.NO_BEATS
    bounds = qrs_bounds(beat.beat_mv, r=beat.r, fs_hz=beat.fs_hz)
    if bounds is None:
        return words.NO_J_POINT
    st_j_mv = np.round(st_elevation(beat.beat_mv, fs_hz=beat.fs_hz, onset=bounds.onset, j=bounds.j), 3)  # what is shown is what is judged
    return _Measurement(tuple(recording.leads[row] for row in rows), beat, bounds, waves(beat, bounds), st_j_mv)


def _measure_what_is_what_it_says(
    recording: Recording, quality: LeadQuality, beats: Heard | None
) -> tuple[LeadQuality, _Measurement | QualityProblem]:
    """Measure, then leave out the leads that exchanged electrodes have spoilt: only the median beat tells."""
    measured = _measure(recording, quality, beats)
    if isinstance(measured, QualityProblem):
        return quality, measured
    beat, bounds = measured.beat, measured.bounds
    quality = without_exchanged(quality, exchanged(measured.leads, beat.beat_mv, onset=bounds.onset, j=bounds.j, fs_hz=beat.fs_hz))
    rows = [row for row, lead in enumerate(measured.leads) if lead in quality.usable]
    if not rows:
        return quality, words.TOO_FEW_LEADS
    if len(rows) == len(measured.leads):
        return quality, measured
    beat = replace(beat, beat_mv=beat.beat_mv[rows], beats_mv=beat.beats_mv[:, rows])
    leads = tuple(measured.leads[row] for row in rows)
    return quality, replace(measured, leads=leads, beat=beat, waves=waves(beat, bounds), st_j_mv=measured.st_j_mv[rows])


def _for_the_rules(measured: _Measurement | None, told: Rhythm | None, *, age_y: int | None, sex: Sex | None) -> Measured:
    if measured is None:
        return Measured(st_j_mv={}, r_mv={}, s_mv={}, qrs_ms=None, age_y=age_y, sex=sex, **for_the_rules(told))
    beat, bounds = measured.beat, measured.bounds
    r_mv, s_mv = qrs_amplitudes(beat.beat_mv, bounds, fs_hz=beat.fs_hz)

    def by_lead(values: Floats) -> dict[str, float]:
        return {lead: float(value) for lead, value in zip(measured.leads, values, strict=True) if np.isfinite(value)}

    def those(mask: NDArray[np.bool_]) -> frozenset[str]:
        return frozenset(lead for lead, is_so in zip(measured.leads, mask, strict=True) if is_so)

    return Measured(
        st_j_mv=by_lead(measured.st_j_mv),
        st_j60_mv=by_lead(st_elevation(beat.beat_mv, fs_hz=beat.fs_hz, onset=bounds.onset, j=bounds.j, after_j_ms=60)),
        r_mv=by_lead(r_mv),
        s_mv=by_lead(s_mv),
        qrs_ms=_qrs_ms(measured),
        age_y=age_y,
        sex=sex,
        concave=those(concave_leads(beat.beat_mv, bounds, fs_hz=beat.fs_hz)),
        t_inverted=those(inverted_t_leads(beat.beat_mv, bounds, fs_hz=beat.fs_hz)),
        qtcb_ms=_rounded(intervals(beat, bounds, measured.waves).qtcb_ms, 1),
        **for_the_rules(told),
    )


def _qrs_ms(measured: _Measurement) -> float:
    return round((measured.bounds.j - measured.bounds.onset) / measured.beat.fs_hz * 1000, 1)


def _measurements(measured: _Measurement | None, told: Rhythm | None) -> Measurements:
    if measured is None:
        return Measurements(heart_rate_bpm=_rounded(told.bpm, 1) if told else None, rhythm=as_shown(told))
    beat, bounds, found = measured.beat, measured.bounds, measured.waves
    times = intervals(beat, bounds, found)
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
        leads=_lead_measurements(measured, t_end=found.t.end if found.t else None),
        rhythm=as_shown(told),
    )


def _lead_measurements(measured: _Measurement, *, t_end: int | None) -> tuple[LeadMeasurement, ...]:
    beat, bounds = measured.beat, measured.bounds
    of_leads = lead_waves(beat.beat_mv, bounds, t_end=t_end, fs_hz=beat.fs_hz)
    columns = {"st_j_mv": measured.st_j_mv, "q_mv": of_leads.q_mv, "r_mv": of_leads.r_mv, "s_mv": of_leads.s_mv, "t_mv": of_leads.t_mv}
    for after_j_ms in ST_AFTER_J_MS:
        st_mv = st_elevation(beat.beat_mv, fs_hz=beat.fs_hz, onset=bounds.onset, j=bounds.j, after_j_ms=after_j_ms)
        columns[f"st_j{after_j_ms}_mv"] = st_mv
    columns["st_confidence"] = np.where(np.isfinite(measured.st_j_mv), st_confidence(beat, bounds), np.nan)
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
