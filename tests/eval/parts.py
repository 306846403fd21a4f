"""The parts of the evaluation: what each asks, of how many recordings, and what its answers come to."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from tests.eval import boundaries, false_reds, sensitivity, truths
from tests.eval.curve_picture import Curve
from tests.eval.figures import Figure
from tests.eval.listed import normals
from tests.eval.verdicts import Mistake


@dataclass(frozen=True)
class Part:
    """`plan`, of whether it is quick and of the half whose normals are altered, gives bundles of cases, each of which `judge` takes in a process
    of its own; of all answers come figures and mistakes."""

    plan: Callable[[bool, str], Sequence[list[Any]]]
    judge: Callable[[list[Any]], list[Any]]
    figures: Callable[[Sequence[Any]], Iterable[Figure]]
    mistakes: Callable[[Sequence[Any]], list[Mistake]]
    curve: Callable[[Sequence[Any]], Curve] | None = None


def _truths(quick: bool, half: str) -> list[list[truths.Truth]]:
    asked = truths.truths(quick=quick, half=half)
    return [asked[first : first + 8] for first in range(0, len(asked), 8)]


PARTS: dict[str, Part] = {
    "boundaries": Part(lambda quick, _: boundaries.plan(quick=quick), boundaries.compared, boundaries.figures, boundaries.mistakes),
    "truths": Part(_truths, truths.held_up, truths.figures, truths.mistakes),
    "false-reds": Part(lambda quick, _: false_reds.plan(quick=quick), false_reds.judged_files, false_reds.figures, false_reds.mistakes),
    "variants": Part(
        lambda quick, half: false_reds.plan_of_variants(normals(half), quick=quick),
        false_reds.judged_files,
        false_reds.figures_of_variants,
        false_reds.mistakes_of_variants,
    ),
    "sensitivity": Part(
        lambda quick, half: sensitivity.plan([each for each in normals(half) if sensitivity.is_suitable(each)], quick=quick),
        sensitivity.outcomes,
        sensitivity.figures,
        sensitivity.mistakes,
        sensitivity.curve,
    ),
}


def joined(answers: Iterable[list[Any]]) -> list[Any]:
    return list(chain.from_iterable(answers))
