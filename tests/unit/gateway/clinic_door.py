"""A gateway over HTTP with a real blob folder, and a log of records in place of Kafka."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from fastapi import FastAPI

from contracts.access import Access, ClinicToken, PersonToken, digest_of
from contracts.directory import Directory
from contracts.envelope import Record
from contracts.intake import EcgUploaded
from contracts.topics import INTAKE_EMERGENCY, INTAKE_ROUTINE, Topic, read_event
from services.gateway.ecgs import router
from services.gateway.intake import Intake, PublishPort
from services.gateway.room import Room
from services.runtime.blobs import FolderBlobs
from services.runtime.errors import Away

TOKEN, OTHER_TOKEN, PERSON_TOKEN = "token-of-township", "token-of-harbour", "token-of-li"
SECRET = b"0123456789abcdef0123456789abcdef"
ECG = b"<restingecgdata/>" * 20
ACCESS = Access(
    clinics=(
        ClinicToken(token_sha256=digest_of(TOKEN), clinic="township"),
        ClinicToken(token_sha256=digest_of(OTHER_TOKEN), clinic="harbour"),
    ),
    people=(PersonToken(token_sha256=digest_of(PERSON_TOKEN), person="li"),),
)
DIRECTORY = Directory.model_validate(
    {
        "version": "1",
        "centres": {"county": {"name": "County", "standing_number": "555-0100", "standing_alarm": "local", "on_call": ["li"]}},
        "clinics": {"township": {"name": "Township", "centre": "county"}, "harbour": {"name": "Harbour", "centre": "county"}},
        "people": {"li": {"name": "Li", "methods": {"local": "local"}}},
    }
)


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


def app_of(blobs: Path, log: PublishPort, *, room: Room | None = None, answered_within_s: float = 4.0) -> FastAPI:
    app = FastAPI()
    app.include_router(router(ACCESS, DIRECTORY, Intake(FolderBlobs(blobs), log, SECRET, answered_within_s=answered_within_s), room or Room()))
    return app


@asynccontextmanager
async def gateway(blobs: Path, log: PublishPort, *, room: Room | None = None, answered_within_s: float = 4.0) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of a new gateway, as the clinic `township`."""
    transport = httpx.ASGITransport(app_of(blobs, log, room=room, answered_within_s=answered_within_s))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        yield client


def stored(blobs: Path) -> list[str]:
    """Return the names of all that lies in the blob folder, its mark aside."""
    return sorted(str(path.relative_to(blobs)) for path in blobs.rglob("*") if path.is_file() and not path.name.startswith(".greenchannel"))
