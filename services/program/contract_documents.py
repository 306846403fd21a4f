"""The contract as documents: a JSON Schema of every event with the kept history of each, and an AsyncAPI document of who sends what where.

`python -m services.program.contract_documents` writes the schemas anew; a change that old or new readers cannot bear is refused."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic.json_schema import models_json_schema

import contracts
from contracts.compatibility import Schema, breaks_with_kept
from contracts.envelope import Envelope
from contracts.topics import TOPICS, Topic, dead_letter_topic
from contracts.vocabulary import Frozen
from services.runtime.service import Plan

SCHEMAS = Path(contracts.__file__).parent / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_WORDS = ("$id", "description", "title")  # what a schema says to people: another wording is not another version

Document = dict[str, Any]


@dataclass(frozen=True)
class Update:
    """What the tree of schemas lacks: the files that differ from the models, those that are too many, and what cannot be borne."""

    write: Mapping[Path, str]
    remove: tuple[Path, ...]
    refused: tuple[str, ...]


def events() -> dict[str, type[Frozen]]:
    """Return every event class by the name that it has in an envelope, and the envelope."""
    found: dict[str, type[Frozen]] = {Envelope.__name__: Envelope}
    for event in (event for topic in TOPICS for event in topic.events):
        if found.setdefault(event.__name__, event) is not event:
            raise ValueError(f"two events are called {event.__name__}: an envelope could not tell them apart")
    return found


def schema_of(event: type[Frozen], number: int) -> Document:
    """Return an event's JSON Schema as its version of that number: what a reader of it takes."""
    name = event.__name__
    return {"$schema": DIALECT, "$id": f"urn:greenchannel:schema:{name}:{number}", **event.model_json_schema(mode="validation")}


def kept_schemas(folder: Path, name: str) -> dict[int, Document]:
    """Return the kept versions of an event's schema, by number."""
    return {int(path.stem): json.loads(path.read_text(encoding="utf-8")) for path in (folder / "history" / name).glob("*.json")}


def update_of(folder: Path, models: Mapping[str, type[Frozen]]) -> Update:
    """Return what is to be done so that the folder says what the models say. A new version is one that admits something else than the newest kept."""
    write: dict[Path, str] = {}
    refused: list[str] = []
    for name, event in models.items():
        kept = kept_schemas(folder, name)
        newest = max(kept, default=0)
        same = newest > 0 and _meaning(kept[newest]) == _meaning(schema_of(event, newest))
        schema = schema_of(event, newest if same else newest + 1)
        refused += breaks_with_kept(kept, schema)
        write[folder / "current" / f"{name}.json"] = _text(schema)
        if not same:
            write[folder / "history" / name / f"{newest + 1}.json"] = _text(schema)
    for path in sorted((folder / "history").glob("*")):
        if path.name not in models:
            refused.append(f"{path.name} is gone, but its events lie in the topics: keep the class, or nobody can read them")
    return Update(
        write={path: text for path, text in write.items() if not path.exists() or path.read_text(encoding="utf-8") != text},
        remove=tuple(path for path in sorted((folder / "current").glob("*")) if path not in write),
        refused=tuple(refused),
    )


def _meaning(schema: Any) -> Any:
    """Return what a schema admits, without its words to people; a field may be called `title`, so names of fields stay."""
    if isinstance(schema, list):
        return [_meaning(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: {name: _meaning(part) for name, part in value.items()} if key in {"properties", "$defs"} else _meaning(value)
        for key, value in schema.items()
        if key not in _WORDS
    }


def _text(document: Schema) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def asyncapi() -> Document:
    """Return the AsyncAPI 3.0 document of the services as they are wired: topics, what lies in them, who sends and who receives it."""
    from services.program.serve import SERVICES  # noqa: PLC0415 - a service that cannot be imported keeps no schema from being written

    plans = [plan for plans in SERVICES.values() for plan in plans]
    models = events()
    _, definitions = models_json_schema([(event, "validation") for event in models.values()], ref_template="#/components/schemas/{model}")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Greenchannel",
            "version": version("greenchannel"),
            "description": "From a township clinic's ECG to a catheter lab that is ready. Messages are CloudEvents 1.0 in binary mode.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {channel["address"]: channel for channel in (_channel(topic) for topic in (*TOPICS, *map(dead_letter_topic, TOPICS)))},
        "operations": dict(operation for plan in plans for operation in _operations(plan)),  # a plan may run in several programs: once is enough
        "components": {
            "messages": {name: _message(name, event) for name, event in models.items() if event is not Envelope},
            "schemas": {**definitions["$defs"], "Headers": _headers(definitions["$defs"][Envelope.__name__])},
        },
    }


