"""False reds: over all recordings by what people called them, and over variants of normals. A false red wakes a team at night."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from contracts.vocabulary import Priority
from tests.eval import neurokit
from tests.eval.figures import Aim, Figure, Share
from tests.eval.listed import GROUPS, HELD, INJURY, MIMICS, NORMAL, ODD, OTHER, RHYTHM, Listed, half_of, manifest
from tests.eval.variants import Variant
from tests.eval.verdicts import Mistake, Verdict, ours

PART, VARIANTS_PART = "false reds", "false reds, variants of normals"
MIMICS_AT_MOST, VARIANTS_AT_MOST = 0.08, 0.01
_VARIANTS, _QUICK_VARIANTS = 2000, 210  # at least
_QUICK_EVERY = 15  # of the recordings, for the pipeline beside ours
_THEIR_VARIANTS = {False: 2, True: 0}  # of each recording


@dataclass(frozen=True)
class Judged:
    """A recording or a variant, and what was said of it; `theirs` is None where they were not asked."""

    made: Listed | Variant
    ours: Verdict
    theirs: Verdict | None


def judged_files(asked: list[tuple[Listed | Variant, bool]]) -> list[Judged]:
    """Judge recordings or variants; the flag says whether the other pipeline is asked too."""
    return [Judged(made, ours(made), neurokit.theirs(made) if by_theirs else None) for made, by_theirs in asked]


def plan(*, quick: bool) -> list[list[tuple[Listed | Variant, bool]]]:
    """Return every recording of the manifest, a few at a time."""
    asked = [(each, not quick or place % _QUICK_EVERY == 0) for place, each in enumerate(manifest())]
    return [list(asked[first : first + 8]) for first in range(0, len(asked), 8)]


def plan_of_variants(normals: Sequence[Listed], *, quick: bool) -> list[list[tuple[Listed | Variant, bool]]]:
    """Return variants of every normal, those of one recording together: 2,000 or a few more in all."""
    of_each = math.ceil((_QUICK_VARIANTS if quick else _VARIANTS) / len(normals))
    return [[(Variant(each.file, number), number < _THEIR_VARIANTS[quick]) for number in range(of_each)] for each in normals]


def figures(found: Sequence[Judged]) -> Iterator[Figure]:
    """Yield the reds of each group and half, with what is aimed at for normals and mimics; red is not false where nobody knows."""
    for half in (HELD, ODD):
        listed = [(each.made, each) for each in found if isinstance(each.made, Listed) and each.made.half == half]
        mimics = [each for made, each in listed if made.group in MIMICS]
        yield _reds("all mimics", half, mimics, Aim(at_most=MIMICS_AT_MOST), PART)
        for group in GROUPS:
            those = [each for made, each in listed if made.group == group]
            aim = Aim(at_most=0) if group == NORMAL else Aim(at_most=MIMICS_AT_MOST) if group in MIMICS else None
            if those:
                told = f"{group} (red may be right)" if group in {INJURY, RHYTHM, OTHER} else group
                yield _reds(told, half, those, aim, PART)


def figures_of_variants(found: Sequence[Judged]) -> Iterator[Figure]:
    yield _reds("all", half_of(found[0].made.file), found, Aim(at_most=VARIANTS_AT_MOST), VARIANTS_PART)


def _reds(what: str, half: str, those: Sequence[Judged], aim: Aim | None, part: str) -> Figure:
    def share(verdicts: Sequence[Verdict]) -> Share:
        counts = Counter(each.priority for each in verdicts)
        return Share(counts[Priority.RED], len(verdicts), {"yellow": counts[Priority.YELLOW], "not evaluable": counts[Priority.NOT_EVALUABLE]})

    theirs = [each.theirs for each in those if each.theirs is not None]
    return Figure(part, what, half, share([each.ours for each in those]), share(theirs) if theirs else None, aim)


def mistakes(found: Sequence[Judged]) -> list[Mistake]:
    """Return the false reds; and apart from them, for a person to look at, the reds of which nobody knows the truth."""
    false = [_mistake(PART, "not red", each) for each in _reds_where(found, lambda made: made.must_not_be_red)]
    return false + [_mistake(PART, "truth unknown", each) for each in _reds_where(found, lambda made: not made.must_not_be_red)]


def mistakes_of_variants(found: Sequence[Judged]) -> list[Mistake]:
    return [_mistake(VARIANTS_PART, "not red", each) for each in found if each.ours.red]


def _reds_where(found: Sequence[Judged], wanted: Callable[[Listed], bool]) -> list[Judged]:
    return [each for each in found if each.ours.red and isinstance(each.made, Listed) and each.made.category != "VENDOR" and wanted(each.made)]


def _mistake(part: str, wanted: str, each: Judged) -> Mistake:
    group = f"{each.made.group}, {each.made.half}: " if isinstance(each.made, Listed) else ""
    return Mistake(part, f"{group}{wanted}", f"{each.ours.priority}: {each.ours.why}", each.made)
