"""What was measured under the names by which rules ask for it and readings show it, rounded alike: what is shown is what is judged."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts import assessments
from contracts.assessments import LeadMeasurement, Measurements
from contracts.vocabulary import Sex
from services.triage.earlier import Comparison
from services.triage.heart import MeasuredBeat
from services.triage.measure import ST_AFTER_J_MS, frontal_axis_deg
from services.triage.repolarisation import pr_segment, t_shape, terminal_distortion
from services.triage.rhythm import Rhythm
from services.triage.rulebook import Measured
from services.triage.st import BASELINE, concave_leads, inverted_t_leads

Floats = NDArray[np.float64]


def for_the_rules(measured: MeasuredBeat | None, rhythm: Rhythm | None, *, age_y: int | None, sex: Sex | None, compared: Comparison) -> Measured:
    """Return what rules are given; nothing of ST where there is no median beat, nothing of the rhythm where none was seen."""
    if measured is None:
        return Measured(st_j_mv={}, r_mv={}, s_mv={}, qrs_ms=None, age_y=age_y, sex=sex, **_rhythm_for_the_rules(rhythm))
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
        qrs_ms=measured.qrs_ms,
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
        qt_ms=_rounded(measured.intervals.qt_ms, 1),
        qtcb_ms=_rounded(measured.intervals.qtcb_ms, 1),
        earlier_st_j_mv=compared.st_j_mv,
        earlier_minutes=compared.minutes,
        **_rhythm_for_the_rules(rhythm),
    )


def as_shown(measured: MeasuredBeat | None, rhythm: Rhythm | None) -> Measurements:
    """Return what a reading shows of it."""
    if measured is None:
        return Measurements(heart_rate_bpm=_rounded(rhythm.bpm, 1) if rhythm else None, rhythm=_shown_rhythm(rhythm))
    beat, bounds = measured.beat, measured.bounds
    found, times = measured.waves, measured.intervals
    axis_deg = frontal_axis_deg(measured.leads, beat.beat_mv, bounds, fs_hz=beat.fs_hz)
    return Measurements(
        heart_rate_bpm=_rounded(rhythm.bpm if rhythm else None, 1),
        rr_ms=_rounded(times.rr_ms, 1),
        p_ms=_rounded(times.p_ms, 1),
        p_confidence=_rounded(found.p.confidence if found.p else None, 2),
        pr_ms=_rounded(times.pr_ms, 1),
        qrs_ms=measured.qrs_ms,
        qt_ms=_rounded(times.qt_ms, 1),
        qt_confidence=_rounded(found.t.confidence if found.t else None, 2),
        qtcb_ms=_rounded(times.qtcb_ms, 1),
        qtcf_ms=_rounded(times.qtcf_ms, 1),
        axis_deg=_rounded(axis_deg, 0),
        baseline=BASELINE,
        beats=len(beat.at),
        leads=_lead_measurements(measured),
        rhythm=_shown_rhythm(rhythm),
    )


def _lead_measurements(measured: MeasuredBeat) -> tuple[LeadMeasurement, ...]:
    of_leads, st_j_mv = measured.of_leads, measured.st_mv[0]
    columns = {"st_j_mv": st_j_mv, "q_mv": of_leads.q_mv, "r_mv": of_leads.r_mv, "s_mv": of_leads.s_mv, "t_mv": of_leads.t_mv}
    columns |= {f"st_j{after_j_ms}_mv": measured.st_mv[after_j_ms] for after_j_ms in ST_AFTER_J_MS}
    columns["st_confidence"] = measured.st_sure
    return tuple(
        LeadMeasurement(lead=lead, **{name: _rounded(float(column[row]), 3) for name, column in columns.items()})
        for row, lead in enumerate(measured.leads)
    )


def _shown_rhythm(rhythm: Rhythm | None) -> assessments.Rhythm | None:
    if rhythm is None:
        return None
    run = rhythm.run
    return assessments.Rhythm(
        beats=rhythm.beats,
        shortest_rr_ms=_rounded(rhythm.shortest_rr_ms, 1),
        pause_s=_rounded(rhythm.pause_s, 2),
        irregularity=_rounded(rhythm.irregularity, 3),
        p_waves=rhythm.p_waves,
        atrial_fibrillation=rhythm.atrial_fibrillation,
        paced=rhythm.paced,
        ventricular_ectopics=rhythm.ventricular_ectopics,
        supraventricular_ectopics=rhythm.supraventricular_ectopics,
        r_on_t=rhythm.r_on_t,
        wide_run_beats=run.beats if run else 0,
        wide_run_bpm=_rounded(run.bpm, 1) if run else None,
        wide_run_share=_rounded(run.share, 2) if run else None,
        polymorphic=rhythm.twisting,
        fibrillation=rhythm.fibrillation,
        standstill=rhythm.standstill,
        dissociated_atrial_bpm=_rounded(rhythm.dissociated_atrial_bpm, 0),
        preexcited=rhythm.preexcited,
    )


def _rhythm_for_the_rules(rhythm: Rhythm | None) -> dict[str, Any]:
    if rhythm is None:
        return {}
    run = rhythm.run
    return {
        "heart_rate_bpm": _rounded(rhythm.bpm, 1),
        "shortest_rr_ms": _rounded(rhythm.shortest_rr_ms, 1),
        "pause_s": _rounded(rhythm.pause_s, 2),
        "atrial_fibrillation": rhythm.atrial_fibrillation,
        "paced": rhythm.paced,
        "wide_beats": rhythm.wide,
        "wide_run_beats": run.beats if run else 0,
        "wide_run_bpm": round(run.bpm, 1) if run else 0.0,
        "wide_run_share": round(run.share, 2) if run else 0.0,
        "polymorphic": rhythm.twisting,
        "fibrillation": rhythm.fibrillation,
        "standstill": rhythm.standstill,
        "dissociated": rhythm.dissociated_atrial_bpm is not None,
        "r_on_t": rhythm.r_on_t,
    }


def _rounded(value: float | None, digits: int) -> float | None:
    """Return the value as it is shown; None where it was not measured."""
    return None if value is None or not np.isfinite(value) else round(value, digits)
