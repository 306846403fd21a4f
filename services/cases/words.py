"""What the clinic is told, and an assessment in one line."""

from typing import assert_never

from contracts.assessments import Assessed
from contracts.vocabulary import Priority
from services.cases.decision import HEADLINE_LONGEST


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
