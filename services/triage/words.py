"""What is said about a recording's quality: in words that a village doctor can act on."""

from contracts.assessments import QualityProblem
from services.runtime.archive import BadArchive
from services.triage.quality import LeadQuality, limb_electrode_lost
from services.triage.recording import Undecodable

_RECORD_AGAIN = "Record the ECG again."
_BY_KIND = {
    "missing": ("leads_missing", "Not in the recording: {leads}. Put on all ten electrodes and record again."),
    "flat": ("flat", "A flat line: {leads}. Check that the electrodes and the cable are fixed, and record again."),
    "saturated": ("saturated", "At the recorder's limit: {leads}. Press the electrodes down, keep the patient still, and record again."),
    "implausible": ("implausible", "Far too large for a heart: {leads}. Press the electrodes down, keep the patient still, and record again."),
    "short": ("too_short", "Less than 2.5 s can be read: {leads}. Record 10 s of all twelve leads."),
}

_ELECTRODE_OFF = "A flat line: {leads}. An arm or leg electrode is off. Fix it and record again."
_WORKER_LOST = {
    "timed_out": "Reading the file took too long, and was stopped. Have a person read the ECG now, and record it again.",
    "died": "The file broke the program that read it. Have a person read the ECG now, and record it again.",
    "memory": "Reading the file took too much memory, and was stopped. Send one 12-lead recording of 10 s.",
    "failed": "The file could not be judged because of a fault in this program. Have a person read the ECG now, and record it again.",
}


def bad_archive(error: BadArchive) -> QualityProblem:
    return QualityProblem(code="bad_files", text=error.reason)


def worker_lost(why: str) -> QualityProblem:
    """Return what to say of an upload whose reader was lost; `why` is one of timed_out, died, memory, failed."""
    return QualityProblem(code=why, text=_WORKER_LOST[why])


def undecodable(error: Undecodable) -> QualityProblem:
    return QualityProblem(code=error.code, text=error.reason)


def lead_problems(quality: LeadQuality) -> tuple[QualityProblem, ...]:
    """Return a problem for each kind of fault, naming the leads."""
    problems = []
    for kind, (code, text) in _BY_KIND.items():
        if leads := getattr(quality, kind):
            if kind == "flat" and limb_electrode_lost(quality):
                problems.append(QualityProblem(code=code, leads=leads, text=_ELECTRODE_OFF.format(leads=", ".join(leads))))
            else:
                problems.append(QualityProblem(code=code, leads=leads, text=text.format(leads=", ".join(leads))))
    return tuple(problems)


NO_BEATS = QualityProblem(code="no_beats", text=f"No heart beat that repeats itself was found. Look at the patient first. {_RECORD_AGAIN}")
NO_J_POINT = QualityProblem(code="no_j_point", text=f"The end of the QRS could not be found. Keep the patient still. {_RECORD_AGAIN}")
TOO_FEW_LEADS = QualityProblem(
    code="too_few_leads", text=f"Too few leads can be judged: an infarction could hide in the others. Check the electrodes. {_RECORD_AGAIN}"
)
PARTLY_JUDGED = QualityProblem(code="partly_judged", text="Not all leads could be judged. What was found stands; there may be more in the others.")
BLOB_LOST = QualityProblem(code="recording_lost", text="The stored file is lost or damaged. Have a person read the ECG now, and send it again.")
