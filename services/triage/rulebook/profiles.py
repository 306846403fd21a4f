"""The regional profiles that come with the program, by name: a YAML file each, beside the rulebook's."""

from functools import cache
from pathlib import Path

from services.runtime.errors import GreenchannelError
from services.triage.rulebook.engine import Rulebook
from services.triage.rulebook.loading import load


class UnknownProfile(GreenchannelError):
    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(name, known)
        self.name, self.known = name, known

    def __str__(self) -> str:
        return f"there is no profile {self.name}: {', '.join(self.known) or 'no region has one yet'}"


def profile_names(rulebook: Path) -> tuple[str, ...]:
    """Return the names of the profiles that lie beside a rulebook."""
    return tuple(sorted(path.stem for path in rulebook.parent.glob("*.yaml") if path.name != rulebook.name))


@cache
def load_named(rulebook: Path, profile: str) -> Rulebook:
    """Return a rulebook under a profile, compiled once in a process. Raises UnknownProfile, RulebookInvalid."""
    known = profile_names(rulebook)
    if profile not in known:
        raise UnknownProfile(profile, known)
    return load(rulebook, rulebook.with_name(f"{profile}.yaml"))
