"""`greenchannel directory load`: a file is checked whole, then every service goes by it."""

import importlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from services.program.directory_commands import refusing
from services.program.reaching_kafka import DataOption, done, reaching_kafka, talk
from services.program.show import plain


def load(file: Annotated[Path, typer.Argument(help="The directory as YAML; `greenchannel up` writes an example.")], data: DataOption = None) -> None:
    """Check a directory and load it: every service goes by it from then on."""
    at = datetime.now(UTC)
    with reaching_kafka() as loading, refusing(file):
        directory, contacts = importlib.import_module("services.program.directory_file").checked_directory_file(file, at)
        kafka = loading.find_kafka(data)
        done(loading.prepare(kafka))
        written = done(loading.load(kafka, directory, contacts, at))
    counted = f"{len(directory.centres)} centres, {len(directory.clinics)} clinics, {len(directory.people)} people"
    said = f"{directory.version} loaded: {counted}" if written else f"{directory.version} is loaded already, word for word: nothing was written"
    talk.print(plain(said), highlight=False, soft_wrap=True)
