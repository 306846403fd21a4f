"""What a pipeline says of a recording, told alike for ours and for the one beside it; and a mistake, which can be made and drawn again."""

from dataclasses import dataclass
from typing import Protocol

from contracts.assessments import Reading
from contracts.vocabulary import Priority
from services.triage.paper import draw
from services.triage.reading import measured_beats, not_evaluable, read_recording
from services.triage.recording import Recording, Undecodable
from services.triage.words import undecodable


class Made(Protocol):
    """A recording, real or altered, that is made again whenever it is asked for: the same each time."""

    @property
    def name(self) -> str: ...

    def recording(self) -> Recording: ...


@dataclass(frozen=True)
class Verdict:
    """`why` names the rules that fired, or what kept the recording from being judged."""

    priority: Priority
    why: str

    @property
    def red(self) -> bool:
        return self.priority is Priority.RED


@dataclass(frozen=True)
class Mistake:
    """Something that should have come out otherwise. `said` is the verdict in words, `wanted` what it should be."""

    part: str
    wanted: str
    said: str
    made: Made


def read_made(made: Made) -> tuple[Reading, Recording | None]:
    """Return our reading; a file that cannot be decoded is not evaluable, and says why."""
    try:
        recording = made.recording()
    except Undecodable as error:
        return not_evaluable((undecodable(error),), age_y=None, sex=None), None
    return read_recording(recording, age_y=None, sex=None), recording


def verdict_of(reading: Reading) -> Verdict:
    rules = [f"{finding.rule} ({', '.join(finding.leads)})" if finding.leads else finding.rule for finding in reading.findings]
    problems = [problem.code for problem in reading.quality.problems] if reading.priority is Priority.NOT_EVALUABLE else []
    return Verdict(reading.priority, "; ".join(rules + problems))


def ours(made: Made) -> Verdict:
    return verdict_of(read_made(made)[0])


def plot(made: Made) -> str | None:
    """Return a recording with our reading on the standard paper, as SVG; None where there is nothing to draw."""
    reading, recording = read_made(made)
    return None if recording is None else draw(recording, reading, measured_beats(recording), layout="3x4")
