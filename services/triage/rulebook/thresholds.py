"""Which number counts for this patient in this lead, and why that one."""

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.vocabulary import Sex
from services.triage.recording import KNOWN_LEADS
from services.triage.rulebook.schema import Row, Threshold

_CHOSEN = {"lowest": "the most sensitive that could apply", "highest": "the highest that could apply"}


@dataclass(frozen=True)
class Chosen:
    value: float
    why: str


Resolved = Mapping[str, Chosen | Mapping[str, Chosen]]


def resolve(thresholds: Mapping[str, Threshold], *, age_y: int | None, sex: Sex | None) -> Resolved:
    """Return each threshold's number for a patient, by lead where it depends on the lead."""
    return {
        name: {lead: choose(threshold, lead, age_y=age_y, sex=sex) for lead in KNOWN_LEADS}
        if threshold.per_lead
        else choose(threshold, "", age_y=age_y, sex=sex)
        for name, threshold in thresholds.items()
    }


def choose(threshold: Threshold, lead: str, *, age_y: int | None, sex: Sex | None) -> Chosen:
    """Return the number for a lead ('' where the lead does not matter), and why; an age or sex that is not known is named with it."""
    if threshold.value is not None:
        return Chosen(threshold.value, threshold.why)
    rows = [row for row in threshold.rows_for(lead) if row.could_apply(age_y, sex)]
    pick = min if threshold.unknown == "lowest" else max
    row = pick(rows, key=lambda row: row.value)
    if threshold.why:
        return Chosen(row.value, threshold.why)
    if len({each.value for each in rows}) == 1:
        return Chosen(row.value, _words(row))
    unknown = " and ".join(name for name, fact in (("age", age_y), ("sex", sex)) if fact is None)
    return Chosen(row.value, f"{row.where}, {unknown} unknown: {_CHOSEN[threshold.unknown or 'lowest']} ({row.who})")


def _words(row: Row) -> str:
    return ", ".join(part for part in (row.where, row.who) if part)
