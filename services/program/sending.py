"""What `greenchannel upload` does: sends recordings and says what became of each."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from services.edge.recordings import NotARecording, recordings_of
from services.edge.uploader import Accepted, Facts, NotSent, Waiting, connected, upload_all
from services.program.server import Address, Refused
from services.program.show import plain

MANY = 3  # from here on a bar is worth its line


def send(files: Sequence[Path], server: Address, facts: Facts, *, as_json: bool, talk: Console) -> bool:
    """Send each recording, print a line for each, and return whether all were accepted. Raises Refused for what is no recording."""
    try:
        recordings = recordings_of(files)
    except NotARecording as error:
        raise Refused(str(error)) from None
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=talk, transient=True, disable=len(recordings) < MANY) as bar:
        task = bar.add_task("", total=len(recordings))

        def settled(outcome: Accepted | NotSent) -> None:
            bar.advance(task)
            print(_json_line(outcome), flush=True) if as_json else _tell(outcome, talk)

        def waiting(told: Waiting) -> None:
            _say_waiting(told, bar, task, talk)

        async def all_of_them() -> list[Accepted | NotSent]:
            async with connected(server.url, server.token) as client:
                return await upload_all(client, recordings, facts, on_waiting=waiting, on_settled=settled)

        outcomes = asyncio.run(all_of_them())
    return all(isinstance(outcome, Accepted) for outcome in outcomes)


def _say_waiting(told: Waiting, bar: Progress, task: TaskID, talk: Console) -> None:
    if bar.disable:
        talk.print(f"{plain(told.why)} Trying again in {told.wait_s:.1f} s.", style="yellow", highlight=False)
    else:
        bar.update(task, description=f"waiting: {plain(told.why)}")


def _json_line(outcome: Accepted | NotSent) -> str:
    told: dict[str, object] = {"file": str(outcome.recording.named)}
    if isinstance(outcome, Accepted):
        told |= {
            "upload_id": outcome.upload_id,
            "lane": outcome.lane,
            "standing_number": outcome.standing_number,
            "unknown_facts": outcome.unknown_facts,
            "received_at": outcome.received_at,
        }
    else:
        told |= {"upload_id": None, "error": outcome.why, "status": outcome.status}
    return json.dumps(told, ensure_ascii=False)


def _tell(outcome: Accepted | NotSent, talk: Console) -> None:
    if isinstance(outcome, NotSent):
        talk.print(f"[bold red]not sent[/] {plain(outcome)}", highlight=False)
        return
    print(outcome.upload_id, flush=True)
    talk.print(f"  accepted: {plain(outcome.recording.named)} ({outcome.lane}). The centre's number: {outcome.standing_number}", highlight=False)
    if outcome.unknown_facts:
        talk.print(f"  taken as unknown: {', '.join(outcome.unknown_facts)}", style="yellow", highlight=False)
