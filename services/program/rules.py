"""`greenchannel rules`: what the rulebook holds, and whether an edited one may be used."""

import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from services.program.show import STYLES, out, plain

app = typer.Typer(help="The rules that recordings are judged by.", no_args_is_help=True)
talk = Console(stderr=True)
REFUSED = 1

ProfileOption = Annotated[Path | None, typer.Option("--profile", help="A region's thresholds and priorities, laid over the rulebook.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document a line on stdout.")]


@app.command("list", epilog="Example:  [bold]greenchannel rules list[/]")
def list_rules(profile: ProfileOption = None, as_json: JsonOption = False) -> None:
    """Every rule with its priority, and whether a clinician has signed it."""
    with _told():
        book = _loaded(None, profile)
    if as_json:
        for name, rule in book.text.rules.items():
            kept = rule.model_dump(mode="json", include={"version", "priority", "title", "category", "review", "source"})
            print(json.dumps({"rule": name, **kept}, ensure_ascii=False))
        return
    table = Table("rule", "version", "priority", "what", "review", title=plain(f"{book.id} {book.version}"), title_justify="left")
    for name, rule in book.text.rules.items():
        table.add_row(
            name, rule.version, Text(rule.priority, style=STYLES[rule.priority]), f"{plain(rule.title.en)}\n{plain(rule.title.zh)}", rule.review
        )
    out.print(table)


@app.command("show", epilog="Example:  [bold]greenchannel rules show stemi[/]")
def show_rule(name: Annotated[str, typer.Argument(metavar="RULE")], profile: ProfileOption = None, as_json: JsonOption = False) -> None:
    """One rule, with the thresholds, definitions and gates that it rests on."""
    with _told():
        book = _loaded(None, profile)
    if name not in book.text.rules:
        _refuse(f"there is no rule {name}: {', '.join(book.text.rules)}")
    told = _explained(book, name)
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
    else:
        _print(told)


@app.command("check", epilog="Example:  [bold]greenchannel rules check edited.yaml[/]")
def check(
    file: Annotated[Path | None, typer.Argument(help="A rulebook; without it the one that is shipped.")] = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a rulebook: its form, every expression's types, and all its examples. Status 1, with line and column, where something is wrong."""
    with _told(as_json=as_json):
        book = _loaded(file, profile)
    examples = sum(len(rule.examples) for rule in book.text.rules.values())
    told = {"rulebook": book.id, "version": book.version, "rules": len(book.text.rules), "examples": examples, "problems": []}
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
    else:
        out.print(f"{plain(book.id)} {plain(book.version)}: {len(book.text.rules)} rules, all {examples} examples hold", highlight=False)


def _loaded(file: Path | None, profile: Path | None) -> Any:
    """Return a rulebook; what it is made of is imported only here, for a clinic's PC has it not."""
    part = _part()
    return part.load(part.SHIPPED if file is None else file, profile)


def _part() -> Any:
    try:
        return importlib.import_module("services.triage.rulebook")
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in {"services", "contracts"}:
            raise
        return _refuse(f"this command needs {error.name}, which is not installed here. Install greenchannel[reading].")


@contextmanager
def _told(*, as_json: bool = False) -> Iterator[None]:
    """End with status 1 where a rulebook is refused, each problem on a line: it is what was asked for, and goes to stdout."""
    try:
        yield
    except _part().RulebookInvalid as invalid:
        if as_json:
            problems = [{"line": each.line, "column": each.column, "text": each.text} for each in invalid.problems]
            print(json.dumps({"file": invalid.path, "problems": problems}, ensure_ascii=False))
        else:
            out.print(plain(invalid), highlight=False, soft_wrap=True)
        raise typer.Exit(REFUSED) from None


def _refuse(sentence: str) -> Any:
    talk.print(f"[bold red]greenchannel:[/] {plain(sentence)}", highlight=False, soft_wrap=True)
    raise typer.Exit(REFUSED)


def _explained(book: Any, name: str) -> dict[str, Any]:
    """Return a rule with everything that it rests on, by name."""
    rule, words = book.text.rules[name], book.rests_on(name)
    return {
        "rule": name,
        "rulebook": book.id,
        "rulebook_version": book.version,
        **rule.model_dump(mode="json"),
        "definitions": {word: text for word, text in book.text.let.items() if word in words},
        "gates": {gate: each.model_dump(mode="json") for gate, each in book.text.gates.items() if gate in words},
        "thresholds": {each: held.model_dump(mode="json", exclude_defaults=True) for each, held in book.text.thresholds.items() if each in words},
    }


def _print(told: dict[str, Any]) -> None:
    out.print(Text(f" {told['priority'].upper()} ", style=STYLES[told["priority"]]), Text(f"{told['rule']} {told['version']}", style="bold"))
    out.print(
        f"  {plain(told['title']['en'])}  {plain(told['title']['zh'])}\n  [dim]{plain(told['source'])}; review: {told['review']}[/]", highlight=False
    )
    expressions = [(key, told[key]) for key in ("each", "over") if told[key]]
    expressions += [*told["let"].items(), ("when", told["when"])]
    _expressions("judges", expressions)
    _expressions("where", list(told["definitions"].items()))
    _expressions("gates", [(gate, f"{each['why']}\n{each['when']}") for gate, each in told["gates"].items()])
    for key in ("unless", "supersedes", "needs"):
        if told[key]:
            out.print(f"[bold]{key}[/] {plain(', '.join(told[key]))}", highlight=False)
    table = Table("threshold", "value", "for", title="thresholds", title_justify="left")
    for name, held in told["thresholds"].items():
        for row in held.get("rows", [held]):
            whom = ", ".join(row[key] for key in ("where", "who") if row.get(key)) or row.get("sex", "")
            table.add_row(name, f"{row['value']:g}", plain(whom or held.get("why", "")))
    out.print(table)


def _expressions(title: str, named: list[tuple[str, str]]) -> None:
    if named:
        out.print(f"[bold]{title}[/]")
    for name, text in named:
        out.print(Padding(Text(f"{name}: {text.strip()}"), (0, 0, 0, 2)))
