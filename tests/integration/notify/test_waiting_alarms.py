"""An alarm whose provider is away is not lost with the letters that wait for it, on a real Kafka and Redis."""

from uuid import uuid4

from prometheus_client import REGISTRY

from contracts import topics
from contracts.envelope import Record, open_envelope
from services.notify.groups import DEAD_GROUP
from tests.integration.notify.centre import Provider, a_page, notify
from tests.integration.notify.running import until, writing
from tests.unit.notify.pages import sealed

LETTERS = topics.COMMANDS.dead_letters


def handled() -> float:
    name = f"{DEAD_GROUP}.{LETTERS}/{LETTERS}"
    return REGISTRY.get_sample_value("greenchannel_messages_handled_total", {"reader": name}) or 0.0


async def test_an_alarm_rings_after_a_restart_though_its_further_letters_were_settled_before(stack, tmp_path, provider):
    _, away = provider
    hook = Provider()  # nothing that was on its way to the other comes here
    address = await hook.start()
    lost, behind = sealed(a_page()), sealed(a_page())
    before = handled()

    def letter(of: Record) -> Record:
        return Record(of.key, (*of.headers, ("dlq_origin", str(uuid4()).encode()), ("dlq_group", b"cases.commands.v1")), of.value)

    def told(of: Record) -> int:
        return sum(open_envelope(of.headers).subject in text for text in hook.heard)

    async def further_ones_settled() -> bool:
        return handled() - before >= 2

    async with notify(stack, tmp_path, away, f"{away}/503"), writing(stack) as producer:
        for _ in range(3):
            await producer.publish(LETTERS, [letter(lost)])
        await until(further_ones_settled)
    async with notify(stack, tmp_path, address, f"{address}/200"), writing(stack) as producer:
        for each in (lost, behind):
            await producer.publish(LETTERS, [letter(each)])

        async def both_told() -> bool:
            return told(lost) > 0 and told(behind) > 0

        await until(both_told)
    await hook.stop()
    assert (told(lost), told(behind)) == (1, 1)
