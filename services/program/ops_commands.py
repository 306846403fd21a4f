"""The commands for ops."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from services.program.terminal import REFUSED, JsonOption, print_line, refusing, say_waiting, talk

app = typer.Typer(help="For who keeps it running.", no_args_is_help=True)
SHOWN_AT_MOST = 3

T = TypeVar("T")

DataOption = Annotated[Path | None, typer.Option("--data", help="The server's data folder; else GREENCHANNEL_KAFKA and GREENCHANNEL_REDIS.")]


@app.callback()
def ops() -> None:
    """For who keeps it running."""


@app.command(epilog="Example:  [bold]greenchannel ops rebuild --check --data greenchannel-data[/]")
def rebuild(
    check: Annotated[bool, typer.Option("--check", help="Only compare: change nothing; 1 where a case differs.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rebuild what Redis holds of cases from the log; the running cases service does it, and decides nothing meanwhile."""
    with refusing(as_json=as_json):
        from services.program import loading, rebuilding  # noqa: PLC0415 - a clinic's PC has none of what they need

        stores = rebuilding.stores_of(data)
        if not check:
            with loading.quiet():
                cleared = _with_bar("folding, in buckets", lambda progress: rebuilding.rebuild(stores, progress, say_waiting))
            talk.print(f"rebuilt: {cleared:,} keys were cleared, and the log was folded")
            if as_json:
                print_line({"cleared": cleared})
            return
        with loading.quiet():
            found = _with_bar("reading the log, in events", lambda progress: rebuilding.check(stores, progress, say_waiting))
    if as_json:
        of_both = {"cases": found.cases, "different": list(found.differing), "unknown_to_the_log": list(found.unknown_to_the_log)}
        print_line(of_both)
    else:
        _tell(found)
    if found.differing or found.unknown_to_the_log:
        raise typer.Exit(REFUSED)


def _tell(found: Any) -> None:
    print(f"cases: {found.cases}, equal: {found.cases - len(found.differing)}, different: {len(found.differing)}")
    for case_id in found.differing[:SHOWN_AT_MOST]:
        print(f"case {case_id}\n  log:   {found.log[case_id].decode()}\n  redis: {found.store[case_id].decode()}")
    if found.unknown_to_the_log:
        print(f"in redis and not in the log: {' '.join(found.unknown_to_the_log[:SHOWN_AT_MOST])}")


def _with_bar(what: str, work: Callable[[Callable[[int, int], None]], Awaitable[T]]) -> T:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=talk, transient=True) as bar:
        task = bar.add_task(what, total=None)

        async def done() -> T:
            return await work(lambda count, of: bar.update(task, completed=count, total=of))

        return asyncio.run(done())
