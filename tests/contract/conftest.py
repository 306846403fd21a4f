"""Every service as it is wired, for the tests that look over all of them."""

from collections.abc import AsyncIterator
from pathlib import Path

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


@pytest_asyncio.fixture
async def readers(tmp_path: Path) -> AsyncIterator[dict[str, list[Reader]]]:
    """Every service as it would run, with nothing connected: building one asks nothing of Kafka or Redis."""
    files = write_example_data(tmp_path, "http://127.0.0.1:1")
    settings = Settings(
        kafka="127.0.0.1:1",
        redis="redis://127.0.0.1:1/0",
        blobs=(tmp_path / "blobs").as_uri(),
        directory=files.directory,
        access=files.access,
        patient_key_secret=files.patient_key_secret,
        pager=files.pager,
    )
    redis = Redis.from_url(settings.redis)
    built: list[Service] = []
    of_service: dict[str, list[Reader]] = {}
    for plan in PLANS.values():
        service = plan.build(Links(settings, redis, Producer(settings.kafka, plan.name, plan.may_write()), open_blobs(settings.blobs)))
        built.append(service)
        of_service.setdefault(plan.build.__module__.split(".")[1], []).extend(service.readers)
    yield of_service
    for service in built:
        for stop in service.on_stop:
            await stop()
    await redis.aclose()
