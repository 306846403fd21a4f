"""What expressions can do beyond CEL's own words: functions on leads. Their types are checked when a rulebook loads."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

from cel_expr_python import cel

from services.triage.rulebook.measured import GROUPS, LEADS, PER_LEAD, in_order

STRING = cel.Type.STRING


def declared(contiguity: Sequence[Sequence[str]], territories: Mapping[str, Sequence[str]]) -> list[cel.FunctionDecl]:
    """Return the functions, knowing which leads touch and which wall each looks at."""

    def groups(leads: Sequence[str]) -> list[list[str]]:
        return contiguous(leads, contiguity)

    def walls(leads: Sequence[str]) -> str:
        return territory(leads, territories)

    return [
        _function("at_least", at_least, [PER_LEAD, PER_LEAD], LEADS),
        _function("contiguous", groups, [LEADS], GROUPS),
        _function("flatten", lambda found: list(chain.from_iterable(found)), [GROUPS], LEADS),
        _function("highest", highest, [PER_LEAD, LEADS], STRING),
        _function("territory", walls, [LEADS], STRING),
    ]


def _function(name: str, does: Callable[..., object], takes: list[cel.Type], gives: cel.Type) -> cel.FunctionDecl:
    return cel.FunctionDecl(name, [cel.Overload(name, return_type=gives, parameters=takes, impl=does)])


def at_least(measured: Mapping[str, float], threshold: Mapping[str, float]) -> list[str]:
    """Return the leads whose value is at or above the lead's threshold, in anatomical order."""
    return in_order({lead for lead, value in measured.items() if lead in threshold and value >= threshold[lead]})


def contiguous(leads: Sequence[str], chains: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the sets of two or more of the leads that touch each other, each in the order of its chain."""
    found: list[list[str]] = []
    for links in chains:
        run: list[str] = []
        for lead in (*links, ""):
            if lead in leads:
                run.append(lead)
                continue
            if len(run) > 1:
                found.append(run)
            run = []
    return found


def highest(measured: Mapping[str, float], leads: Sequence[str]) -> str:
    """Return the lead with the highest value, the first of equals; '' where none of them was measured."""
    return max((lead for lead in leads if lead in measured), key=lambda lead: measured[lead], default="")


def territory(leads: Sequence[str], territories: Mapping[str, Sequence[str]]) -> str:
    """Return the walls that two leads or more look at, the one with the most of them first; every wall touched where none has two."""
    shares = {name: len(set(looking).intersection(leads)) for name, looking in territories.items()}
    least = max(1, min(2, max(shares.values())))
    walls = sorted((name for name, share in shares.items() if share >= least), key=lambda name: -shares[name])
    return " and ".join(wall.replace("_", " ") for wall in walls)
