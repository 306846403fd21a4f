"""One provider hangs, and nobody else waits for it."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from contracts.deliveries import Failure
from services.notify import apprise_carrier
from services.notify.app import AT_ONCE
from services.notify.apprise_carrier import THREADS_OF_A_PROVIDER, AppriseCarrier
from services.notify.groups import RED_GROUP
from services.notify.notice import Failed, Outcome, Sent

THREADS = 4


class Hanging:
    """A provider that hangs until it is let go; all others take what they are given at once."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def send(self, address: str, title: str, text: str) -> Outcome:
        if "hanging" in address:
            self.let_go.wait(30)
        return Sent()


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    provider = Hanging()
    monkeypatch.setattr(apprise_carrier, "_send", provider.send)
    monkeypatch.setattr(apprise_carrier, "THREADS_OF_A_PROVIDER", THREADS)
    monkeypatch.setattr(apprise_carrier, "AGAIN_AFTER_S", 0.01)
    yield provider
    provider.let_go.set()


async def test_a_red_goes_out_by_its_provider_while_another_hangs_with_all_that_it_may_hold(hanging):
    carrier = AppriseCarrier("test")
    hung = [asyncio.create_task(carrier.send(f"json://hanging:8080/{number}?to=a", "t", "t")) for number in range(THREADS)]
    await asyncio.sleep(0)
    refused = await carrier.send("JSON://user:secret@hanging:8080", "t", "t")
    assert isinstance(refused, Failed)
    assert refused.failure is Failure.TEMPORARY
    assert "hanging" not in refused.reason
    for other in ("json://healthy:8080", "json://user:secret@healthy/a", "mmost://healthy"):
        assert await carrier.send(other, "t", "t") == Sent()
    hanging.let_go.set()
    assert await asyncio.gather(*hung) == [Sent()] * THREADS
    assert await carrier.send("json://hanging:8080", "t", "t") == Sent()


def test_a_provider_that_hangs_leaves_room_for_the_reds_of_others():
    assert AT_ONCE[RED_GROUP] >= 2 * THREADS_OF_A_PROVIDER
