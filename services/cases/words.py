"""What the clinic is told, and an assessment in one line."""

from types import MappingProxyType
from typing import assert_never

from contracts.assessments import Assessed
from contracts.vocabulary import Diagnosis, Priority
from services.cases.decision import HEADLINE_LONGEST

DIAGNOSES = MappingProxyType(
    {
        Diagnosis.STEMI: "STEMI",
        Diagnosis.STEMI_EQUIVALENT: "a STEMI equivalent",
        Diagnosis.NSTE_ACS: "NSTE-ACS",
        Diagnosis.ARRHYTHMIA: "an arrhythmia",
        Diagnosis.OTHER_EMERGENCY: "another emergency",
    }
)


def headline_of(assessed: Assessed) -> str:
    """Return the assessment in one line: its most urgent finding, or why nothing could be judged."""
    urgent = [finding for finding in assessed.findings if finding.priority is assessed.priority]
    if urgent:
        return urgent[0].title
    if assessed.priority is Priority.NOT_EVALUABLE:
        return assessed.quality.problems[0].text[:HEADLINE_LONGEST] if assessed.quality.problems else "the recording cannot be judged"
    return "nothing urgent found by the rules"


def clinic_text(priority: Priority, headline: str, standing_number: str) -> str:
    """Return what the clinic is told; it never says that the patient is well."""
    match priority:
        case Priority.RED:
            return f"URGENT: {headline}. The centre is being called. Keep the patient lying and monitored; call {standing_number} now."
        case Priority.YELLOW:
            return f"{headline}. A physician should look at this today; if the patient has pain or gets worse, call {standing_number}."
        case Priority.GREEN:
            return f"{headline}. This is not a diagnosis: if the complaint goes on, record again in 15 minutes, or call {standing_number}."
        case Priority.NOT_EVALUABLE:
            return f"{headline}. Record again."
        case _:
            assert_never(priority)


def taken_back_text(diagnosis: Diagnosis, standing_number: str) -> str:
    """Return what the clinic is told, who was told before that nothing urgent was seen."""
    what = f"the stand-down is taken back: it is {DIAGNOSES[diagnosis]}"
    return f"URGENT: {what}. Keep the patient lying and monitored, or call them back; call {standing_number} now."


def lab_awaits_text(centre_name: str, standing_number: str) -> str:
    where = f"The catheter lab of {centre_name} awaits the patient"
    return f"{where}: bring them straight to the lab, past the emergency room. For anything on the way call {standing_number}."


def lab_elsewhere_text(centre_name: str, former_name: str, standing_number: str) -> str:
    return f"{centre_name} has the case now: do not bring the patient to the lab of {former_name}. Call {standing_number} now, and ask where to go."


def lab_cancelled_reasons(reason: str, standing_number: str) -> tuple[str, ...]:
    return (
        f"the lab was stood down: {reason}",
        f"do not bring the patient straight to the lab, but call {standing_number}",
        "it is looked at once more by the new recording",
    )
