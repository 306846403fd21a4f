"""Workers as real processes: whatever a recording does to one, the service has its verdict and the next patient a worker."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.runtime.errors import Away
from services.triage.nursery import Limits
from services.triage.workers import GRACE_S, WorkerLost, Workers

LIMITS = Limits(seconds=0.5, memory_bytes=256 * 1024 * 1024)


def obey(task: Mapping[str, object], body: bytes) -> tuple[dict[str, object], bytes]:
    """Do what the test asks of a worker; the bad recordings of this world, made certain."""
    match task["do"]:
        case "echo":
            return {"pid": os.getpid(), "got": len(body)}, body
        case "spin":
            while True:
                pass
        case "sleep":
            time.sleep(60)
        case "eat":
            return {"eaten": len(bytearray(1024 * 1024 * 1024))}, b""
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "raise":
            raise ValueError("quotes a name")
        case "hold":  # say that the task is in hand, and keep it until the test lets go
            with socket.create_connection(("127.0.0.1", int(str(task["port"])))) as line:
                line.recv(1)
            return {"held": True}, b""
        case "descriptors":
            return {"open": [each.name for each in Path("/proc/self/fd").iterdir()]}, b""
    return {}, b""


@asynccontextmanager
async def hired(count: int = 1, limits: Limits = LIMITS) -> AsyncIterator[Workers]:
    workers = Workers(obey, count=count, limits=limits)
    try:
        yield workers
    finally:
        await workers.stop()


async def test_a_worker_answers_with_what_it_was_given_whatever_its_size():
    async with hired() as workers:
        for size in (0, 1, 32 * 1024 * 1024):
            told, content = await workers.do({"do": "echo"}, bytes(size))
            assert (told["got"], len(content)) == (size, size)


@pytest.mark.parametrize(("task", "why"), [("spin", "timed_out"), ("sleep", "timed_out"), ("eat", "memory"), ("crash", "died"), ("raise", "failed")])
async def test_a_task_that_ends_its_worker_is_a_verdict_and_the_next_is_answered(task: str, why: str):
    async with hired() as workers:
        with pytest.raises(WorkerLost) as lost:
            await workers.do({"do": task}, b"")
        assert lost.value.why == why
        assert "name" not in str(lost.value)
        told, _ = await workers.do({"do": "echo"}, b"next")
        assert told["got"] == 4


async def test_one_that_hangs_holds_up_nobody_while_another_worker_is_free():
    async with hired(2) as workers:
        hanging = asyncio.create_task(workers.do({"do": "spin"}, b""))
        for _ in range(5):
            await workers.do({"do": "echo"}, b"x")
        assert not hanging.done()
        with pytest.raises(WorkerLost):
            await hanging


async def test_a_worker_that_is_killed_for_anothers_sake_costs_no_patient_the_verdict():
    async with hired() as workers:
        told, _ = await workers.do({"do": "echo"}, b"")
        os.kill(told["pid"], signal.SIGKILL)
        again, content = await workers.do({"do": "echo"}, b"infarction")
    assert content == b"infarction"
    assert again["pid"] != told["pid"]


async def test_workers_that_died_idle_are_replaced_and_blame_no_recording():
    async with hired(2) as workers:
        both = await asyncio.gather(workers.do({"do": "echo"}, b""), workers.do({"do": "echo"}, b""))
        dead = {told["pid"] for told, _ in both}
        assert len(dead) == 2
        for pid in dead:
            os.kill(int(str(pid)), signal.SIGKILL)
        for _ in range(3):
            told, content = await workers.do({"do": "echo"}, b"infarction")
            assert content == b"infarction"
            assert told["pid"] not in dead


async def test_an_answer_that_came_while_the_service_itself_stood_still_is_heard():
    async with hired() as workers:
        await workers.do({"do": "echo"}, b"")
        asked = asyncio.create_task(workers.do({"do": "echo"}, b"infarction"))
        await asyncio.sleep(0)  # the task is given to the worker
        time.sleep(LIMITS.seconds + GRACE_S)  # noqa: ASYNC251  a stopped process is what is tested
        _, content = await asked
    assert content == b"infarction"


async def test_one_worker_serves_many_tasks():
    async with hired() as workers:
        pids = {(await workers.do({"do": "echo"}, b""))[0]["pid"] for _ in range(5)}
    assert len(pids) == 1


async def test_a_worker_holds_none_of_the_services_connections():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with hired() as workers:
            told, _ = await workers.do({"do": "descriptors"}, b"")
        assert listening.fileno() > 2
    assert len(told["open"]) <= 5  # the three of a terminal, its line, and the folder that it lists


async def test_the_death_of_the_nursery_is_seen_and_no_message_is_blamed():
    async with hired() as workers:
        told, _ = await workers.do({"do": "echo"}, b"")
        nursery = _parent_of(told["pid"])
        watching = asyncio.create_task(workers.watch())
        async with _outlived(told["pid"]):
            os.kill(nursery, signal.SIGKILL)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(watching, 10)
        for _ in range(2):
            with pytest.raises(Away):
                await workers.do({"do": "echo"}, b"")


async def test_the_death_of_the_nursery_blames_no_task_in_hand():
    async with hired(2, Limits(seconds=60, memory_bytes=LIMITS.memory_bytes)) as workers, _told_of_holding() as (port, holding):
        both = await asyncio.gather(workers.do({"do": "echo"}, b""), workers.do({"do": "echo"}, b""))
        in_hand = asyncio.create_task(workers.do({"do": "hold", "port": port}, b""))
        await asyncio.wait_for(holding.wait(), 10)
        async with _outlived(*(told["pid"] for told, _ in both)):
            os.kill(_parent_of(both[0][0]["pid"]), signal.SIGKILL)
        with pytest.raises(Away):
            await asyncio.wait_for(in_hand, 10)
        with pytest.raises(Away):
            await workers.do({"do": "echo"}, b"")


@asynccontextmanager
async def _outlived(*pids: object) -> AsyncIterator[None]:
    """Leave the block when these processes have ended: the kernel ends workers a moment after their nursery, and until then they may answer."""
    loop = asyncio.get_running_loop()
    ends = {os.pidfd_open(int(str(pid))): loop.create_future() for pid in pids}
    for descriptor, ended in ends.items():
        loop.add_reader(descriptor, lambda ended=ended: ended.done() or ended.set_result(None))
    try:
        yield
        await asyncio.wait_for(asyncio.gather(*ends.values()), 10)
    finally:
        for descriptor in ends:
            loop.remove_reader(descriptor)
            os.close(descriptor)


@asynccontextmanager
async def _told_of_holding() -> AsyncIterator[tuple[int, asyncio.Event]]:
    """Give a port, and what is set as soon as a worker has called it."""
    holding = asyncio.Event()
    server = await asyncio.start_server(lambda _read, _write: holding.set(), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], holding
    finally:
        server.close()


def _parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[1])
