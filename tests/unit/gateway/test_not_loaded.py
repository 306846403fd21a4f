"""The gateway while nobody has loaded a directory or given a token, and when another one is loaded while it runs."""

from pathlib import Path
from typing import NoReturn

import pytest

from services.runtime.errors import NotLoaded
from tests.integration.directories import a_directory
from tests.unit.gateway.clinic_door import DIRECTORY, ECG, Log, gateway, stored


@pytest.mark.parametrize("what", ["directory", "access"])
async def test_while_nobody_has_loaded_who_answers_it_is_503_with_a_sentence_and_nothing_is_taken_in(tmp_path: Path, what: str) -> None:
    def nothing() -> NoReturn:
        raise NotLoaded(what, "`greenchannel load it`")

    log = Log()
    async with gateway(tmp_path / "blobs", log, **{what: nothing}) as clinic:
        answer = await clinic.post("/v1/ecgs", content=ECG)
    assert (answer.status_code, answer.headers["retry-after"], answer.headers["content-type"]) == (503, "2", "application/problem+json")
    assert f"no {what} yet" in answer.json()["detail"]
    assert (stored(tmp_path / "blobs"), log.records) == ([], [])


async def test_what_was_loaded_meanwhile_is_what_the_next_clinic_hears(tmp_path: Path) -> None:
    county = DIRECTORY.centres["county"].model_copy(update={"standing_number": "555-0199"})
    without_township = a_directory(centres={"county": county}, clinics={"harbour": DIRECTORY.clinics["harbour"]})
    known = [DIRECTORY]
    async with gateway(tmp_path / "blobs", Log(), directory=lambda: known[-1]) as clinic:
        before = await clinic.post("/v1/ecgs", content=ECG)
        known.append(without_township)
        after = await clinic.post("/v1/ecgs", content=ECG + b" ")  # its token holds: what it sends is taken in, and it hears whom to call
    assert [answer.status_code for answer in (before, after)] == [202, 202]
    assert [answer.json()["standing_number"] for answer in (before, after)] == ["555-0100", "555-0199"]
