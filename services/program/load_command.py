"""`greenchannel directory load`: a file is checked whole, then every service goes by it."""

import importlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from contracts.directory import Directory
from services.program.directory_commands import refusing
from services.program.reaching_kafka import DataOption, JsonOption, done, reaching_kafka, talk
from services.program.show import plain
from services.program.terminal import print_line


def load(
    file: Annotated[Path, typer.Argument(help="The directory as YAML; `greenchannel up` writes an example.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a directory and load it: every service goes by it from then on."""
    at = datetime.now(UTC)
    with reaching_kafka(as_json=as_json) as loading, refusing(file, as_json=as_json):
        directory, contacts = importlib.import_module("services.program.directory_file").checked_directory_file(file, at)
        kafka = loading.find_kafka(data)
        done(loading.prepare(kafka))
        before, _ = done(loading.read_loaded(kafka))
        done(loading.refuse_other_content(kafka, directory, contacts))
        gone = tuple(centre_id for centre_id in before.centres if centre_id not in directory.centres) if before else ()
        if gone:
            talk.print(plain(_warning(gone, directory)), style="bold red", highlight=False, soft_wrap=True)
        written = done(loading.load(kafka, directory, contacts, at))
    if as_json:
        counts = {each: len(getattr(directory, each)) for each in ("centres", "clinics", "people")}
        print_line({"file": str(file), "version": directory.version, **counts, "written": written, "centres_gone": list(gone), "problems": []})
        return
    counted = f"{len(directory.centres)} centres, {len(directory.clinics)} clinics, {len(directory.people)} people"
    said = f"{directory.version} loaded: {counted}" if written else f"{directory.version} is loaded already, word for word: nothing was written"
    talk.print(plain(said), highlight=False, soft_wrap=True)


def _warning(gone: tuple[str, ...], directory: Directory) -> str:
    first = next(iter(directory.centres))
    return (
        f"WARNING: {', '.join(gone)} was loaded before and is not in this file. From now on the people of {first}, the first centre of the file, "
        "are paged for its open cases. If that is not meant, put it back, give the file another version, and load it again."
    )
