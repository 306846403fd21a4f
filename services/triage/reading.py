"""From the files of an upload to a verdict: decode, check, measure, judge. Whatever cannot be judged says so; nothing here raises for bad input."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from contracts.assessments import LeadMeasurement, Measurements, NotJudged, Quality, QualityProblem, Reading, VendorMeasurements
from contracts.vocabulary import Priority, Sex
from services.runtime.archive import UploadedFile
from services.triage import words
from services.triage.beats import MedianBeat, median_beat
from services.triage.decode import decode
from services.triage.delineate import Waves, waves
from services.triage.earlier import SURE_ENOUGH, Comparison, EarlierEcgs, compare
from services.triage.electrodes import exchanged
from services.triage.measure import ST_AFTER_J_MS, Intervals, LeadWaves, frontal_axis_deg, intervals, lead_waves, st_after_j, st_confidence
from services.triage.quality import LeadQuality, lead_quality, restored, without_exchanged, without_silent
from services.triage.recording import STANDARD, Recording, Undecodable
from services.triage.repolarisation import pr_segment, t_shape, terminal_distortion
from services.triage.rulebook import RULEBOOK, RULEBOOK_VERSION, Measured, Rulebook, apply, shipped
from services.triage.st import BASELINE, QrsBounds, concave_leads, inverted_t_leads, qrs_bounds

Floats = NDArray[np.float64]

_URGENCY = (Priority.GREEN, Priority.YELLOW, Priority.RED)


@dataclass(frozen=True)
class _Measurement:
    """One median beat and what was measured on it, once, for the rules and for what is shown; arrays are (leads,) in the order of `leads`.

    `st_mv` is ST by the ms after J; `st_sure` how sure it is at J, NaN where it was not measured."""

    leads: tuple[str, ...]
    beat: MedianBeat
    bounds: QrsBounds
    waves: Waves
    intervals: Intervals
    of_leads: LeadWaves
    st_mv: Mapping[int, Floats]
    st_sure: Floats


@dataclass(frozen=True)
class MeasuredBeats:
    """Where the QRS of each beat of the median beat begins and ends: (beats,) in s from the start of the recording."""

    onset_s: Floats
    j_s: Floats


def read(
    files: Sequence[UploadedFile],
    *,
    age_y: int | None,
    sex: Sex | None,
    earlier: EarlierEcgs | None = None,
    rulebook: Rulebook | None = None,
) -> tuple[Reading, Recording | None]:
    """Return the verdict on the files of one upload, and the recording without identity where there is one.

    `age_y` and `sex` are the upload's facts; they win over the file's. `earlier` are the patient's ECGs before it, where anybody keeps them;
    `rulebook` is the shipped one where none is given."""
    try:
        recording = decode(files)
    except Undecodable as error:
        return not_evaluable((words.undecodable(error),), age_y=age_y, sex=sex, rulebook=rulebook), None
    return read_recording(recording, age_y=age_y, sex=sex, earlier=earlier, rulebook=rulebook), recording


def read_recording(
    recording: Recording, *, age_y: int | None, sex: Sex | None, earlier: EarlierEcgs | None = None, rulebook: Rulebook | None = None
) -> Reading:
    """Return the verdict on a decoded recording; the facts given win over the recording's own. See `read`."""
    age_y = recording.age_y if age_y is None else age_y
    sex = recording.sex if sex is None else sex
    quality, measured = _measure_what_is_what_it_says(*restored(recording, lead_quality(recording)))
    problems = words.lead_problems(quality)
    if isinstance(measured, QualityProblem):
        return not_evaluable((*problems, measured), age_y=age_y, sex=sex, recording=recording, rulebook=rulebook)
    compared = _compared(measured, earlier)
    book = shipped() if rulebook is None else rulebook
    judgement = apply(book, _with_earlier(_for_the_rules(measured, age_y=age_y, sex=sex), compared))
    findings = judgement.findings
    priority = max((finding.priority for finding in findings), key=_URGENCY.index, default=Priority.GREEN)
    all_st = all(np.isfinite(measured.st_mv[0][measured.leads.index(lead)]) for lead in STANDARD if lead in measured.leads)
    could_be_red = any(each.priority is Priority.RED for each in judgement.not_judged)
    seen = quality.enough and all_st and not could_be_red
    if not seen and priority is not Priority.RED:
        priority, problems = Priority.NOT_EVALUABLE, (*problems, words.TOO_FEW_LEADS)
    elif not seen:
        problems = (*problems, words.PARTLY_JUDGED)
    if priority is not Priority.NOT_EVALUABLE:  # else it is recorded again in any case
        problems = (*problems, *compared.problems)
    return Reading(
        rulebook=book.id,
        rulebook_version=book.version,
        priority=priority,
        findings=findings,
        not_judged=tuple(NotJudged(rule=each.name, lacked=each.lacked) for each in judgement.not_judged),
        quality=Quality(evaluable=priority is not Priority.NOT_EVALUABLE, problems=problems),
        compared_with=compared.upload_id,
        measurements=_measurements(measured),
        vendor_statements=recording.vendor_statements,
        vendor_measurements=recording.vendor_measurements,
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


def warm_up(rulebook: Rulebook | None = None) -> None:
    """Run one made-up recording through the measurement, so that the first patient does not wait for what libraries build on first use."""
    datetime.strptime("2000", "%Y")  # noqa: DTZ007  Python loads what parses dates at the first call
    seconds = np.arange(5000) / 500
    pulse = np.exp(-(((seconds % 0.8 - 0.4) / 0.015) ** 2))
    samples = np.outer(np.linspace(0.4, 1.5, len(STANDARD)), pulse).astype(np.float32)
    read_recording(Recording(STANDARD, samples, 500.0, None, None, (), "synthetic"), age_y=None, sex=None, rulebook=rulebook)


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
    """Measure, leaving out the leads that show no heart or not the place that they name: only the beats tell which."""
    usable = _usable_beat(recording, quality)
    if isinstance(usable, QualityProblem):
        return quality, usable
    leads, beat, bounds = usable
    quality = without_silent(quality, leads, beat.beats_mv[:, :, bounds.onset : bounds.j])
    quality = without_exchanged(quality, exchanged(leads, beat.beat_mv, onset=bounds.onset, j=bounds.j, fs_hz=beat.fs_hz))
    rows = [row for row, lead in enumerate(leads) if lead in quality.usable]
    if not rows:
        return quality, words.TOO_FEW_LEADS
    return quality, _measured(tuple(leads[row] for row in rows), replace(beat, beat_mv=beat.beat_mv[rows], beats_mv=beat.beats_mv[:, rows]), bounds)


def _measured(leads: tuple[str, ...], beat: MedianBeat, bounds: QrsBounds) -> _Measurement:
    found = waves(beat, bounds)
    of_leads = lead_waves(beat.beat_mv, bounds, t_end=found.t.end if found.t else None, fs_hz=beat.fs_hz)
    st_mv = st_after_j(beat.beat_mv, bounds, fs_hz=beat.fs_hz)
    sure = np.where(np.isfinite(st_mv[0]), st_confidence(beat, bounds), np.nan)
    return _Measurement(leads, beat, bounds, found, intervals(beat, bounds, found), of_leads, st_mv, sure)


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


def _compared(measured: _Measurement, earlier: EarlierEcgs | None) -> Comparison:
    """Return with which of the patient's earlier ECGs this one is compared, in the leads whose ST is sure."""
    if earlier is None:
        return Comparison()
    sure = measured.st_sure >= SURE_ENOUGH
    st_j_mv = {lead: float(mv) for lead, mv, is_sure in zip(measured.leads, measured.st_mv[0], sure, strict=True) if is_sure}
    return compare(earlier, st_j_mv=st_j_mv, qrs_ms=_qrs_ms(measured))


def _with_earlier(measured: Measured, compared: Comparison) -> Measured:
    return replace(measured, earlier_st_j_mv=compared.st_j_mv, earlier_minutes=compared.minutes)


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
    columns["st_confidence"] = measured.st_sure
    return tuple(
        LeadMeasurement(lead=lead, **{name: _rounded(float(column[row]), 3) for name, column in columns.items()})
        for row, lead in enumerate(measured.leads)
    )


def _rounded(value: float | None, digits: int) -> float | None:
    """Return the value as it is shown; None where it was not measured."""
    return None if value is None or not np.isfinite(value) else round(value, digits)


def not_evaluable(
    problems: tuple[QualityProblem, ...],
    *,
    age_y: int | None,
    sex: Sex | None,
    recording: Recording | None = None,
    rulebook: Rulebook | None = None,
) -> Reading:
    """Return the verdict that nothing could be judged, with the reasons, and with what the cart said where a recording was decoded."""
    return Reading(
        rulebook=RULEBOOK if rulebook is None else rulebook.id,
        rulebook_version=RULEBOOK_VERSION if rulebook is None else rulebook.version,
        priority=Priority.NOT_EVALUABLE,
        quality=Quality(evaluable=False, problems=problems),
        vendor_statements=recording.vendor_statements if recording else (),
        vendor_measurements=recording.vendor_measurements if recording else VendorMeasurements(),
        age_y=age_y,
        sex=sex,
    )
