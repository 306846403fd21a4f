"""An alarm whose provider is away is not lost with the letters that wait for it, on a real Kafka and Redis."""

from uuid import uuid4

from prometheus_client import REGISTRY

from contracts import topics
from contracts.envelope import Record, open_envelope
from services.notify.groups import DEAD_GROUP
from tests.integration.notify.centre import a_page, notify
from tests.integration.notify.running import until, writing
from tests.unit.notify.pages import sealed

LETTERS = topics.COMMANDS.dead_letters


def handled() -> float:
    name = f"{DEAD_GROUP}.{LETTERS}/{LETTERS}"
    return REGISTRY.get_sample_value("greenchannel_messages_handled_total", {"reader": name}) or 0.0


async def test_an_alarm_rings_after_a_restart_though_its_further_letters_were_settled_before(stack, tmp_path, provider):
    hook, address = provider
    lost = sealed(a_page())
    before = handled()

    def letter() -> Record:
        return Record(lost.key, (*lost.headers, ("dlq_origin", str(uuid4()).encode()), ("dlq_group", b"cases.commands.v1")), lost.value)

    async with notify(stack, tmp_path, address, f"{address}/503"), writing(stack) as producer:
        for _ in range(3):
            await producer.publish(LETTERS, [letter()])

        async def further_ones_settled() -> bool:
            return handled() - before == 2

        await until(further_ones_settled)
    hook.heard.clear()
    async with notify(stack, tmp_path, address, f"{address}/200"), writing(stack) as producer:

        async def told() -> bool:
            return any(open_envelope(lost.headers).subject in text for text in hook.heard)

        await until(told)
        await producer.publish(LETTERS, [letter()])

        async def last_one_settled() -> bool:
            return handled() - before == 4

        await until(last_one_settled)
    assert sum(open_envelope(lost.headers).subject in text for text in hook.heard) == 1
