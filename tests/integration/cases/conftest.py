"""A Valkey of its own for each test that stops it, and one for the session."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.cases.valkeys import Valkey, valkey


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def valkey_alone(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server.url


@pytest_asyncio.fixture(loop_scope="session")
async def own_valkey(tmp_path: Path) -> AsyncIterator[Valkey]:
    async with valkey(tmp_path / "valkey") as server:
        yield server
