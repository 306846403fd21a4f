"""The AsyncAPI document comes out of the services as they are wired, and says what DESIGN's table of topics says."""

import json
from pathlib import Path
from typing import Any

import pytest
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema

from contracts.topics import TOPICS
from services.program.contract_documents import asyncapi, events, main
from services.program.serve import SERVICES
from services.runtime.reader import Reader
from tests.contract.conftest import Built

PLANS = {plan.name: plan for plans in SERVICES.values() for plan in plans}

# DESIGN, "The road": who writes a topic, and who reads it.
TABLE = {
    "intake.emergency.v1": ({"gateway"}, {"triage", "console", "cases"}),
    "intake.routine.v1": ({"gateway"}, {"triage", "console"}),
    "assessments.emergency.v1": ({"triage"}, {"cases", "console", "triage"}),
    "assessments.routine.v1": ({"triage"}, {"cases", "console", "triage"}),
    "commands.v1": ({"console", "cases"}, {"cases"}),
    "cases.v1": ({"cases"}, {"notify", "console"}),
    "deliveries.v1": ({"notify"}, {"cases"}),
    "directory.v1": (set(), {"gateway", "cases", "console", "notify"}),  # written by commands, which are no service
    "access.v1": (set(), {"gateway", "console"}),
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return asyncapi()


def resolved(document: dict[str, Any], ref: str) -> Any:
    part: Any = document
    for step in ref.removeprefix("#/").split("/"):
        part = part[step]
    return part


def refs(part: Any) -> list[str]:
    if isinstance(part, dict):
        return [value for key, value in part.items() if key == "$ref"] + [ref for value in part.values() for ref in refs(value)]
    return [ref for value in part for ref in refs(value)] if isinstance(part, list) else []


def receiving(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in document["operations"].values() if each["action"] == "receive"]


def services_that(document: dict[str, Any], action: str, topic: str) -> set[str]:
    operations = document["operations"].values()
    return {each["tags"][0]["name"] for each in operations if each["action"] == action and each["channel"]["$ref"] == f"#/channels/{topic}"}


def test_it_is_an_asyncapi_3_document(document: dict[str, Any]) -> None:
    """Held against a reading of the specification that is not ours: FastStream's."""
    ApplicationSchema.model_validate(document)
    assert document["asyncapi"] == "3.0.0"


def test_everything_that_it_refers_to_is_there(document: dict[str, Any]) -> None:
    found = refs(document)
    assert found
    for ref in found:
        assert ref.startswith("#/")
        assert resolved(document, ref)


def test_every_topic_is_there_with_its_events_and_its_settings(document: dict[str, Any]) -> None:
    channels = document["channels"]
    assert channels.keys() == {topic.name for topic in TOPICS} | {topic.dead_letters for topic in TOPICS}
    for topic in TOPICS:
        channel = channels[topic.name]
        assert channel["address"] == topic.name
        assert channel["messages"].keys() == {event.__name__ for event in topic.events}
        assert channel["bindings"]["kafka"]["partitions"] == topic.partitions
        assert channel["bindings"]["kafka"]["topicConfiguration"]["retention.ms"] == int(topic.config()["retention.ms"])


def test_every_message_has_the_schema_of_its_event_and_the_headers_of_the_envelope(document: dict[str, Any]) -> None:
    for name, event in events().items():
        if name == "Envelope":
            continue
        message = document["components"]["messages"][name]
        payload, headers = resolved(document, message["payload"]["$ref"]), resolved(document, message["headers"]["$ref"])
        assert payload["properties"].keys() == event.model_fields.keys()
        assert {"ce_specversion", "ce_id", "ce_partitionkey", "ce_causationid", "ce_traceparent"} <= headers["properties"].keys()
        assert "ce_traceparent" not in headers["required"]


@pytest.mark.parametrize("topic", [topic.name for topic in TOPICS])
def test_who_writes_and_who_reads_is_what_the_design_says(document: dict[str, Any], topic: str) -> None:
    writers, readers = TABLE[topic]
    assert services_that(document, "send", topic) == writers
    assert services_that(document, "receive", topic) == readers


def test_whoever_reads_may_write_the_dead_letters_and_nobody_else(document: dict[str, Any]) -> None:
    """Of what is followed nothing is put aside: what cannot be read there is left out, and said."""
    for topic in TOPICS:
        if topic.compacted:
            assert services_that(document, "send", topic.dead_letters) == set()
            continue
        assert services_that(document, "send", topic.dead_letters) == services_that(document, "receive", topic.name)


async def test_what_a_service_really_reads_is_what_the_document_says(document: dict[str, Any], built: list[Built]) -> None:
    really = {(each.name, reads.topic.name) for each in built for reads in (*each.service.readers, *each.links.following)}
    said = {(each["tags"][0]["name"], each["channel"]["$ref"].removeprefix("#/channels/")) for each in receiving(document)}
    assert really == said


async def test_how_people_are_reached_is_known_to_notify_alone(built: list[Built]) -> None:
    assert {each.name for each in built if "contacts" in {followed.what for followed in each.links.following}} == {"notify"}


async def test_no_two_readers_of_a_topic_share_a_group(readers: dict[str, list[Reader]]) -> None:
    """Two in one group would each see half of the messages."""
    names = [reader.name for all_of_it in readers.values() for reader in all_of_it]
    assert len(names) == len(set(names)) > 0


def test_it_is_written_where_it_is_asked_for(tmp_path: Path, document: dict[str, Any]) -> None:
    main(asyncapi_to=tmp_path / "asyncapi.json")
    assert json.loads((tmp_path / "asyncapi.json").read_text(encoding="utf-8")) == json.loads(json.dumps(document))
