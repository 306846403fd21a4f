"""The clinics of a run: synthetic patients at a steady rate, each sent until it is accepted, some of them twice, some of them one patient."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from contracts.vocabulary import Lane, Sex
from services.ops.synthetic_dicom import to_dicom
from services.ops.synthetic_patient import Pattern, synthesize
from tests.chaos.journal import Journal

AGE_Y, SEX = 61, Sex.MALE
MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)
FS_HZ = 250  # half the bytes of what a cart sends
AGAIN_AFTER_S = (0.5, 2.0)
PATTERNS = {Pattern.NORMAL: 74, Pattern.ANTERIOR: 7, Pattern.INFERIOR: 5, Pattern.LATERAL: 4, Pattern.LEAD_OFF: 10}
ROUTINE = 0.4
KNOWN_BY_NUMBER, SAME_AS_BEFORE = 0.5, 0.3
OF_THE_LAST = 40  # patients: who comes again was here a moment ago
TWICE = 0.1
TWICE_AFTER_S = (0.0, 20.0)


@dataclass(frozen=True)
class Upload:
    """What a clinic sends. number: by which it knows the patient; None: by none. twice_after_s: None: it is sent once."""

    serial: int
    pattern: Pattern
    lane: Lane
    number: str | None
    twice_after_s: float | None

    @property
    def facts(self) -> dict[str, str]:
        return {"lane": self.lane.value, "age": str(AGE_Y), "sex": SEX.value} | ({"patient": self.number} if self.number else {})

    def content(self) -> bytes:
        return to_dicom(synthesize(self.pattern, st_mv=None, seed=self.serial, fs_hz=FS_HZ), age_y=AGE_Y, sex=SEX, made_at=MADE_AT)


def uploads(seed: int, count: int) -> list[Upload]:
    """Return what is sent in a run, drawn from its seed."""
    chance, numbers, found = random.Random(seed), list[str](), list[Upload]()
    for serial in range(count):
        (pattern,) = chance.choices(list(PATTERNS), weights=list(PATTERNS.values()))
        lane = Lane.ROUTINE if chance.random() < ROUTINE else Lane.EMERGENCY
        number = None
        if chance.random() < KNOWN_BY_NUMBER:
            again = numbers and chance.random() < SAME_AS_BEFORE
            number = chance.choice(numbers[-OF_THE_LAST:]) if again else f"chaos-{serial}"
            numbers.append(number)
        found.append(Upload(serial, pattern, lane, number, chance.uniform(*TWICE_AFTER_S) if chance.random() < TWICE else None))
    return found


class Clinics:
    def __init__(self, line: httpx.AsyncClient, journal: Journal, on_accepted: Callable[[], None]) -> None:
        self._line, self._journal, self._on_accepted = line, journal, on_accepted
        self.refused: list[str] = []

    async def send_all(self, wanted: list[Upload], *, within_s: float) -> None:
        """Send them in so much time, whatever becomes of those before; return when each was accepted, however long that takes."""
        loop, every_s = asyncio.get_running_loop(), within_s / max(1, len(wanted))
        begun_s = loop.time()
        async with asyncio.TaskGroup() as group:
            for place, upload in enumerate(wanted):
                await asyncio.sleep(max(0.0, begun_s + place * every_s - loop.time()))
                group.create_task(self._send(upload))

    async def _send(self, upload: Upload) -> None:
        content = await asyncio.to_thread(upload.content)
        if upload.twice_after_s is None:
            await self._until_accepted(upload, content)
            self._on_accepted()
            return
        first = asyncio.ensure_future(self._until_accepted(upload, content))
        await asyncio.sleep(upload.twice_after_s)  # the first may still be on its way
        await asyncio.gather(first, self._until_accepted(upload, content))
        self._on_accepted()

    async def _until_accepted(self, upload: Upload, content: bytes) -> None:
        """Send the same again until it is accepted, as the uploader at a clinic does."""
        chance = random.Random(upload.serial)
        while True:
            try:
                headers = {"Content-Type": "application/octet-stream"}
                answer = await self._line.post("/v1/ecgs", params=upload.facts, content=content, headers=headers)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code == httpx.codes.ACCEPTED:
                upload_id = str(answer.json()["upload_id"])
                await asyncio.to_thread(self._journal.write, "accepted", serial=upload.serial, upload_id=upload_id, lane=upload.lane.value)
                return
            if answer is not None and answer.is_client_error and answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                self.refused.append(f"recording {upload.serial} was refused: {answer.status_code} {answer.text[:200]}")
                return
            await asyncio.sleep(chance.uniform(*AGAIN_AFTER_S))
