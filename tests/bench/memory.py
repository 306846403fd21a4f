"""What the whole takes of the machine's memory after 100 uploads: PSS, which counts a page that several share once."""

from itertools import islice

from contracts.vocabulary import Lane
from services.ops.synthetic_patient import Pattern
from tests.bench.figures import Figure
from tests.bench.patients import patients
from tests.bench.processes import names_of, pss_mb
from tests.bench.sending import acknowledge, connected, pages_of, send_all
from tests.e2e.centre import Centre, until

PART = "memory"
REDS, ROUTINE = 50, 50
PER_S = 10
AIM_MB = 700.0


async def memory(centre: Centre) -> list[Figure]:
    """Measure on a fresh centre that is ready: 50 reds, then 50 routine uploads. Raises Lost."""
    async with connected(centre, "clinic_token") as clinic, connected(centre, "person_token") as person:
        reds = await send_all(clinic, list(islice(patients(Pattern.ANTERIOR), REDS)), per_s=PER_S)
        await pages_of(centre, reds)
        await acknowledge(person, reds)
        routine = await send_all(clinic, list(islice(patients(Pattern.NORMAL), ROUTINE)), per_s=PER_S, lane=Lane.ROUTINE)
    until(lambda: all(centre.answered(str(each.upload_id)) for each in routine), what="an answer to each routine upload")
    of_names: dict[str, list[float]] = {}
    for process, name in names_of(centre).items():
        of_names.setdefault(name, []).append(pss_mb(process.pid))
    whole = sum(sum(each) for each in of_names.values())
    ordered = sorted(of_names.items(), key=lambda each: -sum(each[1]))
    return [
        Figure(PART, "the whole", whole, "MB", aim=AIM_MB, note=f"{REDS + ROUTINE} uploads"),
        *(Figure(PART, name, sum(each), "MB", note=f"{len(each)} processes" if len(each) > 1 else "") for name, each in ordered),
    ]
