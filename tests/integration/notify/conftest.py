"""What the tests of notify stand on beside the stack: a provider."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.integration.notify.centre import Provider


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[tuple[Provider, str]]:
    provider = Provider()
    address = await provider.start()
    yield provider, address
    await provider.stop()
