"""`greenchannel case`: the cases of a person's centres, from a terminal, as the person whose token it is."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from contracts.vocabulary import Arrival, Diagnosis, Outcome, Strategy, Treatment
from services.program import show_case
from services.program.clock_times import past_instant
from services.program.server import Listed, NotKnown, Refused, Server, Who, find_server
from services.program.show import plain
from services.program.terminal import NOT_KNOWN, JsonOption, ServerDataOption, complain, not_empty, print_line, refusing, talk
from services.program.typed import typed

LISTED_AT_MOST, ALL_AT_MOST = 50, 10_000
SEARCHED_AT_MOST = 1000  # cases among which a short id is looked for
SHORTEST_PREFIX = 6

app = typer.Typer(
    help="The cases of your centre, from a terminal.",
    epilog="Exit status: 0 done; 1 refused, with the reason; 2 wrong usage; 3 asked, and not known yet whether it was done: look again.",
    no_args_is_help=True,
)

CaseArgument = Annotated[str, typer.Argument(metavar="CASE", help="The case's id, or its first 6 characters or more, where one case has them.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, in a few words; it stays with the case.", callback=not_empty)]
SeenOption = Annotated[
    int | None,
    typer.Option(
        "--seen",
        metavar="N",
        min=1,
        help="What was shown to you: `seen` of `case show`. Without it, what the case was raised for counts as not seen for seconds.",
    ),
]
AtOption = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="When it happened: 14:05 of today by this machine, or 2026-03-01T14:05+08:00; else now.")
]


@app.command("list", epilog="Example:  [bold]greenchannel case list --json | jq .case_id[/]")
def list_cases(
    everything: Annotated[bool, typer.Option("--all", help=f"Not only the newest {LISTED_AT_MOST}.")] = False,
    data: ServerDataOption = None,
    as_json: JsonOption = False,
) -> None:
    """The cases of your centre, the newest first."""
    with refusing(as_json=as_json):
        found = Server(find_server(data, "person")).cases(ALL_AT_MOST if everything else LISTED_AT_MOST)
    for each in found.entries if as_json else ():
        print_line(each)
    if not as_json:
        show_case.cases(found.entries, datetime.now(UTC))
    if found.more:
        how = "" if everything else f": {typed('case', 'list', '--all', data=data)}"
        _note(f"These are the newest {len(found.entries)}; there are more{how}")


@app.command("show", epilog="Example:  [bold]greenchannel case show 3f2a9c[/]")
def show_one(case: CaseArgument, data: ServerDataOption = None, as_json: JsonOption = False) -> None:
    """A case with its clocks, who has it, what was said, and its timeline; each line names its event."""
    with refusing(as_json=as_json):
        server = Server(find_server(data, "person"))
        found = server.case(_case_id(server, case))
    print_line(found) if as_json else show_case.case(found)


@app.command("ack", epilog="Example:  [bold]greenchannel case ack 3f2a9c[/]")
def acknowledge(case: CaseArgument, seen: SeenOption = None, data: ServerDataOption = None, as_json: JsonOption = False) -> None:
    """Take a case in hand: nobody is paged for it any more."""
    _ask(data, as_json, case, "acknowledge", seen=seen)


@app.command(epilog="Example:  [bold]greenchannel case confirm 3f2a9c --diagnosis stemi[/]")
def confirm(
    case: CaseArgument,
    diagnosis: Annotated[Diagnosis, typer.Option("--diagnosis", help="What it is.")],
    seen: SeenOption = None,
    data: ServerDataOption = None,
    as_json: JsonOption = False,
) -> None:
    """It is what it looks like. Takes it in hand too."""
    _ask(data, as_json, case, "confirm", diagnosis=diagnosis, seen=seen)


@app.command("stand-down", epilog="Example:  [bold]greenchannel case stand-down 3f2a9c --reason 'early repolarisation, seen before'[/]")
def stand_down(case: CaseArgument, reason: ReasonOption, seen: SeenOption = None, data: ServerDataOption = None, as_json: JsonOption = False) -> None:
    """It is not what it looks like. Takes it in hand too."""
    _ask(data, as_json, case, "stand_down", reason=reason, seen=seen)


@app.command(epilog="Example:  [bold]greenchannel case say 3f2a9c 'Aspirin 300 mg now, no lysis'[/]")
def say(
    case: CaseArgument,
    text: Annotated[str, typer.Argument(help="At most 400 characters; name no patient.", callback=not_empty)],
    as_clinic: Annotated[bool, typer.Option("--as-clinic", help="With the clinic's token, to the centre; CASE is the whole id then.")] = False,
    data: ServerDataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say something to the clinic, or, as the clinic, to the centre."""
    if as_clinic and not _is_whole(case):
        raise typer.BadParameter(f"{case} is not a whole id: a clinic gives that, and finds it where its upload is told", param_hint="CASE")
    _ask(data, as_json, case, "say", who="clinic" if as_clinic else "person", text=text)


