"""What the tests of triage share: the files of a recording as a clinic sends them, and the list of all recordings."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from services.runtime.archive import UploadedFile

_PARTS = (".hea", ".dat", ".mat", ".xyz")

Uploaded = Callable[[str], list[UploadedFile]]


@pytest.fixture(scope="session")
def uploaded(recordings: Path) -> Uploaded:
    """Return a function from a path in the manifest to the files that belong to that recording."""

    def files(path: str) -> list[UploadedFile]:
        first = recordings / path
        parts = sorted(first.parent.glob(f"{first.stem}.*")) if first.suffix == ".hea" else [first]
        return [UploadedFile(part.name, part.read_bytes()) for part in parts if first.suffix != ".hea" or part.suffix in _PARTS]

    return files


@pytest.fixture(scope="session")
def manifest(recordings: Path) -> list[dict[str, str]]:
    with (recordings / "MANIFEST.tsv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))
