"""Every service as it is wired, for the tests that look over all of them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from services.program.example_data import write_example_data
from services.program.serve import SERVICES
from services.runtime.blobs import open_blobs
from services.runtime.producer import Producer
from services.runtime.reader import Reader
from services.runtime.service import Links, Service
from services.runtime.settings import Settings

PLANS = {plan.name: plan for plans in SERVICES.values() for plan in plans}


@dataclass(frozen=True)
class Built:
    """A service as it is wired: its name, what it reaches the world by, its parts."""

    name: str
    links: Links
    service: Service


@pytest_asyncio.fixture
async def built(tmp_path: Path) -> AsyncIterator[list[Built]]:
    """Every service as it would run, with nothing connected: building one asks nothing of Kafka or Redis."""
    files = write_example_data(tmp_path)
    settings = Settings(
        kafka="127.0.0.1:1",
        redis="redis://127.0.0.1:1/0",
        blobs=(tmp_path / "blobs").as_uri(),
        patient_key_secret=files.patient_key_secret,
        pager=files.pager,
    )
    redis = Redis.from_url(settings.redis)
    every: list[Built] = []
    for plan in PLANS.values():
        links = Links(settings, redis, Producer(settings.kafka, plan.name, plan.may_write()), open_blobs(settings.blobs))
        every.append(Built(plan.build.__module__.split(".")[1], links, plan.build(links)))
    yield every
    for each in every:
        for stop in each.service.on_stop:
            await stop()
    await redis.aclose()


@pytest.fixture
def readers(built: list[Built]) -> dict[str, list[Reader]]:
    of_service: dict[str, list[Reader]] = {}
    for each in built:
        of_service.setdefault(each.name, []).extend(each.service.readers)
    return of_service
