"""`greenchannel access`: tokens given to people and clinics, and taken. A token is shown once; what travels and stays is its SHA-256."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from contracts.access import Access, AccessEvents, AccountAdded, Role
from services.program import accounts
from services.program.reaching_kafka import USAGE, DataOption, JsonOption, done, end, reaching_kafka, talk
from services.program.server import Refused
from services.program.show import out, plain

app = typer.Typer(help="Who may do what: tokens of people and clinics.", no_args_is_help=True)

PersonOption = Annotated[str | None, typer.Option("--person", help="A person's id in the directory.")]
ClinicOption = Annotated[str | None, typer.Option("--clinic", help="A clinic's id in the directory.")]


@app.command(epilog="Example:  [bold]greenchannel access add --person li --role clinician[/]")
def add(
    person: PersonOption = None,
    role: Annotated[list[Role] | None, typer.Option("--role", help="Of a person; may be given several times.")] = None,
    clinic: ClinicOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token for a person or a clinic of the loaded directory, and print it: this once."""
    if (person is None) == (clinic is None) or (person is not None) != bool(role):
        end("name either a person with --person and at least one --role, or a clinic with --clinic", USAGE)
    with reaching_kafka() as loading:
        kafka, at = loading.find_kafka(data), _now()
        done(loading.prepare(kafka), loading.PREPARED_WITHIN_S)
        directory, _ = done(loading.read_loaded(kafka))
        if directory is None:
            raise Refused("No directory is loaded yet, so nobody is known: `greenchannel directory load FILE` first.")
        event: AccessEvents
        if person is not None:
            token, event = accounts.new_account(directory, person, role or (), at)
        else:
            token, event = accounts.new_clinic_token(directory, str(clinic), at)
        done(loading.publish_access(kafka, [event]))
    print(json.dumps({"token": token} | accounts.described(event), ensure_ascii=False) if as_json else token, flush=True)
    talk.print(f"token of {plain(person or clinic)} added, SHA-256 {event.token_sha256[:12]}; it is not shown again", highlight=False)


@app.command(epilog="Example:  [bold]greenchannel access revoke 3fb1c2d4[/]")
def revoke(
    token_sha256: Annotated[str | None, typer.Argument(help="How the token's SHA-256 begins.")] = None,
    person: PersonOption = None,
    clinic: ClinicOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a token, or every token of a person or a clinic: from then on it is worth nothing."""
    if sum(each is not None for each in (token_sha256, person, clinic)) != 1:
        end("name one of a token's SHA-256, --person and --clinic", USAGE)
    with reaching_kafka() as loading:
        kafka, at = loading.find_kafka(data), _now()
        done(loading.prepare(kafka), loading.PREPARED_WITHIN_S)
        access = done(loading.read_accounts(kafka)) or Access()
        if token_sha256 is not None:
            events = accounts.revoked_token(access, token_sha256, at)
        else:
            events = accounts.revoked_of(access, str(person or clinic), at, is_clinic=clinic is not None)
        done(loading.publish_access(kafka, events))
    for event in events:
        print(json.dumps({"token_sha256": event.token_sha256, "revoked": True}) if as_json else f"{event.token_sha256} revoked", flush=True)


@app.command("list", epilog="Example:  [bold]greenchannel access list --json[/]")
def list_tokens(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Every token that holds: whose it is and what it may, by the SHA-256 that it is known by."""
    with reaching_kafka() as loading:
        kafka = loading.find_kafka(data)
        done(loading.prepare(kafka), loading.PREPARED_WITHIN_S)
        access = done(loading.read_accounts(kafka)) or Access()
    holders = sorted(access.holders(), key=lambda each: (accounts.name_of(each), each.at))
    if as_json:
        for each in holders:
            print(json.dumps(accounts.described(each), ensure_ascii=False))
        return
    table = Table("token's SHA-256", "whose", "may", "since")
    for each in holders:
        told = accounts.described(each)
        may = ", ".join(role.value for role in each.roles) if isinstance(each, AccountAdded) else "clinic"
        table.add_row(each.token_sha256[:12], plain(accounts.name_of(each)), may, str(told["at"])[:16])
    out.print(table)


def _now() -> datetime:
    return datetime.now(UTC)
