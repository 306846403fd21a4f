"""Wiring: a gateway that could not do its work is not built."""

from pathlib import Path

import pytest

from services.gateway.app import PLAN, READS, WRITES
from services.runtime.blobs import FolderBlobs
from services.runtime.errors import ConfigurationError
from services.runtime.producer import Producer
from services.runtime.redis_link import connect
from services.runtime.service import Links
from services.runtime.settings import Settings
from tests.unit.gateway.clinic_door import SECRET


def links(folder: Path, *, secret: bytes | None = SECRET) -> Links:
    if secret is not None:
        (folder / "secret").write_bytes(secret)
    settings = Settings(
        kafka="127.0.0.1:1",
        redis="redis://127.0.0.1:1/0",
        blobs=(folder / "blobs").as_uri(),
        patient_key_secret=folder / "secret" if secret is not None else None,
    )
    return Links(
        settings=settings, redis=connect(settings.redis), producer=Producer(settings.kafka, "test", WRITES), blobs=FolderBlobs(folder / "blobs")
    )


def test_with_its_files_there_it_is_built_and_only_writes(tmp_path: Path) -> None:
    reached = links(tmp_path)
    service = PLAN.build(reached)
    assert service.router is not None
    assert {each.what for each in reached.following} == {"access", "directory"}  # no telephone number of anybody
    assert (READS, service.readers, PLAN.writes) == ((), (), WRITES)


@pytest.mark.parametrize(("secret", "wrong"), [(None, "is missing"), (b"short", "shorter than 32")])
def test_without_a_secret_no_patient_key_is_made(tmp_path: Path, secret: bytes | None, wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=wrong):
        PLAN.build(links(tmp_path, secret=secret))
