"""What is said about a recording's quality: in words that a village doctor can act on."""

from contracts.assessments import QualityProblem
from services.runtime.archive import BadArchive
from services.triage.quality import LeadQuality, limb_electrode_lost, loose_electrodes
from services.triage.recording import Undecodable

_RECORD_AGAIN = "Record the ECG again."
_BY_KIND = {
    "missing": ("leads_missing", "Not in the recording: {leads}. Put on all ten electrodes and record again."),
    "flat": ("flat", "A flat line: {leads}. Check that the electrodes and the cable are fixed, and record again."),
    "saturated": ("saturated", "At the recorder's limit: {leads}. Press the electrodes down, keep the patient still, and record again."),
    "implausible": ("implausible", "Far too large for a heart: {leads}. Press the electrodes down, keep the patient still, and record again."),
    "short": ("too_short", "Less than 2.5 s can be read: {leads}. Record 10 s of all twelve leads."),
    "contradictory": (
        "einthoven",
        "II is not I plus III: {leads} contradict each other. Check the arm and leg electrodes, and record again.",
    ),
    "miswritten": (
        "goldberger",
        "Not what I and II make it: {leads}. It was made of I and II instead. Have the cart looked at, and record again.",
    ),
    "silent": ("silent", "Shows no heart beat, though other leads do: {leads}. Press the electrode on, check its cable, and record again."),
    "feeble": ("feeble", "Far too small for a heart: {leads}. Check the cart's gain (10 mm/mV) and the electrodes, and record again."),
    "arms_exchanged": (
        "arms_exchanged",
        "The electrodes of the two arms are exchanged. Swap them and record again. Not judged: {leads}.",
    ),
    "right_leg_exchanged": ("right_leg_exchanged", "The electrode of the right arm is on a leg. Move it and record again. Not judged: {leads}."),
    "chest_exchanged": ("chest_exchanged", "Two neighbours on the chest are exchanged: {leads}. Swap them and record again. They are not judged."),
}
_DISTURBED = {
    "muscle": ("muscle_noise", "The line trembles", "warm the patient, let arms and legs lie loose"),
    "mains": ("mains_noise", "Mains hum", "press the electrodes on, move cables and the couch away from what is plugged in"),
    "drifting": ("drifting", "The line wanders", "press the electrodes on, let the patient breathe quietly"),
}

_ELECTRODE_OFF = "A flat line: {leads}. An arm or leg electrode is off. Fix it and record again."
_WORKER_LOST = {
    "timed_out": "Reading the file took too long, and was stopped. Have a person read the ECG now, and record it again.",
    "died": "The file broke the program that read it. Have a person read the ECG now, and record it again.",
    "memory": "Reading the file took too much memory, and was stopped. Send one 12-lead recording of 10 s.",
    "failed": "The file could not be judged because of a fault in this program. Have a person read the ECG now, and record it again.",
}


def not_ruled_out(rules: tuple[str, ...]) -> QualityProblem:
    """Return what to say where all leads could be judged, and yet a rule that finds what kills could not."""
    named = ", ".join(rule.replace("_", " ") for rule in rules)
    return QualityProblem(code="not_ruled_out", text=f"Could not be ruled out: {named}. {_RECORD_AGAIN}"[:400])


def bad_archive(error: BadArchive) -> QualityProblem:
    return QualityProblem(code="bad_files", text=error.reason)


def worker_lost(why: str) -> QualityProblem:
    """Return what to say of an upload whose reader was lost; `why` is one of timed_out, died, memory, failed."""
    return QualityProblem(code=why, text=_WORKER_LOST[why])


def other_qrs(qrs_ms: float, earlier_qrs_ms: float) -> QualityProblem:
    """Return what to say where the QRS was of another width before: ST then moves without any change of the coronary arteries."""
    said = f"The QRS is {qrs_ms:.0f} ms wide and was {earlier_qrs_ms:.0f} ms in the patient's earlier ECG: ST was not compared. Compare them by eye."
    return QualityProblem(code="not_compared", text=said)


def undecodable(error: Undecodable) -> QualityProblem:
    return QualityProblem(code=error.code, text=error.reason)


def lead_problems(quality: LeadQuality) -> tuple[QualityProblem, ...]:
    """Return a problem for each kind of fault, naming the leads: first those that keep leads from being judged."""
    problems = []
    for kind, (code, text) in _BY_KIND.items():
        if leads := getattr(quality, kind):
            said = _ELECTRODE_OFF if kind == "flat" and limb_electrode_lost(quality) else text
            problems.append(QualityProblem(code=code, leads=leads, text=said.format(leads=", ".join(leads))))
    problems += [_too_noisy(kind, leads) for kind in _DISTURBED if (leads := _those(quality, kind, usable=False))]
    problems += [_noisy(kind, leads) for kind in _DISTURBED if (leads := _those(quality, kind, usable=True))]
    return tuple(problems)


def _those(quality: LeadQuality, kind: str, *, usable: bool) -> tuple[str, ...]:
    return tuple(lead for lead in getattr(quality, kind) if (lead not in quality.unmeasurable) is usable)


def _too_noisy(kind: str, leads: tuple[str, ...]) -> QualityProblem:
    _, what, remedy = _DISTURBED[kind]
    loose = " and of ".join(loose_electrodes(leads))
    advice = f"The electrode of {loose} is loose: press it on" if loose else remedy[0].upper() + remedy[1:]
    return QualityProblem(code="too_noisy", leads=leads, text=f"{what}, too much to measure: {', '.join(leads)}. {advice}, and record again.")


def _noisy(kind: str, leads: tuple[str, ...]) -> QualityProblem:
    code, what, remedy = _DISTURBED[kind]
    loose = " and of ".join(loose_electrodes(leads))
    advice = f"press on the electrode of {loose}" if loose else remedy
    return QualityProblem(
        code=code, leads=leads, text=f"{what}: {', '.join(leads)}. Measured, with less certainty. For the next recording: {advice}."
    )


def beats_hidden(seconds: float) -> QualityProblem:
    """Return what to say where no beat was told from a disturbance for so long: the heart may have stood still."""
    return QualityProblem(
        code="beats_hidden",
        text=f"For {seconds:.1f} s a disturbance hides whether the heart beats. Look at the patient first. Keep the patient still. {_RECORD_AGAIN}",
    )


NO_BEATS = QualityProblem(code="no_beats", text=f"No heart beat that repeats itself was found. Look at the patient first. {_RECORD_AGAIN}")
NO_J_POINT = QualityProblem(code="no_j_point", text=f"The end of the QRS could not be found. Keep the patient still. {_RECORD_AGAIN}")
TOO_FEW_LEADS = QualityProblem(
    code="too_few_leads", text=f"Too few leads can be judged: an infarction could hide in the others. Check the electrodes. {_RECORD_AGAIN}"
)
PARTLY_JUDGED = QualityProblem(code="partly_judged", text="Not all could be judged. What was found stands; there may be more.")
NOT_LOOKED_UP = QualityProblem(
    code="not_compared", text="Earlier ECGs of this patient could not be looked up, and this one was not compared with them. Compare it by eye."
)
BLOB_LOST = QualityProblem(code="recording_lost", text="The stored file is lost or damaged. Have a person read the ECG now, and send it again.")
