"""A clinic and a cardiologist under load: uploads over kept-alive HTTP, the pages that come of them, and their acknowledgements."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import UUID

import httpx

from contracts.ids import CaseId, UploadId, case_id
from contracts.vocabulary import Lane
from tests.bench.figures import Lost
from tests.bench.pacing import at_rate
from tests.bench.patients import AGE_Y, SEX
from tests.e2e.centre import Centre

PAGED_WITHIN_S = 60.0
LOOK_EVERY_S = 0.05
ACKNOWLEDGED_PER_S = 20


@dataclass(frozen=True)
class Sent:
    """An upload that was accepted; times in s since 1970, by this machine's one clock."""

    upload_id: UploadId
    received_at_s: float  # what the 202 says: the gateway had the body
    answered_at_s: float  # the 202 was here

    @property
    def case_id(self) -> CaseId:
        return case_id(self.upload_id)


def kafka_of(centre: Centre) -> str:
    """Return the address of the centre's own broker."""
    return f"127.0.0.1:{json.loads((centre.data / 'ports.json').read_text())['Kafka']}"


@asynccontextmanager
async def connected(centre: Centre, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client with the named token of client.toml."""
    told = centre.client
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64, keepalive_expiry=300)
    headers = {"Authorization": f"Bearer {told[token]}"}
    async with httpx.AsyncClient(base_url=told["url"], headers=headers, timeout=30, limits=limits) as line:
        yield line


async def send(line: httpx.AsyncClient, recording: bytes, lane: Lane) -> Sent:
    """Send one recording; Lost where it is not accepted."""
    facts = {"lane": lane.value, "age": str(AGE_Y), "sex": SEX.value}
    try:
        answer = await line.post("/v1/ecgs", params=facts, content=recording, headers={"Content-Type": "application/octet-stream"})
    except httpx.TransportError as error:
        raise Lost(f"an upload was not answered: {type(error).__name__}") from error
    answered_at_s = time.time()
    if answer.status_code != 202:
        raise Lost(f"an upload was answered with {answer.status_code}: {answer.text[:200]}")
    told = answer.json()
    return Sent(UploadId(UUID(told["upload_id"])), datetime.fromisoformat(told["received_at"]).timestamp(), answered_at_s)


async def send_all(line: httpx.AsyncClient, recordings: Sequence[bytes], *, per_s: float, lane: Lane = Lane.EMERGENCY) -> list[Sent]:
    return await at_rate(per_s, [partial(send, line, recording, lane) for recording in recordings])


def handed_over(pager: Path) -> dict[CaseId, float]:
    """Return when the first page of each case was handed over, in s since 1970, by the pager's own `at`."""
    found: dict[CaseId, float] = {}
    for line in pager.read_bytes().splitlines(keepends=True) if pager.exists() else []:
        if line.endswith(b"\n"):
            page = json.loads(line)
            if page["round"] == 1:
                found.setdefault(CaseId(UUID(page["case_id"])), datetime.fromisoformat(page["at"]).timestamp())
    return found


async def pages_of(centre: Centre, sent: Sequence[Sent]) -> Mapping[CaseId, float]:
    """Return when each of the uploads was paged for, once all were; Lost where one is not in time."""
    give_up_at = time.monotonic() + PAGED_WITHIN_S
    while True:
        pages = handed_over(centre.data / "pager.jsonl")
        missing = [each for each in sent if each.case_id not in pages]
        if not missing:
            return {each.case_id: pages[each.case_id] for each in sent}
        if time.monotonic() > give_up_at:
            raise Lost(f"{len(missing)} of {len(sent)} uploads were not paged for within {PAGED_WITHIN_S:.0f} s, the first is {missing[0].upload_id}")
        await asyncio.sleep(LOOK_EVERY_S)


async def acknowledge(person: httpx.AsyncClient, sent: Sequence[Sent]) -> None:
    """Acknowledge the case of each upload, and return when the cases have heard it: none pages again into what is measured next."""

    async def one(case: CaseId) -> None:
        try:
            seen = (await person.get(f"/v1/cases/{case}")).json().get("seen")
            answer = await person.post(f"/v1/cases/{case}/commands", params={"wait": 10}, json={"command": "acknowledge", "seen": seen})
        except httpx.TransportError as error:
            raise Lost(f"an acknowledgement was not answered: {type(error).__name__}") from error
        if answer.status_code != 200:
            raise Lost(f"an acknowledgement was answered with {answer.status_code}: {answer.text[:200]}")

    await at_rate(ACKNOWLEDGED_PER_S, [partial(one, each.case_id) for each in sent])
