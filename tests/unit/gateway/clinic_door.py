"""A gateway over HTTP with a real blob folder, and a log of records in place of Kafka."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from contracts.access import Access, AccessEvents
from contracts.directory import Directory
from contracts.envelope import Record
from contracts.intake import EcgUploaded
from contracts.topics import INTAKE_EMERGENCY, INTAKE_ROUTINE, Topic, read_event
from services.gateway.ecgs import router
from services.gateway.intake import Intake, PublishPort
from services.gateway.room import Room
from services.runtime.blobs import FolderBlobs
from services.runtime.errors import Away
from tests.integration.directories import a_directory, account, clinic_token

TOKEN, OTHER_TOKEN, PERSON_TOKEN = "token-of-township", "token-of-harbour", "token-of-li"
SECRET = b"0123456789abcdef0123456789abcdef"
ECG = b"<restingecgdata/>" * 20
DIRECTORY = a_directory()


def access_of(*given: AccessEvents) -> Access:
    access = Access()
    for event in given:
        access.hear(event)
    return access


ACCESS = access_of(clinic_token("township", TOKEN), clinic_token("harbour", OTHER_TOKEN), account("ann", PERSON_TOKEN))


class Log:
    """Keeps what is published, in order; `away` makes it refuse, `open` lets it answer."""

    def __init__(self) -> None:
        self.records: list[tuple[Topic, Record]] = []
        self.away = False
        self.open, self.heard = asyncio.Event(), asyncio.Event()
        self.open.set()

    async def publish(self, topic: Topic, records: Sequence[Record]) -> None:
        await self.open.wait()
        if self.away:
            raise Away("kafka", "for this test")
        self.records += [(topic, record) for record in records]
        self.heard.set()

    def events(self, topic: Topic = INTAKE_EMERGENCY) -> list[EcgUploaded]:
        return [EcgUploaded.model_validate(read_event(topic, "EcgUploaded", record.value)) for where, record in self.records if where is topic]

    def all_events(self) -> list[EcgUploaded]:
        return self.events(INTAKE_EMERGENCY) + self.events(INTAKE_ROUTINE)


def app_of(
    blobs: Path,
    log: PublishPort,
    *,
    room: Room | None = None,
    answered_within_s: float = 4.0,
    access: Callable[[], Access] = lambda: ACCESS,
    directory: Callable[[], Directory] = lambda: DIRECTORY,
) -> FastAPI:
    app = FastAPI()
    app.include_router(router(access, directory, Intake(FolderBlobs(blobs), log, SECRET, answered_within_s=answered_within_s), room or Room()))
    return app


@asynccontextmanager
async def gateway(blobs: Path, log: PublishPort, **parts: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of a new gateway, as the clinic `township`; parts are those of app_of."""
    transport = httpx.ASGITransport(app_of(blobs, log, **parts))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        yield client


def stored(blobs: Path) -> list[str]:
    """Return the names of all that lies in the blob folder, its mark aside."""
    return sorted(str(path.relative_to(blobs)) for path in blobs.rglob("*") if path.is_file() and not path.name.startswith(".greenchannel"))
