"""The people on call: each hears what rings, and acts as people do. Some are slow, some press at once, some fall asleep, some never answer."""

import asyncio
import json
import random
import re
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from uuid import uuid4

import httpx

from tests.chaos.journal import Journal

LOOKS_EVERY_S = 0.3
WAITS_FOR_AN_ANSWER_S = 3
AGAIN_AFTER_S = 1.0
TRIES = 90
LISTED_AT_ONCE = 200
AT_ONCE = 16  # cases that are decided at once in the end
_CASE = re.compile(r"/cases/([0-9a-f-]{36})")


class Temper(StrEnum):
    PROMPT = "prompt"
    TWO_AT_ONCE = "two at once"
    PASSES_ON = "passes it on"
    LATE = "late"
    ASLEEP = "asleep"
    SILENT = "silent"


TEMPERS = {Temper.PROMPT: 30, Temper.TWO_AT_ONCE: 20, Temper.PASSES_ON: 15, Temper.LATE: 20, Temper.ASLEEP: 10, Temper.SILENT: 5}
SOON_S = (0.3, 5.0)
WAITS_S = {Temper.PROMPT: SOON_S, Temper.TWO_AT_ONCE: SOON_S, Temper.PASSES_ON: SOON_S, Temper.LATE: (35.0, 80.0), Temper.ASLEEP: (0.3, 10.0)}
DECIDES_AFTER_S = (0.5, 10.0)
CONFIRMS = 0.6
LOOKED_AT_FIRST = {"acknowledge", "confirm", "stand_down"}
ACCEPTS, DECLINES = 0.5, 0.3  # else who is asked says nothing


