"""Wiring: a gateway that could not do its work is not built."""

from pathlib import Path

import pytest

from contracts.access import digest_of
from services.gateway.app import PLAN, READS, WRITES
from services.runtime.blobs import FolderBlobs
from services.runtime.errors import ConfigurationError
from services.runtime.producer import Producer
from services.runtime.redis_link import connect
from services.runtime.service import Links
from services.runtime.settings import Settings
from tests.unit.gateway.clinic_door import DIRECTORY, SECRET


def links(folder: Path, *, clinic: str = "township", secret: bytes | None = SECRET) -> Links:
    (folder / "directory.yaml").write_text(DIRECTORY.model_dump_json().replace("**********", "local"))
    (folder / "access.yaml").write_text(f'clinics: [{{token_sha256: "{digest_of("t")}", clinic: {clinic}}}]')
    if secret is not None:
        (folder / "secret").write_bytes(secret)
    settings = Settings(
        kafka="127.0.0.1:1",
        redis="redis://127.0.0.1:1/0",
        blobs=(folder / "blobs").as_uri(),
        directory=folder / "directory.yaml",
        access=folder / "access.yaml",
        patient_key_secret=folder / "secret" if secret is not None else None,
    )
    return Links(
        settings=settings, redis=connect(settings.redis), producer=Producer(settings.kafka, "test", WRITES), blobs=FolderBlobs(folder / "blobs")
    )


def test_with_its_files_there_it_is_built_and_only_writes(tmp_path: Path) -> None:
    service = PLAN.build(links(tmp_path))
    assert service.router is not None
    assert (READS, service.readers, PLAN.writes) == ((), (), WRITES)


def test_a_token_of_a_clinic_that_is_not_listed_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="clinic elsewhere"):
        PLAN.build(links(tmp_path, clinic="elsewhere"))


@pytest.mark.parametrize(("secret", "wrong"), [(None, "is missing"), (b"short", "shorter than 32")])
def test_without_a_secret_no_patient_key_is_made(tmp_path: Path, secret: bytes | None, wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=wrong):
        PLAN.build(links(tmp_path, secret=secret))
