"""Each notice is handed over once, however many copies of its message are in hand at the same time."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from contracts.ids import NoticeId

REMEMBERS = 10_000

Known = TypeVar("Known")


class Once(Generic[Known]):
    """What became of each notice by now. What is under way is shared; what `settles` the notice is remembered, all else is done again when asked."""

    def __init__(self, settles: Callable[[Known], bool] = lambda _: True) -> None:
        self._settles = settles
        self._known: OrderedDict[NoticeId, Known] = OrderedDict()
        self._under_way: dict[NoticeId, asyncio.Task[Known]] = {}

    async def get(self, notice_id: NoticeId, hand_over: Callable[[], Coroutine[Any, Any, Known]]) -> Known:
        """Return what is known of a notice: from before, from who hands it over just now, or by handing it over. Raises what that raises."""
        if notice_id in self._known:
            return self._known[notice_id]
        task = self._under_way.get(notice_id)
        if task is None:
            # A task of its own: who asked first may be cancelled, and whoever waits beside it still hears what became of the notice.
            task = asyncio.create_task(hand_over(), name=f"notice {notice_id}")
            self._under_way[notice_id] = task
            task.add_done_callback(lambda done: self._ended(notice_id, done))
        return await asyncio.shield(task)

    def _ended(self, notice_id: NoticeId, task: asyncio.Task[Known]) -> None:
        del self._under_way[notice_id]
        if task.cancelled() or task.exception() is not None or not self._settles(task.result()):
            return
        self._known[notice_id] = task.result()
        if len(self._known) > REMEMBERS:
            self._known.popitem(last=False)
