"""The commands. What a clinic's PC needs starts with what a clinic's PC has; a command that needs more says which part is not installed."""

import importlib
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Annotated, Literal

import typer

from contracts.vocabulary import Complaint
from services.edge.uploader import Facts
from services.program import access_commands, case_commands, directory_commands, load_command, ops_commands, own_terminal, rules, sending, show
from services.program.clock_times import past_instant
from services.program.server import DEFAULT_DATA, Refused, find_server
from services.program.terminal import REFUSED, USAGE, JsonOption, ServerDataOption, complain, print_line, refusing, talk

app = typer.Typer(
    name="greenchannel",
    help="From a township clinic's ECG to a catheter lab that is ready.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(case_commands.app, name="case")
ecg = typer.Typer(help="Recordings on paper.", no_args_is_help=True)
app.add_typer(ecg, name="ecg")
app.add_typer(rules.app, name="rules")
app.add_typer(access_commands.app, name="access")
directory_commands.app.command("load", epilog="Example:  [bold]greenchannel directory load directory.yaml[/]")(load_command.load)
app.add_typer(directory_commands.app, name="directory")
app.add_typer(ops_commands.app, name="ops")

DataOption = Annotated[Path, typer.Option("--data", help="Folder that holds everything; the same folder goes on where it was.")]
AgeOption = Annotated[int | None, typer.Option("--age", help="Years.", min=0, max=125)]
PatternName = Literal["normal", "anterior", "inferior", "lateral", "lead-off"]  # as services.ops has them, which a small install lacks
Sex = Literal["M", "F"]
SexOption = Annotated[Sex | None, typer.Option("--sex", case_sensitive=False)]


def _part(module: str, extra: str) -> ModuleType:
    """Return a part of the program that a small install may lack."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in {"services", "contracts"}:
            raise
        raise Refused(f"this command needs {error.name}, which is not installed here. Install greenchannel[{extra}].") from None


def _local(action: Callable[[ModuleType], int]) -> None:
    """Do something with the embedded stack; its errors are sentences."""
    with refusing():
        local = _part("services.program.up", "local")
        errors: tuple[type[Exception], ...] = local.ERRORS
        try:
            status = action(local)
        except errors as error:
            raise Refused(str(error)) from None
    raise typer.Exit(status)


@app.command(epilog="Example:  [bold]greenchannel up --data /srv/greenchannel --port 8080[/]")
def up(
    data: DataOption = DEFAULT_DATA,
    port: Annotated[int | None, typer.Option(help="Port of the API; else the one it had, else a free one.", min=1, max=65535)] = None,
) -> None:
    """Run everything on this machine: Kafka, Valkey and every service. Ctrl-C stops it."""
    _local(lambda local: local.up(data, port))


@app.command(epilog="Example:  [bold]greenchannel stack --data /srv/greenchannel > stack.env[/]")
def stack(data: DataOption = DEFAULT_DATA) -> None:
    """Run only Kafka, Valkey and the blob folder; prints the settings for [bold]serve[/] as environment lines."""
    _local(lambda local: local.stack(data))


@app.command(epilog="Example:  [bold]set -a; . ./stack.env; greenchannel serve cases[/]")
def serve(
    name: Annotated[
        str, typer.Argument(help="gateway, triage-emergency, triage-routine, cases, notify, console; web: gateway and console on one port.")
    ],
) -> None:
    """Run one service against what the environment names (GREENCHANNEL_KAFKA, GREENCHANNEL_REDIS, GREENCHANNEL_BLOBS ...)."""
    with refusing():
        serving = _part("services.program.serve", "server")
        settings = _part("services.runtime.settings", "server")
        errors = _part("services.runtime.errors", "server")
        if name not in serving.SERVICES:
            talk.print(f"[bold red]greenchannel:[/] there is no service {show.plain(name)}: {', '.join(serving.SERVICES)}", highlight=False)
            raise typer.Exit(USAGE)
        try:
            serving.serve(name, serving.SERVICES[name], settings.settings_from_environment(), on_listening=_listening(name))
        except errors.ConfigurationError as error:
            raise Refused(str(error)) from None


def _listening(name: str) -> Callable[[int], None]:
    return lambda port: own_terminal.talk.print(f"{name} listens on port {port}", highlight=False)


@app.command(epilog="Example:  [bold]greenchannel upload anterior.xml --clinic demo-clinic --age 61 --sex M[/]")
def upload(
    files: Annotated[list[Path], typer.Argument(help="Recordings; one of several files (WFDB) is named by its .hea.")],
    clinic: Annotated[str, typer.Option(help="The clinic's id.")],
    age: AgeOption = None,
    sex: SexOption = None,
    patient: Annotated[str | None, typer.Option(help="The number by which the clinic knows the patient; it is stored nowhere.")] = None,
    follows: Annotated[str | None, typer.Option(help="The upload that this one repeats.")] = None,
    first_contact: Annotated[
        str | None,
        typer.Option(help="When the patient first met somebody who treats, 14:05 or 2026-03-01T14:05+08:00; else clocks count from receipt."),
    ] = None,
    complaint: Annotated[Complaint | None, typer.Option(help="Why the patient came.")] = None,
    routine: Annotated[bool, typer.Option("--routine", help="A check-up: not an emergency.")] = False,
    data: ServerDataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send recordings as a clinic does."""
    contact = None if first_contact is None else _first_contact(first_contact)
    with refusing(as_json=as_json):
        facts = Facts(clinic, age, sex, complaint, contact, patient=patient, follows=follows, routine=routine)
        all_sent = sending.send(files, find_server(data, "clinic"), facts, as_json=as_json, talk=talk)
    raise typer.Exit(0 if all_sent else REFUSED)


def _first_contact(typed: str) -> datetime:
    try:
        return past_instant(typed, datetime.now(UTC).astimezone())
    except ValueError:
        raise typer.BadParameter(f"{typed} is no time: write 14:05, or 2026-03-01T14:05+08:00", param_hint="--first-contact") from None


@app.command(epilog="Example:  [bold]greenchannel triage recording.hea --age 61 --sex M --json[/]")
def triage(
    files: Annotated[list[Path], typer.Argument(help="Recordings; one of several files (WFDB) is named by its .hea.")],
    age: AgeOption = None,
    sex: SexOption = None,
    profile: Annotated[str | None, typer.Option(help="The region whose thresholds and priorities are taken.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Read and judge recordings here, with no server. Not a diagnosis: a physician decides."""
    all_read = True
    with refusing(as_json=as_json):
        judging = _part("services.program.judging", "reading")
        for told in judging.judge(files, age_y=age, sex=sex, profile=profile):
            if as_json:
                print_line(told)
            if "error" in told:
                all_read = False
                complain(told["error"])
            elif not as_json:
                show.reading(told)
    raise typer.Exit(0 if all_read else REFUSED)


@app.command(epilog="Example:  [bold]greenchannel synth --pattern anterior --st 0.3 --seed 7 -o anterior.dcm[/]")
def synth(
    output: Annotated[Path, typer.Option("-o", "--output", help="The DICOM file to write.")],
    pattern: Annotated[PatternName, typer.Option(help="What the patient has.")] = "anterior",
    st_mv: Annotated[float | None, typer.Option("--st", help="ST elevation at the J point in the territory's strongest lead, mV.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same patient.")] = 1,
    age: Annotated[int, typer.Option("--age", help="Years.", min=18, max=110)] = 61,
    sex: Annotated[Sex, typer.Option("--sex", case_sensitive=False)] = "M",
) -> None:
    """Make a synthetic patient's 12-lead recording, marked as synthetic, as a DICOM file."""
    with refusing():
        making = _part("services.program.judging", "reading")
        content = making.synthetic(pattern, st_mv=st_mv, seed=seed, age_y=age, sex=sex, made_at=datetime.now(UTC))
        _write(output, content)
        talk.print(f"{output}: {len(content)} bytes, {pattern}, synthetic", highlight=False, soft_wrap=True)


@ecg.command("plot", epilog="Example:  [bold]greenchannel ecg plot recording.hea -o recording.svg --age 61 --sex M[/]")
def ecg_plot(
    file: Annotated[Path, typer.Argument(help="A recording; one of several files (WFDB) is named by its .hea.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The SVG file to write.")],
    layout: Annotated[Literal["3x4", "12x1"], typer.Option(help="3x4 with II below, an A4 page; 12x1, 10 s of each lead, an A3 page.")] = "3x4",
    age: AgeOption = None,
    sex: SexOption = None,
) -> None:
    """Draw a recording on the standard paper, 25 mm/s and 10 mm/mV, with what its findings were made by."""
    with refusing():
        judging = _part("services.program.judging", "reading")
        drawn: str = judging.paper(file, layout=layout, age_y=age, sex=sex)
        _write(output, drawn.encode("utf-8"))
        talk.print(f"{output}: {layout}, print it at 100 %", highlight=False, soft_wrap=True)


def _write(output: Path, content: bytes) -> None:
    try:
        output.write_bytes(content)
    except OSError as error:
        raise Refused(f"{output} cannot be written: {error.strerror}") from None


@app.command(epilog="Example:  [bold]greenchannel demo --once[/]")
def demo(
    data: DataOption = DEFAULT_DATA,
    once: Annotated[bool, typer.Option("--once", help="End by itself, with status 0 only if all came out right.")] = False,
) -> None:
    """Start everything, send three example patients, and watch each on its road to a person."""
    _local(lambda _: int(_part("services.program.demo", "local").demo(data, once=once, talk=talk)))


def main() -> None:
    """The entry point; Ctrl-C ends a command quietly."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
