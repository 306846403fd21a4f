"""How the commands that write the directory and the accounts begin and end: with the part that reaches Kafka, and a sentence where it cannot."""

import asyncio
import importlib
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Never, TypeVar

import typer
from rich.console import Console

from services.program.server import Refused
from services.program.show import plain
from services.program.terminal import print_line, say_waiting
from services.program.waiting_told import told_while

REFUSED, USAGE = 1, 2
ANSWERS_WITHIN_S = 40.0  # what is asked of Kafka in one go: to read twice, for 10 s each, and to write, for 15 s and 3 s

DataOption = Annotated[Path | None, typer.Option("--data", help="The server's data folder; else GREENCHANNEL_KAFKA.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document a line on stdout.")]

talk = Console(stderr=True)

T = TypeVar("T")


@contextmanager
def reaching_kafka(*, as_json: bool = False) -> Iterator[Any]:
    """Give services.program.loading, which a small install lacks; end with status 1 and the sentence of what is refused."""
    try:
        loading = importlib.import_module("services.program.loading")
        with loading.on_a_terminal():
            yield loading
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in {"services", "contracts"}:
            raise
        end(f"this command needs {error.name}, which is not installed here. Install greenchannel[server].")
    except Refused as refused:
        if as_json:
            print_line({"error": str(refused)})
        end(str(refused))


def done(work: Awaitable[T], at_most_s: float = ANSWERS_WITHIN_S) -> T:
    """Return what comes of it; while Kafka does not answer, that is said."""
    return asyncio.run(told_while(work, "Kafka", at_most_s, say_waiting))


def end(sentence: str, status: int = REFUSED) -> Never:
    talk.print(f"[bold red]greenchannel:[/] {plain(sentence)}", highlight=False, soft_wrap=True)
    raise typer.Exit(status)
