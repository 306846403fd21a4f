"""The plain criterion of the Fourth Universal Definition of MI 2018 and ESC ACS 2023, written down a second time: what ours is measured against.

ST elevation at J in two neighbouring leads, and nothing else: no gate, no reciprocal change."""

from collections.abc import Mapping
from itertools import pairwise

from contracts.vocabulary import Sex
from services.triage.recording import POSTERIOR, RIGHT_SIDED

NEIGHBOURS = (("aVL", "I", "II", "aVF", "III"), ("V1", "V2", "V3", "V4", "V5", "V6", "V7", "V8", "V9"), ("V3R", "V4R"))


def threshold_mv(lead: str, *, age_y: int | None, sex: Sex | None) -> float:
    """Return the least elevation that counts in a lead, mV; of an unknown age or sex the lowest that could apply."""
    if lead in {"V2", "V3"}:
        if sex is not Sex.MALE:
            return 0.15
        return 0.25 if age_y is not None and age_y < 40 else 0.20
    if lead in POSTERIOR or lead in RIGHT_SIDED:
        young_below_y = 40 if lead in POSTERIOR else 30
        return 0.10 if sex is Sex.MALE and age_y is not None and age_y < young_below_y else 0.05
    return 0.10


def elevated_neighbours(st_mv: Mapping[str, float], *, age_y: int | None, sex: Sex | None) -> tuple[str, ...]:
    """Return the leads that stand at or above their threshold beside another such lead; `st_mv` by lead."""
    high = {lead for lead, mv in st_mv.items() if mv >= threshold_mv(lead, age_y=age_y, sex=sex)}
    return tuple(dict.fromkeys(lead for row in NEIGHBOURS for pair in pairwise(row) if set(pair) <= high for lead in pair))
