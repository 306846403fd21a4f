"""What triage asks the rules: judge these measurements. The rules themselves are in ../rules, in words that a clinician can read and change."""

from functools import cache
from pathlib import Path

from services.triage.rulebook.document import RulebookInvalid
from services.triage.rulebook.engine import Rulebook, apply
from services.triage.rulebook.loading import load
from services.triage.rulebook.measured import Measured
from services.triage.rulebook.profiles import UnknownProfile, load_named

__all__ = [
    "SHIPPED",
    "Measured",
    "Rulebook",
    "RulebookInvalid",
    "UnknownProfile",
    "apply",
    "load",
    "shipped",
    "shipped_for",
]

SHIPPED = Path(__file__).parents[1] / "rules" / "ecg.yaml"


@cache
def shipped() -> Rulebook:
    """Return the rulebook that comes with the program, compiled once in a process; a fork inherits it."""
    return load(SHIPPED)


def shipped_for(profile: str | None) -> Rulebook:
    """Return the shipped rulebook as a region's profile changes it; as it is where no profile is named. Raises UnknownProfile, RulebookInvalid."""
    return shipped() if profile is None else load_named(SHIPPED, profile)
