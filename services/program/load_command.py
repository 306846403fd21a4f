"""`greenchannel directory load`: a file is checked whole, then every service goes by it."""

import importlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from contracts.access import Access, AccountAdded, ClinicTokenAdded
from contracts.directory import Directory
from contracts.ids import CentreId, ClinicId, PersonId
from services.program.directory_commands import as_documents, refusing, say_remarks
from services.program.reaching_kafka import DataOption, JsonOption, done, reaching_kafka, talk
from services.program.show import plain
from services.program.terminal import print_line
from services.program.typed import typed


def load(
    file: Annotated[Path, typer.Argument(help="The directory as YAML; `greenchannel up` writes an example.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a directory and load it: every service goes by it from then on."""
    at = datetime.now(UTC)
    with reaching_kafka(as_json=as_json) as loading, refusing(file, as_json=as_json):
        directory, contacts, remarks = importlib.import_module("services.program.directory_file").checked_with_remarks(file, at)
        kafka = loading.find_kafka(data)
        done(loading.prepare(kafka), loading.PREPARED_WITHIN_S)
        before, _ = done(loading.read_loaded(kafka))
        done(loading.refuse_other_content(kafka, directory, contacts))
        gone = _gone(before, directory, done(loading.read_accounts(kafka)) or Access())
        say_remarks(file, remarks)
        for warning in _warnings(gone, directory, data):
            talk.print(plain(f"WARNING: {warning}"), style="bold red", highlight=False, soft_wrap=True)
        written = done(loading.load(kafka, directory, contacts, at))
    if as_json:
        counts = {each: len(getattr(directory, each)) for each in ("centres", "clinics", "people")}
        told = {"file": str(file), "version": directory.version, **counts, "written": written, **asdict(gone)}
        print_line(told | {"problems": [], "remarks": as_documents(remarks)})
        return
    counted = f"{len(directory.centres)} centres, {len(directory.clinics)} clinics, {len(directory.people)} people"
    said = f"{directory.version} loaded: {counted}" if written else f"{directory.version} is loaded already, word for word: nothing was written"
    talk.print(plain(said), highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class _Gone:
    """What a file leaves out, though it was loaded, or somebody holds a token for it: a token goes on."""

    centres_gone: tuple[CentreId, ...]
    clinics_gone: tuple[ClinicId, ...]
    people_gone_with_token: tuple[PersonId, ...]


def _gone(before: Directory | None, directory: Directory, access: Access) -> _Gone:
    holders = access.holders()
    clinics = [*(before.clinics if before else ()), *(each.clinic_id for each in holders if isinstance(each, ClinicTokenAdded))]
    people = [each.person_id for each in holders if isinstance(each, AccountAdded)]
    return _Gone(
        tuple(each for each in (before.centres if before else ()) if each not in directory.centres),
        tuple(dict.fromkeys(each for each in clinics if each not in directory.clinics)),
        tuple(dict.fromkeys(each for each in people if each not in directory.people)),
    )


def _warnings(gone: _Gone, directory: Directory, data: Path | None) -> Iterator[str]:
    first = next(iter(directory.centres))
    put_back = "If that is not meant, put it back, give the file another version, and load it again."
    if gone.centres_gone:
        yield (
            f"{', '.join(gone.centres_gone)} was loaded before and is not in this file. From now on the people of {first}, the first centre of "
            f"the file, are paged for its open cases, and for what stands on its reading list once its time has passed: nobody is shown that list. "
            f"{put_back}"
        )
    for clinic_id in gone.clinics_gone:
        yield (
            f"the clinic {clinic_id} is not in this file. While it holds a token, what it sends is taken, and goes to the first centre of the file "
            f"with a catheter lab that is open, of whatever network; no way is known, so lysis is never proposed. {put_back} "
            f"If it is, take its tokens: {typed('access', 'revoke', '--clinic', clinic_id, data=data)}"
        )
    for person_id in gone.people_gone_with_token:
        yield (
            f"{person_id} is not in this file and still holds a token: access is not taken by that. "
            f"To take it: {typed('access', 'revoke', '--person', person_id, data=data)}"
        )
