"""Hands a notice to whatever its address names: the pager of this machine, or Apprise."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from pydantic import SecretStr

from contracts.deliveries import Failure
from services.notify.apprise_carrier import SEND_WITHIN_S, AppriseCarrier
from services.notify.local_pager import LocalPager
from services.notify.notice import Failed, Notice, Outcome, Sent
from services.runtime.errors import Away

LOCAL = "local"
ITS_ID = "{notice_id}"  # in an address: the id of each notice, by which its provider can call back
NO_PAGER = Failed(Failure.PERMANENT, "the address is the local pager, and GREENCHANNEL_PAGER names no file")


class Carriers:
    """The ways out of one group of notices. Nothing of it is shared with another group but the pager's file."""

    def __init__(self, group: str, pager: Path | None, now: Callable[[], datetime]) -> None:
        self._apprise = AppriseCarrier(group)
        self._pager = LocalPager(pager) if pager else None
        self._one_at_a_time = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"pager-{group}")
        self._now = now

    async def hand_over(self, notice: Notice, address: SecretStr) -> Outcome:
        """Return what is known of the notice after 5 s at most; Away where this machine's pager cannot take it now."""
        if address.get_secret_value() != LOCAL:
            return await self._apprise.send(addressed(address, str(notice.notice_id)), notice.title, notice.text)
        if self._pager is None:
            return NO_PAGER
        try:
            async with asyncio.timeout(SEND_WITHIN_S):
                await asyncio.get_running_loop().run_in_executor(self._one_at_a_time, self._pager.append, notice, self._now())
        except TimeoutError:
            raise Away("pager", "the disk does not answer") from None
        return Sent()

    async def close(self) -> None:
        self._one_at_a_time.shutdown(wait=False, cancel_futures=True)


def addressed(address: SecretStr, notice_id: str) -> str:
    """Return an address as it is used for one notice."""
    return address.get_secret_value().replace(ITS_ID, notice_id)
