"""A centre for the tests of notify: a provider that is a real HTTP server, contacts that name it, pages, and what became of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from contracts import topics
from services.notify.app import PLAN
from services.runtime.service import Service
from tests.conftest import Stack
from tests.integration.notify.running import load, read_until, running, settings_for
from tests.unit.notify.pages import contacts, directory, page


class Provider:
    """A web hook: /<status> answers with it, and with what it says; /hang waits until the test lets it go."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.bodies: list[str] = []
        self.answers: list[str] = []  # what /next answers, in its order
        self.says: list[bytes] = []  # the bodies of its answers, in their order; then none
        self.hung, self.let_go = asyncio.Event(), asyncio.Event()

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return f"json://127.0.0.1:{port}"

    async def stop(self) -> None:
        self.let_go.set()
        self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        body = await reader.readexactly(length)
        self.bodies.append(body.decode())
        said = json.loads(body) if body.startswith(b"{") else {"text": body.decode()}
        self.heard.append(said.get("message") or said.get("text") or said["content"])
        what = head.split()[1].decode().partition("?")[0].rsplit("/", 1)[1]
        what = self.answers.pop(0) if what == "next" else what
        if what == "hang":
            self.hung.set()
            await self.let_go.wait()
        says = self.says.pop(0) if self.says else b""
        status = "200" if what == "hang" else what
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(says)}\r\nConnection: close\r\n\r\n".encode() + says)
        writer.close()


def methods_of(address: str) -> Mapping[str, str]:
    return {
        "pager": "local",
        "yes": f"{address}/200",
        "no": f"{address}/403",
        "busy": f"{address}/503",
        "hang": f"{address}/hang",
        "next": f"{address}/next",
        "two": f"{address.replace('json', 'mmost')}/next?to=first,second",
        "hub": f"{address}/200?:notice={{notice_id}}",
    }


@asynccontextmanager
async def notify(stack: Stack, folder: Path, address: str, alarm: str = "local", **settings: Any) -> AsyncIterator[Service]:
    """Run notify, with the provider in Ann's contacts and both centres' standing numbers at `alarm`."""
    await load(stack, directory(), contacts({"north": alarm, "south": alarm}, **methods_of(address)))
    async with running(settings_for(stack, folder, **settings), PLAN) as [service]:
        yield service


def a_page(**changed):
    return page(str(uuid4()), **{"method": "pager", "at": datetime.now(UTC)} | changed)


async def deliveries(stack: Stack, *pages):
    """Return what became of each page, by its notice."""
    wanted = {each.notice_id for each in pages}
    cases = {str(each.case_id) for each in pages}

    def enough(found):
        return {event.notice_id for _, event in found} >= wanted

    return {
        event.notice_id: (envelope, event) for envelope, event in await read_until(stack, topics.DELIVERIES, enough, lambda it: it.subject in cases)
    }


def lines(folder: Path, *pages):
    pager = folder / "pager.jsonl"
    told = [json.loads(line) for line in pager.read_text().splitlines()] if pager.exists() else []
    return [line for line in told if line["case_id"] in {str(each.case_id) for each in pages}]