class People:
    """They act from `act` on; `finish` has them all awake, and is done when no case is left that anybody still has to decide."""

    def __init__(self, lines: Mapping[str, httpx.AsyncClient], pager: Path, journal: Journal, seed: int) -> None:
        self._lines, self._pager, self._journal, self._seed = lines, pager, journal, seed
        self._loop = asyncio.get_running_loop()
        self._busy: set[str] = set()
        self._asked: dict[str, str] = {}  # by case: whom it is offered to, until they answer
        self._work: set[asyncio.Task[None]] = set()
        self._read_to = 0
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self.answered = 0
        self.unanswered: list[str] = []

    def heard(self, person: str, text: str) -> None:
        """Somebody's telephone rang; called from any thread."""
        found = _CASE.search(text)
        if found:
            self._loop.call_soon_threadsafe(self._begin, found.group(1), person)

    async def act(self) -> None:
        """Watch the pager for ever."""
        while True:
            for line in await asyncio.to_thread(self._new_lines):
                with suppress(ValueError):  # torn by a kill: its page comes again, whole
                    told = json.loads(line)
                    if told["case_id"] and told["person"] in self._lines:
                        self._begin(told["case_id"], told["person"])
            await asyncio.sleep(LOOKS_EVERY_S)

    def _new_lines(self) -> list[bytes]:
        if not self._pager.exists():
            return []
        with self._pager.open("rb") as file:
            file.seek(self._read_to)
            lines = [line for line in file.read().splitlines(keepends=True) if line.endswith(b"\n")]
        self._read_to += sum(len(line) for line in lines)
        return lines

    def _begin(self, case_id: str, person: str) -> None:
        if case_id in self._busy:
            return
        self._busy.add(case_id)
        task = asyncio.create_task(self._react(case_id, person))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _react(self, case_id: str, person: str) -> None:
        """Do with a case what is in its nature; whoever sleeps, or never answers, has it until all are woken."""
        chance = random.Random(f"{self._seed}/{case_id}")
        (temper,) = chance.choices(list(TEMPERS), weights=list(TEMPERS.values()))
        if temper is Temper.SILENT:
            return
        await asyncio.sleep(chance.uniform(*WAITS_S[temper]))
        if temper is Temper.TWO_AT_ONCE:
            other = chance.choice([each for each in self._lines if each != person])
            await asyncio.gather(self._ask(person, case_id, "acknowledge"), self._ask(other, case_id, "acknowledge"))
        else:
            await self._ask(person, case_id, "acknowledge")
        if temper is Temper.ASLEEP:
            return
        await asyncio.sleep(chance.uniform(*DECIDES_AFTER_S))
        decides = await self._pass_on(person, case_id, chance) if temper is Temper.PASSES_ON else person
        await self._decide(decides, case_id, chance)
        self._busy.discard(case_id)  # what rings for it from now on is new

    async def _pass_on(self, person: str, case_id: str, chance: random.Random) -> str:
        """Tell the clinic, and offer the case to another; return who decides it."""
        other = chance.choice([each for each in self._lines if each != person])
        await self._ask(person, case_id, "say", text="repeat the ECG in ten minutes")
        self._asked[case_id] = other
        await self._ask(person, case_id, "offer_hand_over", to_person=other)
        await asyncio.sleep(chance.uniform(*SOON_S))
        answer = chance.random()
        if answer < ACCEPTS:
            await self._ask(other, case_id, "accept_hand_over")
            del self._asked[case_id]
            return other
        if answer < ACCEPTS + DECLINES:
            await self._decline(other, case_id)
        return person

    async def _decline(self, person: str, case_id: str) -> None:
        await self._ask(person, case_id, "decline_hand_over", reason="in the lab with another")
        del self._asked[case_id]

    async def _decide(self, person: str, case_id: str, chance: random.Random) -> None:
        if chance.random() < CONFIRMS:
            await self._ask(person, case_id, "confirm", diagnosis="stemi")
        else:
            await self._ask(person, case_id, "stand_down", reason="seen: no infarction")

    async def _ask(self, person: str, case_id: str, command: str, **fields: str) -> None:
        """Press, and press again with the same key while there is no answer; what was accepted is written down."""
        key = str(uuid4())
        seen = await self._look(person, case_id) if command in LOOKED_AT_FIRST else {}
        for _ in range(TRIES):
            try:
                answer = await self._lines[person].post(
                    f"/v1/cases/{case_id}/commands",
                    params={"wait": WAITS_FOR_AN_ANSWER_S},
                    json={"command": command} | fields | seen,
                    headers={"Idempotency-Key": key},
                )
            except httpx.TransportError:
                await asyncio.sleep(AGAIN_AFTER_S)
                continue
            if answer.is_success:
                told = {"case_id": case_id, "command": command, "by": person, "command_id": answer.json()["command_id"]}
                await asyncio.to_thread(self._journal.write, "answered", **told, status=answer.status_code)
                self.answered += 1
                return
            if answer.status_code == httpx.codes.CONFLICT:
                return
            await asyncio.sleep(AGAIN_AFTER_S)  # not known yet, or something is away
        self.unanswered.append(f"{command} of case {case_id} by {person} was not answered in {TRIES} tries")

    async def _look(self, person: str, case_id: str) -> dict[str, int]:
        """Return what the case shows by now; {} where it shows nothing: who presses all the same is taken by the time."""
        try:
            answer = await self._lines[person].get(f"/v1/cases/{case_id}")
        except httpx.TransportError:
            return {}
        return {"seen": answer.json()["seen"]} if answer.is_success else {}

    async def finish(self) -> int:
        """Look through the list once and bring each case to its decision; return how many there were that needed one."""
        for task in list(self._work):
            task.cancel()  # all are awake now: what is open is done at once, in the order of the list
        for case_id, other in list(self._asked.items()):
            await self._decline(other, case_id)
        person = next(iter(self._lines))
        cursor: str | None = None
        undecided = list[tuple[str, str | None]]()
        while True:
            try:
                page = await self._lines[person].get("/v1/cases", params={"limit": LISTED_AT_ONCE} | ({"cursor": cursor} if cursor else {}))
            except httpx.TransportError:
                page = None
            if page is None or not page.is_success:
                await asyncio.sleep(AGAIN_AFTER_S)
                continue
            told = page.json()
            undecided += [(each["case_id"], each["owner"]) for each in told["cases"] if each["phase"] in {"opened", "acknowledged"}]
            cursor = told["next"]
            if cursor is None:
                break
        await asyncio.gather(*(self._bring_to_its_end(case_id, owner, owner or person) for case_id, owner in undecided))
        return len(undecided)

    async def _bring_to_its_end(self, case_id: str, owner: str | None, person: str) -> None:
        async with self._at_once:
            self._busy.add(case_id)
            if owner is None:
                await self._ask(person, case_id, "acknowledge")
            await self._decide(person, case_id, random.Random(f"{self._seed}/{case_id}/end"))
            self._busy.discard(case_id)
