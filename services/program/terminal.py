"""What the commands share with the terminal: data on stdout, talk on stderr, a refusal is a sentence and status 1."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from services.program import show
from services.program.server import Refused

REFUSED, USAGE = 1, 2
ServerDataOption = Annotated[Path | None, typer.Option("--data", help="The server's data folder; else GREENCHANNEL_URL and GREENCHANNEL_TOKEN.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document a line on stdout.")]

talk = Console(stderr=True)


@contextmanager
def refusing() -> Iterator[None]:
    """End with status 1 and the sentence of an error of ours; a stranger's error keeps its traceback."""
    try:
        yield
    except Refused as refused:
        talk.print(f"[bold red]greenchannel:[/] {show.plain(refused)}", highlight=False, soft_wrap=True)
        raise typer.Exit(REFUSED) from None


def print_line(told: dict[str, Any]) -> None:
    print(json.dumps(told, ensure_ascii=False), flush=True)
