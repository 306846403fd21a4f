"""The rhythm under the names by which rules ask for it and readings show it, rounded alike: what is shown is what is judged."""

from typing import Any

from contracts import assessments
from services.triage.rhythm import Rhythm


def for_the_rules(rhythm: Rhythm | None) -> dict[str, Any]:
    """Return the fields of `Measured` that a rhythm fills; none of them where no rhythm was seen."""
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


def as_shown(rhythm: Rhythm | None) -> assessments.Rhythm | None:
    """Return the rhythm as a reading shows it."""
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


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
