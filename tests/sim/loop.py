"""An asyncio loop without threads, sockets or a clock: time moves only when nothing is ready, and a function given to it says who runs next.

Each callback belongs to an owner, a simulated process. One owner's callbacks run in their order, as asyncio runs them; which owner comes next is
chosen, as between real processes. An owner that was killed never runs again: no `finally`, no cancellation; one that is stalled runs later."""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")


class Idle(Exception):
    """Nothing is ready and nothing will ever be: what is waited for cannot come."""


class Owner:
    """What callbacks belong to, and live and die with."""

    __slots__ = ("alive", "is_listed", "name", "queue", "stalled_until_s")

    def __init__(self, name: str) -> None:
        self.name, self.alive, self.stalled_until_s = name, True, 0.0
        self.queue: deque[_Handle] = deque()
        self.is_listed = False  # among those that could run


OWNER: ContextVar[Owner] = ContextVar("owner")


class _Handle:
    __slots__ = ("args", "callback", "context", "dropped", "when_s")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context, when_s: float = 0.0) -> None:
        self.callback, self.args, self.context, self.when_s = callback, args, context, when_s
        self.dropped = False

    def cancel(self) -> None:
        self.dropped = True

    def cancelled(self) -> bool:
        return self.dropped

    def when(self) -> float:
        return self.when_s


class SimulatedLoop(asyncio.AbstractEventLoop):
    """choose(n) returns a number below n: which of the owners that could run does."""

    def __init__(self, choose: Callable[[int], int], on_error: Callable[[BaseException | None, str], None]) -> None:
        self._choose, self._on_error = choose, on_error
        self._now_s, self._stopped = 0.0, False
        self._nobody = Owner("nobody")
        self._runnable: list[Owner] = []
        self._later: list[tuple[float, int, _Handle]] = []
        self._ties = itertools.count()
        self._tasks: list[asyncio.Task[Any]] = []

    def time(self) -> float:
        return self._now_s

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> _Handle:  # type: ignore[override]
        handle = _Handle(callback, args, context or copy_context())
        self._make_ready(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None) -> _Handle:  # type: ignore[override]
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None) -> _Handle:  # type: ignore[override]
        handle = _Handle(callback, args, context or copy_context(), when)
        heapq.heappush(self._later, (when, next(self._ties), handle))
        return handle

    def _timer_handle_cancelled(self, handle: object) -> None: ...

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None) -> asyncio.Task[T]:  # type: ignore[override]
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self._on_error(context.get("exception"), str(context.get("message")))

    def spawn(self, owner: Owner, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine as the owner's; all that it starts is the owner's too."""
        context = copy_context()
        context.run(OWNER.set, owner)
        return self.create_task(coro, context=context)

    def stop(self) -> None:
        self._stopped = True

    def run(self, task: asyncio.Task[object]) -> None:
        """Run until the task is done, or somebody stops the loop. Raises Idle."""
        asyncio.events._set_running_loop(self)
        try:
            while not self._stopped and not task.done():
                if self._runnable:
                    self._run_one_owner()
                else:
                    self._let_time_pass()
        finally:
            asyncio.events._set_running_loop(None)

    def close(self) -> None:
        """End what the dead and the stopped left half done. Nothing of it may reach the world any more."""
        for task in self._tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coro = task.get_coro()
            for _ in range(10):  # a `finally` that awaits ignores the first ones
                try:
                    coro.close()  # type: ignore[union-attr]
                    break
                except BaseException:  # noqa: BLE001 - whatever it says in its end, nobody hears it
                    continue
        self._tasks.clear()
        self._later.clear()
        self._runnable.clear()

    def _make_ready(self, handle: _Handle) -> None:
        owner = handle.context.get(OWNER, self._nobody)
        if not owner.alive:
            return
        owner.queue.append(handle)
        if not owner.is_listed:
            owner.is_listed = True
            self._runnable.append(owner)

    def _run_one_owner(self) -> None:
        runnable = self._runnable
        place = self._choose(len(runnable)) if len(runnable) > 1 else 0
        owner = runnable[place]
        runnable[place] = runnable[-1]
        runnable.pop()
        queue = owner.queue
        if owner.stalled_until_s > self._now_s:
            for handle in queue:
                heapq.heappush(self._later, (owner.stalled_until_s, next(self._ties), handle))
            queue.clear()
            owner.is_listed = False
            return
        for _ in range(len(queue)):
            if not owner.alive or self._stopped:
                break
            handle = queue.popleft()
            if not handle.dropped:
                handle.context.run(handle.callback, *handle.args)
        if not owner.alive:
            queue.clear()
        owner.is_listed = bool(queue)
        if queue:
            runnable.append(owner)

    def _let_time_pass(self) -> None:
        later = self._later
        while later and later[0][2].dropped:
            heapq.heappop(later)
        if not later:
            raise Idle
        self._now_s = max(self._now_s, later[0][0])
        while later and later[0][0] <= self._now_s:
            handle = heapq.heappop(later)[2]
            if not handle.dropped:
                self._make_ready(handle)
