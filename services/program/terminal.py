"""What the commands share with the terminal: data on stdout, talk on stderr, a refusal is a sentence and status 1.

With --json a refusal is a document on stdout too: who reads it gets one in any case."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from services.program import show
from services.program.server import Refused
from services.runtime.harmless import harmless

REFUSED, USAGE, NOT_KNOWN = 1, 2, 3
ServerDataOption = Annotated[Path | None, typer.Option("--data", help="The server's data folder; else GREENCHANNEL_URL and GREENCHANNEL_TOKEN.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document a line on stdout.")]

talk = Console(stderr=True)


@contextmanager
def refusing(*, as_json: bool = False) -> Iterator[None]:
    """End with status 1 and the sentence of an error of ours; a stranger's error keeps its traceback."""
    try:
        yield
    except Refused as refused:
        complain(str(refused))
        if as_json:
            print_line({"error": str(refused), "status": refused.status})
        raise typer.Exit(REFUSED) from None


def complain(sentence: str) -> None:
    talk.print(f"[bold red]greenchannel:[/] {show.plain(sentence)}", highlight=False, soft_wrap=True)


def say_waiting(sentence: str) -> None:
    talk.print(f"{show.plain(sentence)}.", style="yellow", highlight=False, soft_wrap=True)


def not_empty(text: str | None) -> str | None:
    """Return a text that is given on the command line; a usage error where it says nothing."""
    if text is not None and not text.strip():
        raise typer.BadParameter("it is empty: say something")
    return text


def print_line(told: dict[str, Any]) -> None:
    """Print a document as one line; what would act on the terminal, or end the line for some, is escaped too, and is the same JSON."""
    print("".join(each if harmless(each) else json.dumps(each)[1:-1] for each in json.dumps(told, ensure_ascii=False)), flush=True)
