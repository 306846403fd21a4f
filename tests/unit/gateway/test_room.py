"""Room: under load a routine upload is refused before an emergency is."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.vocabulary import Lane
from services.gateway.room import MIB, Full, Room

EMERGENCY, ROUTINE = Lane.EMERGENCY, Lane.ROUTINE


ONE, OTHER = "one", "other"


def small_room(*, emergency_mib: int = 96, clinic_mib: int = 64, routine_mib: int = 32, wait_s: float = 60) -> Room:
    return Room(emergency_bytes=emergency_mib * MIB, clinic_bytes=clinic_mib * MIB, routine_bytes=routine_mib * MIB, wait_s=wait_s)


async def refused(room: Room, lane: Lane, size_mib: int, clinic: str = ONE) -> bool:
    try:
        async with room.place(lane, size_mib * MIB, clinic):
            return False
    except Full:
        return True


@given(st.lists(st.none() | st.tuples(st.sampled_from(Lane), st.integers(0, 32), st.sampled_from([ONE, OTHER, "third"])), max_size=60))
def test_where_an_emergency_is_refused_every_routine_upload_is(script: list[tuple[Lane, int, str] | None]) -> None:
    async def play() -> None:
        room = small_room(emergency_mib=160, clinic_mib=96, routine_mib=64, wait_s=0)
        held: list[AsyncExitStack] = []
        for step in script:
            if step is None and held:
                await held.pop(0).aclose()  # the oldest is done
            if step is not None:
                lane, size_mib, clinic = step
                upload = AsyncExitStack()
                try:
                    await upload.enter_async_context(room.place(lane, size_mib * MIB, clinic))
                    held.append(upload)
                except Full:
                    assert lane is ROUTINE or all([await refused(room, ROUTINE, 0, each) for each in (ONE, OTHER, "third")])
        for upload in held:
            await upload.aclose()
        assert not await refused(room, ROUTINE, 32)  # all that left has given its room back

    asyncio.run(play())


async def test_one_clinic_that_fills_its_share_keeps_no_other_waiting() -> None:
    room = small_room(wait_s=0)
    async with AsyncExitStack() as held:
        for _ in range(2):
            await held.enter_async_context(room.place(EMERGENCY, 32 * MIB, ONE))
        assert await refused(room, EMERGENCY, 1, ONE)
        assert not await refused(room, EMERGENCY, 32, OTHER)
    assert not await refused(room, EMERGENCY, 32, ONE)


async def test_who_waits_for_their_clinics_share_stands_in_nobodys_way() -> None:
    room = small_room()
    async with AsyncExitStack() as held:
        for _ in range(2):
            await held.enter_async_context(room.place(EMERGENCY, 32 * MIB, ONE))
        waiting = asyncio.create_task(refused(room, EMERGENCY, 32, ONE))
        await asyncio.sleep(0)
        assert not waiting.done()
        assert await refused(room, ROUTINE, 1, OTHER)
        assert await asyncio.wait_for(refused(room, EMERGENCY, 32, OTHER), 5) is False
    assert await waiting is False


async def test_an_emergency_waits_for_room_and_routine_is_refused_meanwhile() -> None:
    room = small_room()
    async with AsyncExitStack() as held:
        for clinic in (ONE, ONE, OTHER):
            await held.enter_async_context(room.place(EMERGENCY, 32 * MIB, clinic))
        waiting = asyncio.create_task(refused(room, EMERGENCY, 32, OTHER))
        await asyncio.sleep(0)
        assert not waiting.done()
        assert await refused(room, ROUTINE, 1)
        with pytest.raises(Full):
            room.stay_as_routine()
    assert await waiting is False


async def test_emergencies_are_let_in_in_their_order() -> None:
    room = small_room()
    let_in: list[int] = []

    async def come(name: int) -> None:
        async with room.place(EMERGENCY, 20 * MIB, OTHER):
            let_in.append(name)

    async with room.place(EMERGENCY, 32 * MIB, ONE), room.place(EMERGENCY, 32 * MIB, ONE), room.place(EMERGENCY, 20 * MIB, "third"):
        coming = [asyncio.create_task(come(name)) for name in range(3)]
        await asyncio.sleep(0)
        assert let_in == []
    await asyncio.gather(*coming)
    assert let_in == [0, 1, 2]


async def test_one_that_is_cancelled_while_it_waits_takes_no_room() -> None:
    room = small_room()
    async with room.place(EMERGENCY, 32 * MIB, ONE), room.place(EMERGENCY, 32 * MIB, ONE), room.place(EMERGENCY, 32 * MIB, "third"):
        waiting = asyncio.create_task(refused(room, EMERGENCY, 32, OTHER))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert not await refused(room, ROUTINE, 32)


def test_rooms_that_would_break_a_promise_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="promise"):
        small_room(clinic_mib=64, routine_mib=40)
    with pytest.raises(ValueError, match="shut out"):
        small_room(emergency_mib=80, clinic_mib=64)
