"""What is kept of a patient's ECG for the next one, and which earlier ECG a new one may be compared with. Pure: the times are given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from contracts.assessments import Assessed, QualityProblem
from contracts.ids import UploadId
from contracts.vocabulary import Frozen, Instant
from services.triage import words

KEPT = timedelta(days=7)  # ST of last month says little about today's pain
SURE_ENOUGH = 0.8  # of a lead's ST, in both recordings: what noise moves must not look like a change of the heart
QRS_ALIKE_MS = 20.0  # two recordings of one conduction are measured within it; another conduction moves ST by itself
FEWEST_LEADS = 2


class EarlierEcg(Frozen):
    """What is kept of an assessment: the ST at J of the leads in which it is sure, in mV, and the width of the QRS."""

    upload_id: UploadId
    received_at: Instant
    qrs_ms: float
    st_j_mv: Mapping[str, float]


class EarlierEcgs(Frozen):
    """What is known of a patient's ECGs before the one that was received `at`. found is None where they could not be looked up."""

    at: Instant
    found: tuple[EarlierEcg, ...] | None


@dataclass(frozen=True)
class Comparison:
    """With which earlier ECG to compare: its ST by lead in mV, of leads that are sure in both; problems say why there is none."""

    upload_id: UploadId | None = None
    st_j_mv: Mapping[str, float] = field(default_factory=dict)
    minutes: float | None = None
    problems: tuple[QualityProblem, ...] = ()


def left_by(assessed: Assessed) -> EarlierEcg | None:
    """Return what an assessment leaves for the patient's next ECG; None where too little of it is sure."""
    qrs_ms = assessed.measurements.qrs_ms
    st_j_mv = {
        each.lead: each.st_j_mv
        for each in assessed.measurements.leads
        if each.st_j_mv is not None and each.st_confidence is not None and each.st_confidence >= SURE_ENOUGH
    }
    if qrs_ms is None or len(st_j_mv) < FEWEST_LEADS:
        return None
    return EarlierEcg(upload_id=assessed.upload_id, received_at=assessed.received_at, qrs_ms=qrs_ms, st_j_mv=st_j_mv)


def compare(earlier: EarlierEcgs | None, *, st_j_mv: Mapping[str, float], qrs_ms: float) -> Comparison:
    """Return the newest earlier ECG that this one may be compared with; `st_j_mv` holds the leads in which this one is sure.

    The same recording sent again is passed over. Where the only ones have a QRS of another width, that is said."""
    if earlier is None:
        return Comparison()
    if earlier.found is None:
        return Comparison(problems=(words.NOT_LOOKED_UP,))
    before = [each for each in _newest_first(earlier) if _has_enough(each, st_j_mv) and not _is_the_same(each, st_j_mv)]
    for each in before:
        if abs(each.qrs_ms - qrs_ms) <= QRS_ALIKE_MS:
            return Comparison(
                upload_id=each.upload_id,
                st_j_mv={lead: mv for lead, mv in each.st_j_mv.items() if lead in st_j_mv},
                minutes=(earlier.at - each.received_at).total_seconds() / 60,
            )
    return Comparison(problems=(words.other_qrs(qrs_ms, before[0].qrs_ms),) if before else ())


def _newest_first(earlier: EarlierEcgs) -> Sequence[EarlierEcg]:
    known = [each for each in earlier.found or () if earlier.at - KEPT <= each.received_at < earlier.at]
    return sorted(known, key=lambda each: each.received_at, reverse=True)


def _has_enough(each: EarlierEcg, st_j_mv: Mapping[str, float]) -> bool:
    return len(each.st_j_mv.keys() & st_j_mv.keys()) >= FEWEST_LEADS


def _is_the_same(each: EarlierEcg, st_j_mv: Mapping[str, float]) -> bool:
    """Tell the same recording, sent again with other facts: no two recordings agree to a microvolt in every lead."""
    return all(st_j_mv.get(lead) == mv for lead, mv in each.st_j_mv.items())
