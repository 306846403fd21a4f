"""The commands for ops."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from services.program import show
from services.program.server import Refused
from services.runtime.errors import ConfigurationError

app = typer.Typer(help="For who keeps it running.", no_args_is_help=True)
talk = Console(stderr=True)
REFUSED = 1
SHOWN_AT_MOST = 3

T = TypeVar("T")

DataOption = Annotated[
    Path | None, typer.Option("--data", help="The server's data folder; else what the environment names (GREENCHANNEL_KAFKA ...).")
]


@app.callback()
def ops() -> None:
    """For who keeps it running."""


@app.command(epilog="Example:  [bold]greenchannel ops rebuild --check --data greenchannel-data[/]")
def rebuild(
    check: Annotated[bool, typer.Option("--check", help="Only compare: change nothing; 1 where a case differs.")] = False,
    data: DataOption = None,
) -> None:
    """Rebuild what Redis holds of cases from the log; the running cases service does it, and decides nothing meanwhile."""
    with _refusing():
        from services.program import rebuilding  # noqa: PLC0415 - a clinic's PC has none of what it needs

        stores = rebuilding.stores_of(data)
        if not check:
            cleared = _with_bar("folding, in buckets", lambda progress: rebuilding.rebuild(stores, progress))
            talk.print(f"rebuilt: {cleared:,} keys were cleared, and the log was folded")
            return
        found = _with_bar("reading the log, in events", lambda progress: rebuilding.check(stores, progress))
    print(f"cases: {found.cases}, equal: {found.cases - len(found.differing)}, different: {len(found.differing)}")
    for case_id in found.differing[:SHOWN_AT_MOST]:
        print(f"case {case_id}\n  log:   {found.log[case_id].decode()}\n  redis: {found.store[case_id].decode()}")
    if found.unknown_to_the_log:
        print(f"in redis and not in the log: {' '.join(found.unknown_to_the_log[:SHOWN_AT_MOST])}")
    if found.differing or found.unknown_to_the_log:
        raise typer.Exit(REFUSED)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (Refused, ConfigurationError) as refused:
        talk.print(f"[bold red]greenchannel:[/] {show.plain(refused)}", highlight=False, soft_wrap=True)
        raise typer.Exit(REFUSED) from None


def _with_bar(what: str, work: Callable[[Callable[[int, int], None]], Awaitable[T]]) -> T:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=talk, transient=True) as bar:
        task = bar.add_task(what, total=None)

        async def done() -> T:
            return await work(lambda count, of: bar.update(task, completed=count, total=of))

        return asyncio.run(done())
