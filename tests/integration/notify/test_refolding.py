"""Redis is lost, and nobody is rung again: what deliveries.v1 tells of comes back to the inboxes before a page is handed over."""

import asyncio
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from contracts import topics
from contracts.deliveries import Failure
from contracts.envelope import open_envelope
from contracts.vocabulary import Priority
from services.local.ports import choose_port
from services.local.valkey import valkey_answers, valkey_command
from services.notify.folded_inbox import WHAT
from services.notify.groups import RED_GROUP, REST_GROUP
from services.notify.notice import Failed, Sent, delivery, origin_of
from services.notify.notice import sealed as sealed_delivery
from services.notify.refolding import Refolding
from services.runtime.errors import Away
from services.runtime.fence import Fence
from services.runtime.inbox import HANDLED
from services.runtime.redis_link import connect
from services.runtime.waiting import until_there
from tests.integration.notify.centre import Provider, a_page, deliveries, notify
from tests.integration.notify.running import publish, writing
from tests.unit.notify.pages import note, sealed


class OwnValkey:
    """A Valkey of the test's own, on one port, that can be killed and put back from an older copy."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._copy = folder / "valkey", folder / "copy"
        self.folder.mkdir()
        self._port = choose_port([])
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(valkey_command(self._port), cwd=self.folder, stdout=subprocess.DEVNULL)
        end_s = time.monotonic() + 20
        while not valkey_answers(self._port):
            assert time.monotonic() < end_s, "Valkey did not start"
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def copy(self) -> None:
        shutil.copytree(self.folder, self._copy)

    def put_back(self) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(self._copy, self.folder)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[OwnValkey]:
    own = OwnValkey(tmp_path)
    own.start()
    yield own
    own.kill()


async def _rung(provider: Provider, times: int) -> None:
    async with asyncio.timeout(30):
        while len(provider.heard) < times:
            await asyncio.sleep(0.02)


async def test_when_redis_is_emptied_no_page_goes_out_twice_and_what_was_not_sent_is_sent(stack, tmp_path, provider):
    hook, address = provider
    asked = [a_page(method="yes", priority=priority, person_id="ann") for priority in (Priority.RED, Priority.NOT_EVALUABLE) for _ in range(5)]
    others = [a_page(method="yes", priority=Priority.YELLOW), note(str(uuid4()), method="yes", at=datetime.now(UTC))]
    sent = [sealed(each, Priority.RED) for each in (*asked, *others)]
    redis = connect(stack.redis)
    async with notify(stack, tmp_path, address), writing(stack) as producer:
        await publish(producer, topics.CASES, *sent)
        await deliveries(stack, *asked, *others)
        await redis.flushall()
        new = a_page(method="yes")
        await publish(producer, topics.CASES, *sent, sealed(new))  # the same messages, once more
        await deliveries(stack, new)
    assert len(hook.heard) == len(sent) + 1
    async with notify(stack, tmp_path, address), writing(stack) as producer:  # who remembers nothing itself
        await redis.flushall()
        last = a_page(method="yes")
        await publish(producer, topics.CASES, *sent, sealed(last))
        await deliveries(stack, last)
    await redis.aclose()
    assert len(hook.heard) == len(sent) + 2


async def test_when_redis_comes_back_with_an_older_copy_no_page_goes_out_twice(stack, tmp_path, provider, valkey):
    hook, address = provider
    own = replace(stack, redis=valkey.url)
    early, late, new = ([sealed(each) for each in pages] for pages in ([a_page(method="yes")], many(5), [a_page(method="yes")]))
    async with notify(own, tmp_path, address), writing(stack) as producer:
        await publish(producer, topics.CASES, *early)
        await _rung(hook, 1)
    valkey.copy()
    async with notify(own, tmp_path, address), writing(stack) as producer:
        await publish(producer, topics.CASES, *late)
        await _rung(hook, 6)
    valkey.kill()
    valkey.put_back()
    valkey.start()
    async with notify(own, tmp_path, address), writing(stack) as producer:
        await publish(producer, topics.CASES, *early, *late, *new)
        await _rung(hook, 7)
    assert len(hook.heard) == 7


async def test_a_redis_that_starts_anew_with_what_it_had_then_is_asked_only_when_it_is_folded_again(stack, valkey):
    redis, asked = connect(valkey.url), a_page()
    message = sealed(asked)
    message_id = open_envelope(message.headers).id
    async with writing(stack) as producer:
        refolding = Refolding(stack.kafka, redis, lambda: datetime.now(UTC))
        inbox = refolding.inboxes[RED_GROUP]
        await refolding.fold()
        valkey.copy()
        await publish(producer, topics.DELIVERIES, delivery_of(asked, message))
        await inbox.handled(message_id, asked.patient_key)
        assert await inbox.begin(message_id, asked.patient_key, "again") == HANDLED
        valkey.kill()
        valkey.put_back()
        valkey.start()
        with pytest.raises(Away, match="not folded yet"):
            await inbox.begin(message_id, asked.patient_key, "again")
        assert await refolding.fold() == 1
        assert await inbox.begin(message_id, asked.patient_key, "again") == HANDLED
    await redis.aclose()


async def test_a_loss_is_seen_and_mended_without_a_page_that_asks(stack):
    redis = connect(stack.redis)
    async with writing(stack):
        refolding = Refolding(stack.kafka, redis, lambda: datetime.now(UTC))
        await redis.flushall()
        running = asyncio.create_task(until_there(refolding.run, lambda _: None))
        async with asyncio.timeout(30):
            await _is_folded(redis)
            await redis.flushall()
            await _is_folded(redis)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    await redis.aclose()


async def _is_folded(redis: Redis) -> None:
    """Return when the inbox of each bucket is folded, which is looked for without asking an inbox."""
    while not all(bucket.is_folded for bucket in await Fence(redis, WHAT).survey()):
        await asyncio.sleep(0.05)


def delivery_of(asked, message):
    origin = origin_of(asked, open_envelope(message.headers))
    return sealed_delivery(delivery(origin, Sent(), asked.at), origin, asked.at)


async def test_nothing_is_begun_before_the_inbox_is_folded_nor_after_redis_was_lost(stack):
    redis = connect(stack.redis)
    async with writing(stack):
        refolding = Refolding(stack.kafka, redis, lambda: datetime.now(UTC))
        inbox = refolding.inboxes[RED_GROUP]
        with pytest.raises(Away, match="not folded yet"):
            await inbox.begin(uuid4(), "patient", "first")
        await refolding.fold()
        assert await inbox.begin(uuid4(), "patient", "first") == 1
        await redis.flushall()
        with pytest.raises(Away, match="not folded yet"):
            await inbox.begin(uuid4(), "patient", "first")
    await redis.aclose()


async def test_that_a_notice_was_never_sent_is_not_said_before_the_log_was_read(stack):
    redis, asked = connect(stack.redis), a_page()
    message = sealed(asked)
    async with writing(stack) as producer:
        await publish(producer, topics.DELIVERIES, delivery_of(asked, message))
        refolding = Refolding(stack.kafka, redis, lambda: datetime.now(UTC))
        await refolding.fold()
        origin = origin_of(asked, open_envelope(message.headers))
        assert await refolding.notices.find(asked.notice_id) == origin
        just_begun = Refolding(stack.kafka, redis, lambda: datetime.now(UTC)).notices
        assert await just_begun.find(asked.notice_id) == origin  # what is there need not wait
        for notices in (just_begun, refolding.notices):
            with pytest.raises(Away, match="not folded yet"):
                await notices.find(uuid4())
            await redis.flushall()
        for ask in (refolding.notices.find(asked.notice_id), refolding.notices.speaks_for(asked.notice_id, origin)):
            with pytest.raises(Away, match="not folded yet"):
                await ask
        await refolding.fold()
        assert await refolding.notices.find(asked.notice_id) == origin
        assert await refolding.notices.find(uuid4()) is None
    await redis.aclose()


async def test_for_whom_a_notice_spoke_and_that_it_failed_since_comes_back_from_the_log(stack):
    redis = connect(stack.redis)
    spoke, said, other = (origin_of(each, open_envelope(sealed(each).headers)) for each in (a_page(), a_page(), a_page()))
    now = datetime.now(UTC)
    told = [(spoke, Sent()), (said, Sent(said_by=spoke.notice_id)), (spoke, Failed(Failure.PERMANENT, "test"))]
    async with writing(stack) as producer:
        await publish(producer, topics.DELIVERIES, *(sealed_delivery(delivery(origin, outcome, now), origin, now) for origin, outcome in told))
        await redis.flushall()
        refolding = Refolding(stack.kafka, redis, lambda: datetime.now(UTC))
        await refolding.fold()
        assert not await refolding.notices.speaks_for(spoke.notice_id, other)
        assert await refolding.notices.failed(spoke.notice_id) == [said]
        assert await refolding.notices.find(said.notice_id) is None  # it was never handed over
        assert await refolding.notices.speaks_for(other.notice_id, said)
    await redis.aclose()


class EmptiedMeanwhile(Refolding):
    """Redis is emptied after deliveries were marked, and before the folding ends."""

    redis: Redis

    async def _mark(self, topic, records):
        await super()._mark(topic, records)
        await self.redis.flushall()


async def test_a_folding_does_not_count_where_redis_was_emptied_while_it_went_on(stack):
    redis = connect(stack.redis)
    asked = a_page()
    async with writing(stack) as producer:
        await publish(producer, topics.DELIVERIES, delivery_of(asked, sealed(asked)))
        refolding = EmptiedMeanwhile(stack.kafka, redis, lambda: datetime.now(UTC))
        refolding.redis = redis
        with pytest.raises(Away, match="lost while they were folded"):
            await refolding.fold()
        with pytest.raises(Away, match="not folded yet"):
            await refolding.inboxes[REST_GROUP].begin(uuid4(), "patient", "first")
    await redis.aclose()


async def test_a_second_folding_reads_only_what_came_since_the_first(stack, tmp_path, provider):
    redis = connect(stack.redis)
    await redis.flushall()
    async with notify(stack, tmp_path, provider[1]), writing(stack) as producer:
        first = a_page()
        await publish(producer, topics.CASES, sealed(first))
        await deliveries(stack, first)
    refolding = Refolding(stack.kafka, redis, lambda: datetime.now(UTC))
    assert await refolding.fold() >= 1
    assert await refolding.fold() == 0
    await redis.flushall()
    assert await refolding.fold() >= 1
    assert await Refolding(stack.kafka, redis, lambda: datetime.now(UTC) + timedelta(days=30)).fold() == 0
    await redis.aclose()


def many(number: int):
    return [a_page(method="yes") for _ in range(number)]