def _channel(topic: Topic) -> Document:
    settings = topic.config()
    lies_here = {event.__name__: {"$ref": f"#/components/messages/{event.__name__}"} for event in topic.events}
    return {
        "address": topic.name,
        "description": f"Key: {topic.key}. Kept {'for ever' if topic.kept is None else f'{topic.kept.days} days'}."
        + ("" if topic.events else " Messages as they came, and why they could not be handled in the headers dlq_*."),
        "messages": lies_here,
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": [settings["cleanup.policy"]],
                    "retention.ms": int(settings["retention.ms"]),
                    "retention.bytes": int(settings["retention.bytes"]),
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _message(name: str, event: type[Frozen]) -> Document:
    return {
        "name": name,
        "title": name,
        "summary": (event.__doc__ or name).strip().splitlines()[0],
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/Headers"},
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "bindings": {"kafka": {"key": {"type": "string", "description": "the patient key"}, "bindingVersion": "0.5.0"}},
    }


def _headers(envelope: Schema) -> Document:
    """Return the schema of a message's headers: the envelope's attributes, each as text under the name that CloudEvents gives it."""
    attributes: dict[str, Document] = {}
    for name, attribute in envelope["properties"].items():
        given = next((form for form in attribute.get("anyOf", ()) if form.get("type") != "null"), attribute)  # what is not given has no header
        words = {key: attribute[key] for key in ("description",) if key in attribute}
        attributes[f"ce_{name}"] = {**_as_text(given), **words}
    return {
        "type": "object",
        "properties": {"content-type": {"const": "application/json"}, "ce_specversion": {"const": "1.0"}, **attributes},
        "required": ["content-type", "ce_specversion", *(f"ce_{name}" for name in envelope["required"])],
    }


def _as_text(attribute: Schema) -> Document:
    if attribute.get("type") == "integer":
        return {"type": "string", "pattern": "^[1-9][0-9]*$"}
    return {key: value for key, value in attribute.items() if key not in {"title", "default"}}


def _operations(plan: Plan) -> Iterator[tuple[str, Document]]:
    """Yield what a service receives and sends by one of its plans.

    READS and FOLLOWS in its app name what it reads; so do the dead letters that it may write."""
    app = import_module(plan.build.__module__)
    service = app.__name__.split(".")[1]
    received = [("receive", topic) for topic in dict.fromkeys((*getattr(app, "READS", ()), *getattr(app, "FOLLOWS", ()), *plan.dead_letters_of))]
    sent = [("send", topic) for topic in plan.may_write()]
    for action, topic in (*received, *sent):
        yield (
            f"{service}.{action}.{topic.name}",
            {
                "action": action,
                "channel": {"$ref": f"#/channels/{topic.name}"},
                "title": f"{service}: {action} {topic.name}",
                "tags": [{"name": service}],
            },
        )


def main(
    check: Annotated[bool, typer.Option("--check", help="Only say what differs; write nothing")] = False,
    asyncapi_to: Annotated[Path | None, typer.Option("--asyncapi", metavar="FILE", help="Write the AsyncAPI document there, and no schema")] = None,
) -> None:
    """Write the schemas that the models make, with a new kept version where one admits something else than before."""
    if asyncapi_to is not None:
        asyncapi_to.write_text(_text(asyncapi()), encoding="utf-8")
        return
    update = update_of(SCHEMAS, events())
    for sentence in update.refused:
        typer.echo(sentence, err=True)
    if update.refused:
        typer.echo("Nothing was written. Add a field with a default, or a new event, instead.", err=True)
        raise typer.Exit(1)
    for path in (*update.write, *update.remove):
        typer.echo(path.relative_to(SCHEMAS))
    if check and (update.write or update.remove):
        typer.echo("These differ from the models: run `make schemas`.", err=True)
        raise typer.Exit(1)
    if not check:
        write(update)


def write(update: Update) -> None:
    """Bring the tree of schemas up to date."""
    for path, text in update.write.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for path in update.remove:
        path.unlink()


if __name__ == "__main__":
    typer.run(main)
