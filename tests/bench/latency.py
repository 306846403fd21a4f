"""Upload accepted to page handed over, at 1 and at 20 uploads a second, beside the bare chain on the same broker, turn about."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from contracts.ids import CaseId
from services.ops.synthetic_patient import Pattern
from tests.bench.chain import Chain, Passed
from tests.bench.figures import Figure, percentile, spread
from tests.bench.journeys import assessments, hops, read_back
from tests.bench.patients import patients
from tests.bench.processes import processor_s
from tests.bench.sending import Sent, acknowledge, connected, kafka_of, pages_of, send_all
from tests.e2e.centre import Centre

TURNS = 2  # a turn's uploads are all sent and acknowledged within the minute in which nobody is paged again
COUNTS = {1: 60, 20: 400}  # uploads at so many a second
COUNTS_QUICK = {1: 12, 20: 100}
WARM_UP = 20
AIMS = {50: 2.0, 99: 3.0}  # times the bare chain, by percentile


@dataclass
class _Rate:
    per_s: int
    count: int
    ours: list[Sent] = field(default_factory=list)
    pages: dict[CaseId, float] = field(default_factory=dict)
    bare: list[Passed] = field(default_factory=list)
    processor_s: Counter[str] = field(default_factory=Counter)  # by process, while ours were on the road


async def latency(centre: Centre, *, quick: bool, profile: bool) -> list[Figure]:
    """Measure on a centre that is ready. Raises Lost."""
    kafka = kafka_of(centre)
    counts = COUNTS_QUICK if quick else COUNTS
    rates = [_Rate(per_s, count) for per_s, count in counts.items()]
    recordings = iter(list(islice(patients(Pattern.ANTERIOR), WARM_UP + sum(counts.values()))))  # made before the clock runs
    async with connected(centre, "clinic_token") as clinic, connected(centre, "person_token") as person, Chain(kafka) as chain:
        await chain.pass_on(WARM_UP, per_s=10)
        warm = await send_all(clinic, list(islice(recordings, WARM_UP)), per_s=5)
        await pages_of(centre, warm)
        await acknowledge(person, warm)
        for rate in rates:
            for _ in range(TURNS):
                share = rate.count // TURNS
                rate.bare += await chain.pass_on(share, per_s=rate.per_s)
                before = processor_s(centre)
                sent = await send_all(clinic, list(islice(recordings, share)), per_s=rate.per_s)
                rate.ours += sent
                rate.pages |= await pages_of(centre, sent)
                rate.processor_s.update({name: used - before.get(name, 0.0) for name, used in processor_s(centre).items()})
                await acknowledge(person, sent)
    written = await read_back(kafka)
    triage_s = {upload_id: assessed.took_ms / 1000 for upload_id, assessed in assessments(written).items()}
    figures = [figure for rate in rates for figure in _beside(rate, [triage_s[each.upload_id] for each in rate.ours])]
    if profile:
        for rate in rates:
            part = f"profile, {rate.per_s}/s"
            figures += hops(part, rate.ours, rate.pages, written)
            figures += [Figure(part, f"processor: {name}", used / rate.count * 1000, "ms/upload") for name, used in rate.processor_s.most_common()]
            figures.append(Figure(part, "processor: all", rate.processor_s.total() / rate.count * 1000, "ms/upload"))
    return figures


def _beside(rate: _Rate, triage_s: Sequence[float]) -> Iterator[Figure]:
    part = f"latency, {rate.per_s}/s"
    of_receipt = [rate.pages[each.case_id] - each.received_at_s for each in rate.ours]
    of_answer = [rate.pages[each.case_id] - each.answered_at_s for each in rate.ours]
    without_triage = [total - own for total, own in zip(of_receipt, triage_s, strict=True)]
    bare = [each.handed_over_at_s - each.begun_at_s for each in rate.bare]
    bare_of_acknowledgement = [each.handed_over_at_s - each.accepted_at_s for each in rate.bare]
    yield from spread(part, "received_at -> page", of_receipt, note=f"{len(of_receipt)} uploads; from the 202's received_at")
    yield from spread(part, "202 at the clinic -> page", of_answer)
    yield from spread(part, "triage's own time", triage_s, note="took_ms of Assessed")
    yield from spread(part, "received_at -> page, without triage's own", without_triage)
    yield from spread(part, "bare chain, before the first produce -> last stage", bare, note=f"{len(bare)} messages")
    yield from spread(part, "bare chain, first acknowledgement -> last stage", bare_of_acknowledgement)
    for percent, aim in AIMS.items():
        ratio = percentile(without_triage, percent) / percentile(bare, percent)
        yield Figure(part, "received_at -> page, without triage's own, by the bare chain's", ratio, "x", percent, aim)
    for percent in AIMS:
        yield Figure(part, "received_at -> page by the bare chain's", percentile(of_receipt, percent) / percentile(bare, percent), "x", percent)
