"""What notify stands between, in memory: a carrier that answers as it was told, a Kafka that may be away, what Redis keeps."""

import asyncio
from typing import Any
from uuid import UUID

from contracts.envelope import Record
from contracts.ids import NoticeId
from services.notify.notice import Notice, Origin, Outcome
from services.runtime.errors import Away
from services.runtime.inbox import HANDLED


class Carrier:
    """Answers as it was told, the last answer for ever, and keeps what it was handed."""

    def __init__(self, *answers: Outcome | Away) -> None:
        self.answers, self.handed = list(answers), list[Notice]()
        self.asked, self.answering = asyncio.Event(), asyncio.Event()
        self.answering.set()

    async def hand_over(self, notice: Notice, address: Any) -> Outcome:
        self.handed.append(notice)
        self.asked.set()
        await self.answering.wait()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Away):
            raise answer
        return answer


class Kafka:
    """Is away for the first times."""

    def __init__(self, away: int = 0) -> None:
        self.away, self.published = away, list[Record]()

    async def publish(self, record: Record) -> None:
        if self.away:
            self.away -= 1
            raise Away("kafka", "test")
        self.published.append(record)


class Rung:
    """What Redis keeps of the alarms, beyond a restart of notify."""

    def __init__(self) -> None:
        self.begun, self.done = dict[UUID | str, set[str]](), set[UUID | str]()

    async def begin(self, message_id: UUID | str, key: str, beginning: str) -> int:
        if message_id in self.done:
            return HANDLED
        self.begun.setdefault(message_id, set()).add(beginning)
        return len(self.begun[message_id])

    async def pardon(self, message_id: UUID | str, key: str) -> None:
        self.begun.pop(message_id, None)

    async def handled(self, message_id: UUID | str, key: str) -> None:
        self.done.add(message_id)


class Kept:
    """What Redis keeps of the notices that were handed over; what a provider says of them fails them here."""

    def __init__(self) -> None:
        self.origins, self.failed, self.said = list[Origin](), set[NoticeId](), list[tuple[NoticeId, NoticeId]]()

    async def keep(self, origin: Origin) -> None:
        self.origins.append(origin)

    async def speaks_for(self, notice_id: NoticeId, other: Origin) -> bool:
        if notice_id in self.failed:
            return False
        self.said.append((notice_id, other.notice_id))
        return True
