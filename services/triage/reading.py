"""From the files of an upload to a verdict: decode, measure, judge. Whatever cannot be judged says so; nothing here raises for bad input."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from contracts.assessments import NotJudged, Quality, QualityProblem, Reading, VendorMeasurements
from contracts.vocabulary import Priority, Sex
from services.runtime.archive import UploadedFile
from services.triage import words
from services.triage.decode import decode
from services.triage.earlier import SURE_ENOUGH, Comparison, EarlierEcgs, compare
from services.triage.heart import MeasuredBeat, heart
from services.triage.recording import STANDARD, Recording, Undecodable
from services.triage.rulebook import Rulebook, apply, shipped
from services.triage.told import as_shown, for_the_rules

Floats = NDArray[np.float64]

_URGENCY = (Priority.GREEN, Priority.YELLOW, Priority.RED)


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
    seen = heart(recording)
    measured = seen.beat if isinstance(seen.beat, MeasuredBeat) else None
    problems = words.lead_problems(seen.quality) + ((seen.beat,) if isinstance(seen.beat, QualityProblem) else ())
    if measured is None and seen.rhythm is None:
        return not_evaluable(problems, age_y=age_y, sex=sex, recording=recording, rulebook=rulebook)
    compared = _compared(measured, earlier)
    book = shipped() if rulebook is None else rulebook
    judgement = apply(book, for_the_rules(measured, seen.rhythm, age_y=age_y, sex=sex, compared=compared))
    findings = judgement.findings
    priority = max((finding.priority for finding in findings), key=_URGENCY.index, default=Priority.GREEN)
    could_be_red = any(each.priority is Priority.RED for each in judgement.not_judged)
    whole = seen.quality.enough and measured is not None and measured.all_st and not could_be_red
    if seen.rhythm is not None and seen.rhythm.hidden_s is not None:
        problems = (*problems, words.beats_hidden(seen.rhythm.hidden_s))
    if not whole and priority is not Priority.RED:
        priority = Priority.NOT_EVALUABLE
        if measured is not None and seen.quality.enough and measured.all_st:
            problems = (*problems, words.not_ruled_out(tuple(each.name for each in judgement.not_judged if each.priority is Priority.RED)))
        elif measured is not None:
            problems = (*problems, words.TOO_FEW_LEADS)
    elif not whole:
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
        measurements=as_shown(measured, seen.rhythm),
        vendor_statements=recording.vendor_statements,
        vendor_measurements=recording.vendor_measurements,
        age_y=age_y,
        sex=sex,
    )


def measured_beats(recording: Recording) -> MeasuredBeats | None:
    """Return the bounds that ST is measured between, laid back on the beats of the recording; None where nothing could be measured."""
    measured = heart(recording).beat
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


def _compared(measured: MeasuredBeat | None, earlier: EarlierEcgs | None) -> Comparison:
    """Return with which of the patient's earlier ECGs this one is compared, in the leads whose ST is sure."""
    if measured is None or earlier is None:
        return Comparison()
    sure = measured.st_sure >= SURE_ENOUGH
    st_j_mv = {lead: float(mv) for lead, mv, is_sure in zip(measured.leads, measured.st_mv[0], sure, strict=True) if is_sure}
    return compare(earlier, st_j_mv=st_j_mv, qrs_ms=measured.qrs_ms)


def not_evaluable(
    problems: tuple[QualityProblem, ...],
    *,
    age_y: int | None,
    sex: Sex | None,
    recording: Recording | None = None,
    rulebook: Rulebook | None = None,
) -> Reading:
    """Return the verdict that nothing could be judged, with the reasons, and with what the cart said where a recording was decoded."""
    book = shipped() if rulebook is None else rulebook
    return Reading(
        rulebook=book.id,
        rulebook_version=book.version,
        priority=Priority.NOT_EVALUABLE,
        quality=Quality(evaluable=False, problems=problems),
        vendor_statements=recording.vendor_statements if recording else (),
        vendor_measurements=recording.vendor_measurements if recording else VendorMeasurements(),
        age_y=age_y,
        sex=sex,
    )
