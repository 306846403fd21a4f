"""Out of the building, through Apprise. An address holds secrets: it is in no log line, no event and no error.

Apprise blocks, and with its own time limits it runs every call of the process in one small pool, where one provider that hangs holds up all
others. Here each call has a thread of its own, and the limit is ours."""

import asyncio
import logging
import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import apprise

from contracts.deliveries import Failure
from services.notify.address_targets import NOBODY, reaches_nobody
from services.notify.notice import Failed, Outcome, Sent, Unknown
from services.notify.provider_answers import KINDS, PARTLY_TAKEN, hearing, said, together

SEND_WITHIN_S = 5.0
AGAIN_AFTER_S = 0.5
AGAIN_NEEDS_S = 1.0  # with less left, a second try would only make an unknown of what is known to have failed
ANSWER_WITHIN_S = 15.0  # Apprise's own wait for an answer: longer than ours, or it would call a time-out a failure
THREADS_OF_A_PROVIDER = 256
NOT_UNDERSTOOD = "the address is not one that can be used: correct it in the directory"
_STATUS = re.compile(r"error=(\d{3})\b")
_TRY_AGAIN = {408, 425, 429}

_BROKEN_OFF = re.compile(r"Read timed out|Connection aborted|reset by peer|RemoteDisconnected|IncompleteRead", re.IGNORECASE)

# Its lines quote hosts and telephone numbers of the addresses: they are ours to read, and nobody's to print.
logging.getLogger("apprise").setLevel(logging.DEBUG)
logging.getLogger("apprise").propagate = False
logging.getLogger("apprise").addHandler(logging.NullHandler())


class AppriseCarrier:
    """The way out for one group of notices: its threads are its own, so that no other group can use them up, and no provider those of another."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._in_hand = Counter[str]()  # by provider

    async def send(self, address: str, title: str, text: str) -> Outcome:
        """Return what is known after 5 s at most. What is known to have failed for the moment is tried once more; what may have gone out is not."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + SEND_WITHIN_S
        try:
            async with asyncio.timeout_at(end_s):
                outcome = await self._try(address, title, text)
                if isinstance(outcome, Failed) and outcome.failure is Failure.TEMPORARY and end_s - loop.time() > AGAIN_AFTER_S + AGAIN_NEEDS_S:
                    await asyncio.sleep(AGAIN_AFTER_S)
                    outcome = await self._try(address, title, text)
                return outcome
        except TimeoutError:
            return Unknown(f"the provider did not answer within {SEND_WITHIN_S:.0f} s")

    async def _try(self, address: str, title: str, text: str) -> Outcome:
        provider = _provider(address)
        if self._in_hand[provider] >= THREADS_OF_A_PROVIDER:
            return Failed(Failure.TEMPORARY, "too many notices hang at this provider")
        return await self._in_a_thread(provider, lambda: _send(address, title, text))

    async def _in_a_thread(self, provider: str, call: Callable[[], Outcome]) -> Outcome:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Outcome] = loop.create_future()

        def ended() -> None:
            self._in_hand[provider] -= 1
            if not self._in_hand[provider]:
                del self._in_hand[provider]  # or it would hold each that contacts ever named

        def settle(outcome: Outcome) -> None:
            ended()
            if not answer.done():
                answer.set_result(outcome)

        def work() -> None:
            try:
                outcome = call()
            except Exception as error:  # noqa: BLE001 - a provider's code may raise anything; its message may quote the address
                outcome = Failed(Failure.TEMPORARY, f"sending failed: {type(error).__name__}")
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, outcome)

        self._in_hand[provider] += 1
        try:
            # A daemon: a provider that never answers must not keep the process from ending.
            threading.Thread(target=work, name=f"apprise-{self._name}", daemon=True).start()
        except RuntimeError:
            ended()
            return Failed(Failure.TEMPORARY, "no thread could be started")
        return await answer


def _provider(address: str) -> str:
    """Return what stands for a provider: scheme, host and port. Where a key stands in the host's place, each key counts as one. Not to be shown."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{re.split('[/?#]', rest, maxsplit=1)[0].rpartition('@')[2]}".lower()


def understands(address: str) -> bool:
    """Tell whether Apprise can use an address; nothing is sent."""
    return apprise.Apprise().add(address) is True


def _send(address: str, title: str, text: str) -> Outcome:
    way = apprise.Apprise(asset=_asset())
    if not way.add(address):
        return Failed(Failure.PERMANENT, NOT_UNDERSTOOD)
    return together([_send_by(service, title, text) for service in way])


def _asset() -> Any:
    return apprise.AppriseAsset(async_mode=False, service_timeout=0)


def _send_by(service: Any, title: str, text: str) -> Outcome:
    if reaches_nobody(service):
        return Failed(Failure.PERMANENT, NOBODY)
    service.socket_read_timeout = ANSWER_WITHIN_S
    service.request_rate_per_sec = 0  # its wait between requests is longer than ours, and one kind waits before its first
    way = apprise.Apprise(asset=_asset())
    way.add(service)
    with hearing() as answers:
        result = way.notify(body=text, title=title, body_format=apprise.NotifyFormat.TEXT, log_level=logging.DEBUG)
    if result:
        return said(KINDS[service.schema], answers) if service.schema in KINDS else Sent()
    outcome = _refusal([entry.message for entry in result.logs()], [answer.status_code for answer in answers])
    if len(service) > 1 and isinstance(outcome, Failed):
        return Unknown(f"{PARTLY_TAKEN}: {outcome.reason}")
    return outcome


def _refusal(lines: Sequence[str], statuses: Sequence[int]) -> Outcome:
    """Return what is known, by Apprise's own lines, and where they name no status by that of the last answer."""
    found = [int(match.group(1)) for line in lines if (match := _STATUS.search(line))]
    found = found or [status for status in statuses[-1:] if status >= 400]
    if not found:
        if any(_BROKEN_OFF.search(line) for line in lines):
            return Unknown("the connection broke before the provider answered")
        return Failed(Failure.TEMPORARY, "the provider could not be reached or said no")
    status = found[-1]
    permanent = 400 <= status < 500 and status not in _TRY_AGAIN
    return Failed(Failure.PERMANENT if permanent else Failure.TEMPORARY, f"the provider answered {status}")
