"""stub"""

from dataclasses import dataclass
from datetime import timedelta
from contracts.directory import STANDING_NUMBER, target_of


@dataclass(frozen=True)
class Wave:
    people: tuple
    gaps: tuple
    wait: timedelta
    begins_anew: bool


def wave(directory, policy_id, step, at):
    p = directory.policies[policy_id]
    seq = [s for s in p.steps for _ in range(p.repeat)]
    s = seq[step % len(seq)]
    people = []
    gaps = []
    for t in s.page:
        k, n = target_of(t)
        if k == "person":
            found = [n]
        elif k == "team":
            found = list(directory.teams[n].members)
        else:
            found = []
        if not found:
            gaps.append(t)
        people += [x for x in found if x not in people]
    return Wave(tuple(people) or (STANDING_NUMBER,), tuple(gaps), timedelta(seconds=s.wait_s), step > 0 and step % len(seq) == 0)
