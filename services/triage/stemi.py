"""STEMI by lead, age and sex, with the conditions under which the rule may not be applied. First form: the rulebook proper comes later.

Sources: Fourth Universal Definition of Myocardial Infarction 2018 and ESC ACS 2023 (thresholds); Armstrong (ventricular hypertrophy)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from contracts.assessments import Finding, Value
from contracts.vocabulary import Priority, Sex
from services.triage.recording import CHEST, POSTERIOR, RIGHT_SIDED

RULEBOOK, RULEBOOK_VERSION = "stemi-first-form", "2"
_VERSION = "2"  # V6 and V7 are contiguous
_SOURCE = "Fourth Universal Definition of MI 2018; ESC ACS guideline 2023"
_LVH_SOURCE = "Armstrong: STEMI in LVH only where ST elevation exceeds 25 % of the QRS; Sokolow-Lyon and Cornell voltages"

WIDE_QRS_MS = 120.0
_LVH_ST_SHARE = 0.25
_SOKOLOW_MV = 3.5
_CORNELL_MV = {Sex.MALE: 2.8, Sex.FEMALE: 2.0}
_DEPRESSED_MV = -0.05  # a reciprocal change
_RAISED_SHARE = 0.5  # of the threshold: a wall takes part although no single lead of it would count
_DIFFUSE_MOST_MV = 0.3  # higher ST elevation is never put down to pericarditis or early repolarisation here


@dataclass(frozen=True)
class Measured:
    """What the rules are given: per lead, in mV, only leads that were measured; `concave` are those whose ST segment sags below its chord to T."""

    st_j_mv: Mapping[str, float]
    r_mv: Mapping[str, float]
    s_mv: Mapping[str, float]  # zero or negative
    qrs_ms: float
    age_y: int | None
    sex: Sex | None
    concave: frozenset[str] = field(default_factory=frozenset)
    t_inverted: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class _Row:
    where: str
    leads: tuple[str, ...]
    who: str
    mv: float
    sex: Sex | None = None
    from_y: int = 0
    below_y: int = 200

    def could_apply(self, age_y: int | None, sex: Sex | None) -> bool:
        return (self.sex is None or sex is None or sex is self.sex) and (age_y is None or self.from_y <= age_y < self.below_y)


_V2_V3 = ("V2", "V3")
_ROWS = (
    _Row("V2-V3", _V2_V3, "man of 40 or older", 0.20, Sex.MALE, from_y=40),
    _Row("V2-V3", _V2_V3, "man under 40", 0.25, Sex.MALE, below_y=40),
    _Row("V2-V3", _V2_V3, "woman", 0.15, Sex.FEMALE),
    _Row("V7-V9", POSTERIOR, "woman, or man of 40 or older", 0.05, Sex.FEMALE),
    _Row("V7-V9", POSTERIOR, "woman, or man of 40 or older", 0.05, Sex.MALE, from_y=40),
    _Row("V7-V9", POSTERIOR, "man under 40", 0.10, Sex.MALE, below_y=40),
    _Row("V3R-V4R", RIGHT_SIDED, "woman, or man of 30 or older", 0.05, Sex.FEMALE),
    _Row("V3R-V4R", RIGHT_SIDED, "woman, or man of 30 or older", 0.05, Sex.MALE, from_y=30),
    _Row("V3R-V4R", RIGHT_SIDED, "man under 30", 0.10, Sex.MALE, below_y=30),
)
_ELSEWHERE_MV = 0.10
# Neighbours. I and II touch through -aVR, which is inferred from the same electrodes: it joins them, and is no lead of its own in the count.
_NEIGHBOURS = (
    ("aVL", "I"), ("I", "II"), ("II", "aVF"), ("aVF", "III"),
    *pairwise(CHEST + POSTERIOR), RIGHT_SIDED,
)  # fmt: skip
_INFERIOR = ("II", "III", "aVF")
_WALLS = {
    "anterior": frozenset(CHEST[:4]),
    "inferior": frozenset(_INFERIOR),
    "lateral": frozenset(("I", "aVL", *CHEST[4:])),
    "posterior": frozenset(POSTERIOR),
    "right ventricle": frozenset(RIGHT_SIDED),
}


def threshold(lead: str, *, age_y: int | None, sex: Sex | None) -> tuple[float, str]:
    """Return the least ST elevation in mV that counts in this lead, and why; of an unknown age or sex the most sensitive that could apply."""
    rows = [row for row in _ROWS if lead in row.leads and row.could_apply(age_y, sex)]
    if not rows:
        return _ELSEWHERE_MV, "all leads but V2-V3"
    row = min(rows, key=lambda row: row.mv)
    if len({row.mv for row in rows}) == 1:
        return row.mv, f"{row.where}, {row.who}"
    unknown = " and ".join(name for name, fact in (("age", age_y), ("sex", sex)) if fact is None)
    return row.mv, f"{row.where}, {unknown} unknown: the most sensitive that could apply ({row.who})"


def judge(measured: Measured) -> tuple[Finding, ...]:
    """Return what the rule finds: red where it applies and fires, yellow where it may not be applied and a person must look."""
    if measured.qrs_ms >= WIDE_QRS_MS:
        return (_wide_qrs(measured),)
    groups = _groups({lead for lead, st_mv in measured.st_j_mv.items() if st_mv >= threshold(lead, age_y=measured.age_y, sex=measured.sex)[0]})
    if not groups:
        return ()
    voltages = _hypertrophy(measured)
    if voltages:
        kept = [group for group in groups if _convincing_in_hypertrophy(group, measured)]
        return tuple(_stemi(group, measured) for group in kept) or (_elevation_with_hypertrophy(groups, measured, voltages),)
    if _diffuse(groups, measured):
        return (_diffuse_elevation(groups, measured),)
    return tuple(_stemi(group, measured) for group in groups)


def _groups(positive: set[str]) -> list[tuple[str, ...]]:
    """Return the sets of two or more positive leads that touch each other, each in anatomical order."""
    groups: list[list[str]] = []
    for first, second in _NEIGHBOURS:
        if first not in positive or second not in positive:
            continue
        if groups and groups[-1][-1] == first:
            groups[-1].append(second)
        else:
            groups.append([first, second])
    return [tuple(group) for group in groups]


def _hypertrophy(measured: Measured) -> tuple[Value, ...]:
    """Return the voltages that speak for a thick left ventricle; where the sex is unknown, by the threshold that silences STEMI least."""
    r_mv, s_mv = measured.r_mv, measured.s_mv
    found: list[Value] = []
    if "V1" in s_mv and (lateral := [r_mv[lead] for lead in ("V5", "V6") if lead in r_mv]):
        sum_mv = max(lateral) - s_mv["V1"]
        if sum_mv >= _SOKOLOW_MV:
            found.append(Value(name="sokolow_lyon_mv", measured=round(sum_mv, 3), threshold=_SOKOLOW_MV, why="S in V1 plus R in V5 or V6"))
    if "aVL" in r_mv and "V3" in s_mv:
        cornell_mv = _CORNELL_MV[Sex.MALE] if measured.sex is None else _CORNELL_MV[measured.sex]
        sum_mv = r_mv["aVL"] - s_mv["V3"]
        if sum_mv > cornell_mv:
            found.append(Value(name="cornell_mv", measured=round(sum_mv, 3), threshold=cornell_mv, why="R in aVL plus S in V3"))
    return tuple(found)


def _convincing_in_hypertrophy(group: tuple[str, ...], measured: Measured) -> bool:
    """True where ST is too high for the height of the QRS; a lead whose QRS has a gap cannot speak against that."""
    qrs_mv = {lead: measured.r_mv[lead] - measured.s_mv[lead] for lead in group if lead in measured.r_mv and lead in measured.s_mv}
    high = [lead for lead in group if lead not in qrs_mv or measured.st_j_mv[lead] > _LVH_ST_SHARE * qrs_mv[lead]]
    return len(_groups(set(high))) > 0 and (len(high) >= 3 or any(lead in measured.t_inverted for lead in CHEST[:4]))


def _diffuse(groups: list[tuple[str, ...]], measured: Measured) -> bool:
    """True for slight, sagging elevation of the inferior wall and the chest leads at once with no reciprocal change.

    That is pericarditis or early repolarisation rather than one artery; anterior and lateral together can be one artery and do not count."""
    leads = {lead for group in groups for lead in group}
    raised = {lead for lead, st_mv in measured.st_j_mv.items() if st_mv >= _RAISED_SHARE * threshold(lead, age_y=measured.age_y, sex=measured.sex)[0]}
    both_walls = len(raised.intersection(_INFERIOR)) >= 2 and len(raised.intersection(CHEST)) >= 2
    reciprocal = any(st_mv <= _DEPRESSED_MV for lead, st_mv in measured.st_j_mv.items() if lead not in ("aVR", "V1"))
    slight = all(measured.st_j_mv[lead] < _DIFFUSE_MOST_MV for lead in leads)
    return both_walls and slight and not reciprocal and leads <= measured.concave


def _st_values(leads: tuple[str, ...], measured: Measured) -> tuple[Value, ...]:
    values = []
    for lead in leads:
        threshold_mv, why = threshold(lead, age_y=measured.age_y, sex=measured.sex)
        values.append(Value(name="st_j_mv", lead=lead, measured=measured.st_j_mv[lead], threshold=threshold_mv, why=why))
    return tuple(values)


def _stemi(group: tuple[str, ...], measured: Measured) -> Finding:
    highest = max(group, key=lambda lead: measured.st_j_mv[lead])
    return Finding(
        rule="stemi",
        version=_VERSION,
        source=_SOURCE,
        title=f"STEMI, {_territory(group)}: {measured.st_j_mv[highest]:.2f} mV in {highest} ({', '.join(group)})",
        priority=Priority.RED,
        leads=group,
        values=_st_values(group, measured),
    )


def _territory(group: tuple[str, ...]) -> str:
    """Return the walls that two leads or more look at, the one with the most of them first; every wall touched where none has two."""
    shares = {name: len(leads.intersection(group)) for name, leads in _WALLS.items()}
    least = min(2, max(shares.values()))
    return " and ".join(sorted((name for name, share in shares.items() if share >= least), key=lambda name: -shares[name]))


def _wide_qrs(measured: Measured) -> Finding:
    value = Value(name="qrs_ms", measured=measured.qrs_ms, threshold=WIDE_QRS_MS, why="bundle branch block or pacing moves ST by itself")
    return Finding(
        rule="stemi_wide_qrs",
        version=_VERSION,
        source=_SOURCE,
        title="Wide QRS: the ST rule cannot be applied, and an infarction may hide in it. Have a person look.",
        priority=Priority.YELLOW,
        values=(value,),
    )


def _elevation_with_hypertrophy(groups: list[tuple[str, ...]], measured: Measured, voltages: tuple[Value, ...]) -> Finding:
    leads = tuple(lead for group in groups for lead in group)
    return Finding(
        rule="stemi_hypertrophy",
        version=_VERSION,
        source=_LVH_SOURCE,
        title="ST elevation that the high voltages of the left ventricle may explain. Have a person look.",
        priority=Priority.YELLOW,
        leads=leads,
        values=voltages + _st_values(leads, measured),
    )


def _diffuse_elevation(groups: list[tuple[str, ...]], measured: Measured) -> Finding:
    leads = tuple(lead for group in groups for lead in group)
    return Finding(
        rule="stemi_diffuse",
        version=_VERSION,
        source=_SOURCE,
        title="Slight, concave ST elevation, inferior and chest, no reciprocal change: early repolarisation or pericarditis. Have a person look.",
        priority=Priority.YELLOW,
        leads=leads,
        values=_st_values(leads, measured),
    )
