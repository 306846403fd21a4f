"""A cluster of Valkeys, for the session."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.cases.valkeys import cluster


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def valkey_cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with cluster(tmp_path_factory.mktemp("cluster")) as url:
        yield url
