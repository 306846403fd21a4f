"""Room: under load a routine upload is refused before an emergency is."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.vocabulary import Lane
from services.gateway.room import MIB, Full, Room

EMERGENCY, ROUTINE = Lane.EMERGENCY, Lane.ROUTINE


async def refused(room: Room, lane: Lane, size_mib: int) -> bool:
    try:
        async with room.place(lane, size_mib * MIB):
            return False
    except Full:
        return True


@given(st.lists(st.none() | st.tuples(st.sampled_from(Lane), st.integers(0, 32)), max_size=60))
def test_where_an_emergency_is_refused_every_routine_upload_is(script: list[tuple[Lane, int] | None]) -> None:
    async def play() -> None:
        room = Room(emergency_bytes=96 * MIB, routine_bytes=64 * MIB, wait_s=0)
        held: list[AsyncExitStack] = []
        for step in script:
            if step is None and held:
                await held.pop(0).aclose()  # the oldest is done
            if step is not None:
                lane, size_mib = step
                upload = AsyncExitStack()
                try:
                    await upload.enter_async_context(room.place(lane, size_mib * MIB))
                    held.append(upload)
                except Full:
                    assert lane is ROUTINE or await refused(room, ROUTINE, 0)
        for upload in held:
            await upload.aclose()
        assert not await refused(room, ROUTINE, 32)  # all that left has given its room back

    asyncio.run(play())


async def test_an_emergency_waits_for_room_and_routine_is_refused_meanwhile() -> None:
    room = Room(emergency_bytes=64 * MIB, routine_bytes=32 * MIB, wait_s=60)
    async with AsyncExitStack() as held:
        for _ in range(2):
            await held.enter_async_context(room.place(EMERGENCY, 32 * MIB))
        waiting = asyncio.create_task(refused(room, EMERGENCY, 32))
        await asyncio.sleep(0)
        assert not waiting.done()
        assert await refused(room, ROUTINE, 1)
        with pytest.raises(Full):
            room.stay_as_routine()
    assert await waiting is False


async def test_emergencies_are_let_in_in_their_order() -> None:
    room = Room(emergency_bytes=64 * MIB, routine_bytes=32 * MIB, wait_s=60)
    let_in: list[int] = []

    async def come(name: int) -> None:
        async with room.place(EMERGENCY, 20 * MIB):
            let_in.append(name)

    async with room.place(EMERGENCY, 32 * MIB), room.place(EMERGENCY, 20 * MIB):
        coming = [asyncio.create_task(come(name)) for name in range(3)]
        await asyncio.sleep(0)
        assert let_in == []
    await asyncio.gather(*coming)
    assert let_in == [0, 1, 2]


async def test_one_that_is_cancelled_while_it_waits_takes_no_room() -> None:
    room = Room(emergency_bytes=64 * MIB, routine_bytes=32 * MIB, wait_s=60)
    async with room.place(EMERGENCY, 32 * MIB), room.place(EMERGENCY, 32 * MIB):
        waiting = asyncio.create_task(refused(room, EMERGENCY, 32))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert not await refused(room, ROUTINE, 32)


def test_rooms_that_would_break_the_promise_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="promise"):
        Room(emergency_bytes=64 * MIB, routine_bytes=40 * MIB)
