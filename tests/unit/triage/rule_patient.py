"""A quiet patient's measurements, and what a test changes of them."""

from contracts.assessments import Finding
from contracts.vocabulary import Sex
from services.triage.recording import STANDARD
from services.triage.rulebook import Measured, apply, shipped
from services.triage.rulebook.engine import Judgement

SINUS = {
    "heart_rate_bpm": 70.0,
    "shortest_rr_ms": 850.0,
    "pause_s": 0.9,
    "atrial_fibrillation": False,
    "paced": False,
    "wide_beats": False,
    "wide_run_beats": 0.0,
    "wide_run_bpm": 0.0,
    "wide_run_share": 0.0,
    "polymorphic": False,
    "fibrillation": False,
    "standstill": False,
    "dissociated": False,
    "qtcb_ms": 410.0,
    "r_on_t": False,
}


def measured(*, qrs_ms=90.0, age_y=60, sex=Sex.MALE, r_mv=None, s_mv=None, nadir_mv=None, concave=(), t_inverted=(), **st_mv):
    return Measured(
        st_j_mv=dict.fromkeys(STANDARD, 0.0) | st_mv,
        r_mv=dict.fromkeys(STANDARD, 0.8) | (r_mv or {}),
        s_mv=dict.fromkeys(STANDARD, -0.3) | (s_mv or {}),
        nadir_mv=dict.fromkeys(STANDARD, -0.3) | (nadir_mv or s_mv or {}),
        qrs_ms=qrs_ms,
        age_y=age_y,
        sex=sex,
        concave=frozenset(concave),
        t_inverted=frozenset(t_inverted),
        st_j60_mv=dict.fromkeys(STANDARD, 0.0),
        st_j80_mv=dict.fromkeys(STANDARD, 0.0),
        q_mv=dict.fromkeys(STANDARD, 0.0),
        t_up_mv=dict.fromkeys(STANDARD, 0.3),
        t_down_mv=dict.fromkeys(STANDARD, 0.0),
        t_biphasic_mv=dict.fromkeys(STANDARD, 0.0),
        t_area_mv_ms=dict.fromkeys(STANDARD, 30.0),
        t_half_ms=dict.fromkeys(STANDARD, 100.0),
        t_symmetry=dict.fromkeys(STANDARD, 1.2),
        pr_segment_mv=dict.fromkeys(STANDARD, 0.0),
        qt_ms=400.0,
        **SINUS,
    )


def without(whole, *leads):
    """Return the measurements with leads taken away."""
    return Measured(
        **{
            name: {lead: mv for lead, mv in getattr(whole, name).items() if lead not in leads}
            if isinstance(getattr(whole, name), dict)
            else getattr(whole, name)
            for name in Measured.__dataclass_fields__
        }
    )


def evaluate(measured: Measured) -> Judgement:
    """Return what the shipped rules find, and which of them could not be decided."""
    return apply(shipped(), measured)


def judge(measured: Measured) -> tuple[Finding, ...]:
    """Return what the shipped rules find, the most urgent first."""
    return evaluate(measured).findings