@app.command("take-over", epilog="Example:  [bold]greenchannel case take-over 3f2a9c --reason 'he is in the lab'[/]")
def take_over(case: CaseArgument, reason: ReasonOption, data: ServerDataOption = None, as_json: JsonOption = False) -> None:
    """Take a case from who has it in hand."""
    _ask(data, as_json, case, "take_over", reason=reason)


@app.command("hand-over", epilog="Example:  [bold]greenchannel case hand-over 3f2a9c --to zhang[/]")
def hand_over(
    case: CaseArgument,
    to: Annotated[str | None, typer.Option("--to", metavar="PERSON", help="A person's id.")] = None,
    to_centre: Annotated[str | None, typer.Option("--to-centre", metavar="CENTRE", help="A centre's id.")] = None,
    data: ServerDataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Offer a case to a person or another centre; it is yours until somebody accepts."""
    if (to is None) == (to_centre is None):
        raise typer.BadParameter("name one of --to PERSON and --to-centre CENTRE")
    _ask(data, as_json, case, "offer_hand_over", to_person=to, to_centre=to_centre)


@app.command(epilog="Example:  [bold]greenchannel case accept 3f2a9c[/]")
def accept(case: CaseArgument, data: ServerDataOption = None, as_json: JsonOption = False) -> None:
    """Take the case that was offered to you, or to your centre."""
    _ask(data, as_json, case, "accept_hand_over")


@app.command(epilog="Example:  [bold]greenchannel case decline 3f2a9c --reason 'in the lab until 15:00'[/]")
def decline(case: CaseArgument, reason: ReasonOption, data: ServerDataOption = None, as_json: JsonOption = False) -> None:
    """Refuse the case that was offered."""
    _ask(data, as_json, case, "decline_hand_over", reason=reason)


@app.command(epilog="Example:  [bold]greenchannel case strategy 3f2a9c primary_pci[/]")
def strategy(
    case: CaseArgument,
    chosen: Annotated[Strategy, typer.Argument(metavar="STRATEGY", help="primary_pci, lysis or conservative.")],
    reason: Annotated[str | None, typer.Option("--reason", help="Why, where it is not what the clock proposes.", callback=not_empty)] = None,
    data: ServerDataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose how the patient is treated."""
    _ask(data, as_json, case, "choose_strategy", strategy=chosen, reason=reason)


@app.command(epilog="Example:  [bold]greenchannel case refer 3f2a9c[/]")
def refer(case: CaseArgument, data: ServerDataOption = None, as_json: JsonOption = False) -> None:
    """Accept the referral: your centre takes the patient."""
    _ask(data, as_json, case, "accept_referral")


@app.command(epilog="Example:  [bold]greenchannel case activate 3f2a9c[/]")
def activate(case: CaseArgument, data: ServerDataOption = None, as_json: JsonOption = False) -> None:
    """Activate the catheter lab."""
    _ask(data, as_json, case, "activate_lab")


@app.command("cancel-activation", epilog="Example:  [bold]greenchannel case cancel-activation 3f2a9c --reason 'ST came down'[/]")
def cancel_activation(case: CaseArgument, reason: ReasonOption, data: ServerDataOption = None, as_json: JsonOption = False) -> None:
    """The lab is not needed after all: the clinic is asked for another ECG."""
    _ask(data, as_json, case, "cancel_activation", reason=reason)


@app.command(epilog="Example:  [bold]greenchannel case depart 3f2a9c --at 14:05[/]")
def depart(case: CaseArgument, at: AtOption = None, data: ServerDataOption = None, as_json: JsonOption = False) -> None:
    """The patient left the clinic."""
    _ask(data, as_json, case, "record_departure", happened_at=_instant(at))


@app.command(epilog="Example:  [bold]greenchannel case arrive 3f2a9c lab[/]")
def arrive(
    case: CaseArgument,
    place: Annotated[Arrival, typer.Argument(help="Where the patient was taken.")],
    at: AtOption = None,
    data: ServerDataOption = None,
    as_json: JsonOption = False,
) -> None:
    """The patient arrived."""
    _ask(data, as_json, case, "record_arrival", place=place, happened_at=_instant(at))


@app.command(epilog="Example:  [bold]greenchannel case treat 3f2a9c pci_wire --at 14:29[/]")
def treat(
    case: CaseArgument,
    treatment: Annotated[Treatment, typer.Argument(help="pci_wire: the wire crossed the lesion.")],
    at: AtOption = None,
    data: ServerDataOption = None,
    as_json: JsonOption = False,
) -> None:
    """The patient was treated."""
    _ask(data, as_json, case, "record_treatment", treatment=treatment, happened_at=_instant(at))


@app.command(epilog="Example:  [bold]greenchannel case close 3f2a9c admitted[/]")
def close(
    case: CaseArgument,
    outcome: Annotated[Outcome, typer.Argument(help="How it ended.")],
    data: ServerDataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close a case."""
    _ask(data, as_json, case, "close", outcome=outcome)


@app.command(epilog="Example:  [bold]greenchannel case link 3f2a9c 77b01e[/]")
def link(
    case: CaseArgument,
    other: Annotated[str, typer.Argument(metavar="OTHER", help="The other case's id, or its beginning.")],
    data: ServerDataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Two open cases are one patient; both go on paging until one is closed."""
    with refusing(as_json=as_json):
        server = Server(find_server(data, "person"))
        case_id = _case_id(server, case)
        told = _asked(server, case_id, "link", other_case_id=_case_id(server, other))
    _tell(told, case_id, data, as_json=as_json)


@app.command(epilog="Example:  [bold]greenchannel case readings[/]")
def readings(data: ServerDataOption = None, as_json: JsonOption = False) -> None:
    """What is to be read, the earliest deadline first."""
    with refusing(as_json=as_json):
        found = Server(find_server(data, "person")).readings()
    for each in found.entries if as_json else ():
        print_line(each)
    if not as_json:
        show_case.readings(found.entries, datetime.now(UTC))
    if found.more:
        _note(f"These {len(found.entries)} are due first; there are more, which are listed once these are read.")


@app.command(epilog="Example:  [bold]greenchannel case read 3f2a9c 91c0de[/]")
def read(
    case: CaseArgument,
    upload: Annotated[str, typer.Argument(metavar="UPLOAD", help="The upload's id on the reading list, or its beginning.")],
    data: ServerDataOption = None,
    as_json: JsonOption = False,
) -> None:
    """You have read what stood on the reading list."""
    with refusing(as_json=as_json):
        server = Server(find_server(data, "person"))
        listed = server.readings()
        case_id = _the_one(case, listed, "case_id", "readings")
        upload_id = _the_one(upload, listed, "upload_id", "readings")
        told = _asked(server, case_id, "finish_reading", upload_id=upload_id)
    _tell(told, case_id, data, as_json=as_json)


def _ask(data: Path | None, as_json: bool, case: str, command: str, who: Who = "person", **fields: object) -> None:
    """Ask something of a case and print what came of it; what is None is left out."""
    with refusing(as_json=as_json):
        server = Server(find_server(data, who))
        case_id = _case_id(server, case)
        told = _asked(server, case_id, command, **{name: value for name, value in fields.items() if value is not None})
    _tell(told, case_id, data, as_json=as_json, who=who)


def _asked(server: Server, case_id: str, command: str, **fields: object) -> dict[str, Any]:
    try:
        return server.command(case_id, command, **fields)
    except NotKnown as unknown:
        return {"case_id": case_id, "command_id": None, "outcome": None, "event_id": None, "error": str(unknown)}


def _tell(told: dict[str, Any], case_id: str, data: Path | None, *, as_json: bool, who: Who = "person") -> None:
    """Print what came of a command; status 3 where that is not known: who relies on it must look again."""
    if as_json:
        print_line(told)
    elif told.get("outcome"):
        show_case.outcome(told)
    if not told.get("outcome"):
        why = f"{told['error']} " if told.get("error") else ""
        where = f"with `{typed('case', 'show', case_id, data=data)}`" if who == "person" else "where the upload is told"
        complain(f"{why}Asked, and not known yet whether it was done: look again {where}.")
        raise typer.Exit(NOT_KNOWN)


def _note(sentence: str) -> None:
    talk.print(plain(sentence), style="yellow", highlight=False, soft_wrap=True)


def _case_id(server: Server, given: str) -> str:
    """Return the id that was given whole, or the one among the newest cases that begins so."""
    return given if _is_whole(given) else _the_one(given, server.cases(SEARCHED_AT_MOST), "case_id", "list")


def _the_one(given: str, listed: Listed, name: str, listed_by: str) -> str:
    if _is_whole(given):
        return given
    if len(given) < SHORTEST_PREFIX:
        raise Refused(f"{given} is too short: give {SHORTEST_PREFIX} characters of the id, or more.")
    found = {str(each[name]) for each in listed.entries if str(each[name]).startswith(given.lower())}
    if not found and listed.more:
        raise Refused(f"none of the {len(listed.entries)} that were looked through begin with {given}, and there are more: give the whole id.")
    if len(found) != 1:
        raise Refused(
            f"{len(found) or 'none'} of those listed begin with {given}: `greenchannel case {listed_by}` shows their ids; give more of one."
        )
    return found.pop()


def _is_whole(given: str) -> bool:
    try:
        UUID(given)
    except ValueError:
        return False
    return True


def _instant(at: str | None) -> str | None:
    """Return a time as it is sent: with its offset, this machine's where none was given."""
    if at is None:
        return None
    try:
        return past_instant(at, datetime.now(UTC).astimezone()).isoformat()
    except ValueError:
        raise typer.BadParameter(f"{at} is no time: write 14:05, or 2026-03-01T14:05+08:00", param_hint="--at") from None
