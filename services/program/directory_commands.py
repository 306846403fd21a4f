"""`greenchannel directory`: whether a file of centres, clinics, people and rosters may be used."""

import importlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from services.program.show import out, plain

app = typer.Typer(help="Centres, clinics, people and rosters: one file, checked whole.", no_args_is_help=True)
talk = Console(stderr=True)
REFUSED = 1

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The directory, in YAML.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document a line on stdout.")]


@app.command("check", epilog="Example:  [bold]greenchannel directory check directory.yaml[/]")
def check(file: FileArgument, as_json: JsonOption = False) -> None:
    """Check a directory as a whole: names, gaps in rosters, who is reached and who is rung. Status 1, with the line of each mistake, if any."""
    with refusing(file, as_json=as_json):
        directory, _, remarks = _part().checked_with_remarks(file, datetime.now(UTC))
    holds = {each: len(getattr(directory, each)) for each in ("centres", "clinics", "people", "teams", "rosters", "policies")}
    if as_json:
        told = {"file": str(file), "version": directory.version, **holds, "problems": [], "remarks": as_documents(remarks)}
        print(json.dumps(told, ensure_ascii=False))
        return
    say_remarks(file, remarks)
    listed = ", ".join(f"{each} {count}" for each, count in holds.items())
    out.print(f"[green]{plain(file)}: version {plain(directory.version)}, nothing wrong: {listed}[/]", highlight=False, soft_wrap=True)


# `load` belongs here: it takes what `checked_directory_file` returns, within `refusing`.


@contextmanager
def refusing(file: Path, *, as_json: bool = False) -> Iterator[None]:
    """End with status 1 where a directory is refused: its mistakes are what was asked for, and go to stdout."""
    part = _part()
    try:
        yield
    except part.DirectoryRefused as refused:
        if as_json:
            print(json.dumps({"file": str(file), "problems": as_documents(refused.problems)}, ensure_ascii=False))
        else:
            _print(refused)
        raise typer.Exit(REFUSED) from None
    except part.ConfigurationError as error:
        if as_json:
            print(json.dumps({"file": str(file), "error": str(error)}, ensure_ascii=False))
        _refuse(str(error))


def as_documents(found: Iterable[Any]) -> list[dict[str, Any]]:
    return [{"line": each.line, "where": each.where, "what": each.what} for each in found]


def say_remarks(file: Path, remarks: Iterable[Any]) -> None:
    """Say what is hardly meant, a line each that an editor can follow."""
    for each in remarks:
        talk.print(plain(f"{file}:{each.line}: {each.where}: {each.what}"), style="yellow", highlight=False, soft_wrap=True)


def _print(refused: Any) -> None:
    """A table for people; where nobody looks, a line each that an editor can follow."""
    if not out.is_terminal:
        out.print(plain(refused), highlight=False, soft_wrap=True)
        return
    table = Table("line", "where", "what", title=plain(refused.path), title_justify="left")
    for each in refused.problems:
        table.add_row(str(each.line), plain(each.where), plain(each.what))
    out.print(table)


def _part() -> Any:
    """Return what reads the file; it is imported only here, for a clinic's PC has not what it is made of."""
    try:
        return importlib.import_module("services.program.directory_file")
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in {"services", "contracts"}:
            raise
        return _refuse(f"this command needs {error.name}, which is not installed here. Install greenchannel[server].")


def _refuse(sentence: str) -> Any:
    talk.print(f"[bold red]greenchannel:[/] {plain(sentence)}", highlight=False, soft_wrap=True)
    raise typer.Exit(REFUSED)
