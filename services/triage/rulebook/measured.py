"""What rules are given, under the names and with the types by which an expression may ask for it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_type_hints

from cel_expr_python import cel

from contracts.vocabulary import Sex
from services.triage.recording import KNOWN_LEADS

LEADS = cel.Type.List(cel.Type.STRING)
GROUPS = cel.Type.List(LEADS)
PER_LEAD = cel.Type.Map(cel.Type.STRING, cel.Type.DOUBLE)


@dataclass(frozen=True)
class Measured:
    """One recording's measurements, per lead in mV; only what was measured is in it. Every field is a name that an expression may use."""

    st_j_mv: Mapping[str, float]  # against the level before the QRS
    r_mv: Mapping[str, float]
    s_mv: Mapping[str, float]  # zero or negative: what goes down after an R, or a QS
    qrs_ms: float | None
    age_y: int | None
    sex: Sex | None
    concave: frozenset[str] = field(default_factory=frozenset)  # leads whose ST segment sags below its chord to T
    t_inverted: frozenset[str] = field(default_factory=frozenset)
    st_j60_mv: Mapping[str, float] = field(default_factory=dict)  # 60 ms after J
    earlier_st_j_mv: Mapping[str, float] = field(default_factory=dict)  # in the patient's earlier ECG, of leads that can be compared
    earlier_minutes: float | None = None  # from the earlier ECG to this one
    # What the rules for subtle ischaemia, pericarditis and hyperkalaemia ask for; measure.py and repolarisation.py say what each is.
    nadir_mv: Mapping[str, float] = field(default_factory=dict)  # zero or negative: the lowest point of the QRS, be it Q or S
    st_j80_mv: Mapping[str, float] = field(default_factory=dict)
    q_mv: Mapping[str, float] = field(default_factory=dict)  # zero or negative
    t_up_mv: Mapping[str, float] = field(default_factory=dict)
    t_down_mv: Mapping[str, float] = field(default_factory=dict)  # zero or negative
    t_biphasic_mv: Mapping[str, float] = field(default_factory=dict)  # zero or negative
    t_area_mv_ms: Mapping[str, float] = field(default_factory=dict)
    t_half_ms: Mapping[str, float] = field(default_factory=dict)
    t_symmetry: Mapping[str, float] = field(default_factory=dict)
    pr_segment_mv: Mapping[str, float] = field(default_factory=dict)
    terminal_distortion: frozenset[str] = field(default_factory=frozenset)
    qt_ms: float | None = None
    qtcb_ms: float | None = None
    heart_rate_bpm: float | None = None  # of the ventricles
    shortest_rr_ms: float | None = None
    pause_s: float | None = None  # the longest time without a beat, before the first and after the last too
    atrial_fibrillation: bool | None = None  # irregular, and no P waves
    paced: bool | None = None
    wide_beats: bool | None = None  # most beats are
    wide_run_beats: float | None = None  # in the longest row of wide beats at 100 a minute or more; 0: there is none
    wide_run_bpm: float | None = None
    wide_run_share: float | None = None  # of all beats
    polymorphic: bool | None = None  # fast broad beats of many shapes, or waves that turn
    fibrillation: bool | None = None  # waves of the ventricles without rest
    standstill: bool | None = None  # no QRS from start to end
    dissociated: bool | None = None  # P waves and a slow regular QRS, each at a rate of its own
    r_on_t: bool | None = None  # a ventricular ectopic before the end of T


_CEL_TYPES = {
    Mapping[str, float]: PER_LEAD,
    frozenset[str]: LEADS,
    float: cel.Type.DOUBLE,
    float | None: cel.Type.DOUBLE,
    int | None: cel.Type.DOUBLE,  # one kind of number: nobody should have to write 40 or 40.0 by its type
    Sex | None: cel.Type.STRING,
    bool: cel.Type.BOOL,
    bool | None: cel.Type.BOOL,
}

# A measurement of a type that no expression can hold fails here, when the program starts.
TYPES: Mapping[str, cel.Type] = {"leads": LEADS} | {name: _CEL_TYPES[hint] for name, hint in get_type_hints(Measured).items()}
_FIELDS = tuple(name for name in TYPES if name != "leads")


def values(measured: Measured) -> dict[str, object]:
    """Return what expressions see. What was not measured is left out: CEL takes NaN for a number that is below and above nothing.

    `leads` are those with an ST value, in anatomical order."""
    seen: dict[str, object] = {"leads": [lead for lead in KNOWN_LEADS if math.isfinite(measured.st_j_mv.get(lead, math.nan))]}
    for name in _FIELDS:
        value = getattr(measured, name)
        if isinstance(value, Mapping):
            seen[name] = {lead: float(number) for lead, number in value.items() if math.isfinite(number)}
        elif isinstance(value, frozenset):
            seen[name] = in_order(value)
        elif isinstance(value, Sex):
            seen[name] = value.value
        elif isinstance(value, bool):
            seen[name] = value
        elif value is not None and math.isfinite(value):
            seen[name] = float(value)
    return seen


def in_order(leads: Mapping[str, float] | frozenset[str] | set[str]) -> list[str]:
    return [lead for lead in KNOWN_LEADS if lead in leads]
