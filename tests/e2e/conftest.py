"""One running centre for the tests of the main job."""

from collections.abc import Iterator

import pytest

from tests.e2e.centre import Centre, running


@pytest.fixture(scope="session")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    yield from running(tmp_path_factory.mktemp("centre"))
