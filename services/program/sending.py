"""What `greenchannel upload` does: sends recordings and says what became of each."""

import asyncio
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from services.edge.recordings import NotARecording, Recording, recordings_of
from services.edge.uploader import Accepted, Facts, NotSent, OnSettled, Waiting, connected, upload_all
from services.program.server import Address
from services.program.show import plain

MANY = 3  # from here on a bar is worth its line
NAMED_AT_MOST = 5


def send(files: Sequence[Path], server: Address, facts: Facts, *, as_json: bool, talk: Console) -> bool:
    """Send each recording, print a line for each (as JSON: in their order), and return whether all were accepted. What is no recording holds up
    no other; at the end it is said what was not accepted."""
    found = recordings_of(files)
    recordings = [each for each in found if isinstance(each, Recording)]
    outcomes: list[Accepted | NotSent] = [NotSent(Recording(each.named, ()), each.wrong, 0, 0) for each in found if isinstance(each, NotARecording)]
    tell = _telling_in_order([each.named for each in found]) if as_json else partial(_tell, talk)
    for outcome in outcomes:
        tell(outcome)
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=talk, transient=True, disable=len(recordings) < MANY) as bar:
        task = bar.add_task("", total=len(recordings))

        def settled(outcome: Accepted | NotSent) -> None:
            outcomes.append(outcome)
            bar.advance(task)
            tell(outcome)

        def waiting(told: Waiting) -> None:
            _say_waiting(told, bar, task, talk)

        async def all_of_them() -> None:
            async with connected(server.url, server.token) as client:
                await upload_all(client, recordings, facts, on_waiting=waiting, on_settled=settled)

        asyncio.run(all_of_them())
    if not_sent := _not_sent(outcomes, [each.named for each in found], routine=facts.routine):
        talk.print(f"[bold red]{plain(not_sent)}[/]", highlight=False, soft_wrap=True)
    return not not_sent


def _telling_in_order(paths: Sequence[Path]) -> OnSettled:
    """Return what prints each outcome as JSON as soon as those of all files before it are printed."""
    known, left = dict[Path, str](), list(paths)

    def tell(outcome: Accepted | NotSent) -> None:
        known[outcome.recording.named] = _json_line(outcome)
        while left and left[0] in known:
            print(known[left.pop(0)], flush=True)

    return tell


def _not_sent(outcomes: Sequence[Accepted | NotSent], paths: Sequence[Path], *, routine: bool) -> str:
    """Return what the centre may not have got and what is to be done about it; "" where it has all."""
    failed = {outcome.recording.named for outcome in outcomes if isinstance(outcome, NotSent)}
    if not failed:
        return ""
    names = [path.name for path in paths if path in failed]
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    which = f"NOT SENT: {', '.join(names[:NAMED_AT_MOST])}{more}."
    if routine:
        return f"{which} Mend what is said above, and send again later."
    number = next((outcome.standing_number for outcome in outcomes if outcome.standing_number), None)
    whom = f"the centre by telephone, {number}," if number else "the centre by telephone"
    return f"{which} Do not count on anybody being called for it: tell {whom} of the patient, and send it again."


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


def _tell(talk: Console, outcome: Accepted | NotSent) -> None:
    if isinstance(outcome, NotSent):
        talk.print(f"[bold red]not sent[/] {plain(outcome)}", highlight=False)
        return
    print(outcome.upload_id, flush=True)
    talk.print(f"  accepted: {plain(outcome.recording.named)} ({outcome.lane}). The centre's number: {outcome.standing_number}", highlight=False)
    if outcome.unknown_facts:
        talk.print(f"  taken as unknown: {', '.join(outcome.unknown_facts)}", style="yellow", highlight=False)
