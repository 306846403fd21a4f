"""What every event promises, whichever it is: frozen, in the past tense, with units, without identity, and the same after its way through Kafka."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import UnionType
from typing import Any, get_args
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from contracts.commands import Command
from contracts.envelope import Envelope, EnvelopeUnreadable, open_envelope, seal
from contracts.ids import UploadId
from contracts.topics import TOPICS, EventUnreadable, Topic, read_event
from contracts.vocabulary import Frozen, Priority
from services.program.contract_documents import SCHEMAS, events, schema_of
from tests.contract.instances import INSTANTS, instances

HOMES = sorted({event.__name__: (topic, event) for topic in TOPICS for event in topic.events}.values(), key=lambda home: home[1].__name__)
EVENTS = [event for _, event in HOMES]
of_every_event = pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
of_every_home = pytest.mark.parametrize(("topic", "event"), HOMES, ids=lambda part: getattr(part, "__name__", ""))

INSTANT = INSTANTS.map(datetime.fromisoformat)
# DESIGN's table of names; the verbs that do not end in -ed, and the states that something was found in
PAST = re.compile(r"(ed|Sent)$")
PAST_TOO = {"ClinicToldToCall", "ReadingDone", "Said", "StoodDown", "StrategyChosen", "TakenOver"}
NOT_PAST = {"NobodyOnCall", "NoticeUnknown", "ReadingOverdue"}
UNIT = re.compile(r"_(s|ms|min|h|y|mv|bpm|hz|bytes|mm)$")
COUNTED = {"round", "step", "since_sequence"}  # a bare number: the first round, the second
UNIT_BESIDE = {"Value.measured", "Value.threshold"}  # in the unit that Value.name ends in
IDENTITY = re.compile(
    r"(^|_)(name|surname|phone|tel|mobile|mail|email|address|birth|birthday|born|id_number|id_card|passport|insurance|mrn|contact)(_|$)"
)
NO_IDENTITY = {"Value.name", "centre_number"}  # a measurement's name; the centre's own telephone
NO_IDENTITY |= {"first_medical_contact_at", "first_contact_at", "contact_to_wire_min", "contact_to_bolus_min"}  # a time, and what counts from it
NO_IDENTITY |= {"Centre.name", "Clinic.name", "Team.name", "Person.name"}  # of those who work here: no patient is in the directory


def parts_of(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield a model and every model that lies in it."""
    yield model
    for field in model.model_fields.values():
        for inner in models_in(field.annotation):
            yield from parts_of(inner)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and not get_args(annotation):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for part in get_args(annotation):
        yield from models_in(part)


def fields_of(event: type[BaseModel]) -> Iterator[tuple[str, str, FieldInfo]]:
    for part in parts_of(event):
        for name, field in part.model_fields.items():
            yield f"{part.__name__}.{name}", name, field


def is_numeric(annotation: Any) -> bool:
    if annotation in (int, float):
        return True
    return isinstance(annotation, UnionType) and any(map(is_numeric, get_args(annotation)))


def built(event: type[Frozen]) -> st.SearchStrategy[Frozen]:
    """Events as any writer could build them: what the schema admits, the model takes."""
    return instances(schema_of(event, 1)).map(lambda value: event.model_validate_json(json.dumps(value)))


def sealed(event: Frozen, **given_too: Any) -> Any:
    some = UUID(int=1)
    at = datetime(2026, 7, 1, 8, 30, tzinfo=UTC)
    whose = {"event_id": some, "source": "cases", "subject": some, "key": "k" * 36, "correlation": some, "causation": some}
    return seal(event, **{**whose, "time": at, "recorded": at, **given_too})


@of_every_event
def test_an_event_cannot_be_changed(event: type[Frozen]) -> None:
    assert all(part.model_config.get("frozen") for part in parts_of(event))
    assert all(field.annotation not in (list, dict, set) for _, _, field in fields_of(event))


@of_every_event
def test_an_event_says_what_happened_and_a_command_what_is_asked(event: type[Frozen]) -> None:
    name = event.__name__
    if issubclass(event, Command):
        assert not PAST.search(name), f"{name}: a command is in the imperative, for it may be refused"
    else:
        assert PAST.search(name) or name in PAST_TOO | NOT_PAST, f"{name}: an event is in the past tense; a verb with another ending is listed here"


@of_every_event
def test_every_number_carries_its_unit(event: type[Frozen]) -> None:
    numbers = [(path, name, field) for path, name, field in fields_of(event) if is_numeric(field.annotation)]
    bare = [path for path, name, field in numbers if not (UNIT.search(name) or field.description or name in COUNTED or path in UNIT_BESIDE)]
    assert bare == [], "a number carries its unit in its name (st_j_mv) or its description"


@of_every_event
def test_no_event_has_a_place_for_who_the_patient_is(event: type[Frozen]) -> None:
    assert [path for path, name, _ in fields_of(event) if IDENTITY.search(name) and not {path, name} & NO_IDENTITY] == []


@of_every_home
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(data=st.data())
def test_an_event_is_the_same_after_its_way(topic: Topic, event: type[Frozen], data: st.DataObject) -> None:
    before = data.draw(built(event))
    given_too = {
        "event_id": data.draw(st.uuids()),
        "correlation": data.draw(st.uuids()),
        "causation": data.draw(st.uuids()),
        "time": data.draw(INSTANT),
        "recorded": data.draw(INSTANT),
        "sequence": data.draw(st.none() | st.integers(1, 10**6)),
        "priority": data.draw(st.none() | st.sampled_from(Priority)),
    }
    record = sealed(before, **given_too)
    envelope = open_envelope(record.headers)
    assert read_event(topic, envelope.type, record.value) == before
    after = {**envelope.model_dump(), "correlation": envelope.correlationid, "causation": envelope.causationid, "recorded": envelope.recordedtime}
    assert {name: after["id" if name == "event_id" else name] for name in given_too} == given_too


@of_every_home
@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(data=st.data())
def test_what_a_later_version_adds_passes_an_old_reader(topic: Topic, event: type[Frozen], data: st.DataObject) -> None:
    before = data.draw(built(event))

    def grown(value: Any, written: Any) -> Any:
        if isinstance(written, list):
            return [grown(*pair) for pair in zip(value, written, strict=True)]
        if not isinstance(written, dict):
            return written
        if isinstance(value, dict):  # people by their ids: another name in it is another person
            return {name: grown(value[name], part) for name, part in written.items()}
        return {"added_later": [1], **{name: grown(getattr(value, name), part) for name, part in written.items()}}

    later = json.dumps(grown(before, json.loads(before.model_dump_json())))
    assert read_event(topic, event.__name__, later.encode()) == before


@of_every_home
def test_an_event_without_a_field_that_it_needs_is_unreadable_and_shows_nothing(topic: Topic, event: type[Frozen]) -> None:
    with pytest.raises(EventUnreadable) as caught:
        read_event(topic, event.__name__, b'{"patient": "Zhang San"}')
    assert "Zhang" not in str(caught.value)
    assert "at" in str(caught.value)


@of_every_event
def test_the_envelope_names_the_newest_kept_schema_of_its_event(event: type[Frozen]) -> None:
    record = sealed(event.model_construct())
    current = json.loads((SCHEMAS / "current" / f"{event.__name__}.json").read_text(encoding="utf-8"))
    assert dict(record.headers)["ce_dataschema"].decode() == current["$id"]


def test_the_headers_are_the_attributes_of_cloudevents_and_the_extensions_of_the_design() -> None:
    record = sealed(EVENTS[0].model_construct(), sequence=3, priority=Priority.RED, traceparent="00-0-0-01")
    of_cloudevents = {"specversion", "id", "type", "source", "subject", "dataschema", "time"}
    extensions = {"partitionkey", "recordedtime", "correlationid", "causationid", "sequence", "priority", "traceparent"}
    headers = dict(record.headers)
    assert headers.keys() == {"content-type", *(f"ce_{name}" for name in of_cloudevents | extensions)}
    assert len(headers) == len(record.headers)
    assert headers["ce_specversion"] == b"1.0"
    assert headers["content-type"] == b"application/json"
    assert headers["ce_source"] == b"/greenchannel/cases"
    assert headers["ce_partitionkey"].decode() == record.key
    assert headers["ce_sequence"] == b"3"
    assert headers["ce_priority"] == b"red"
    assert headers["ce_type"].decode() == EVENTS[0].__name__


def test_what_is_not_known_has_no_header() -> None:
    assert not {"ce_sequence", "ce_priority", "ce_traceparent"} & dict(sealed(EVENTS[0].model_construct()).headers).keys()


def test_an_attribute_that_a_later_version_adds_passes_an_old_reader() -> None:
    record = sealed(EVENTS[0].model_construct())
    assert open_envelope((*record.headers, ("ce_addedlater", b"1"), ("x-other", b"\xff"))) == open_envelope(record.headers)


@pytest.mark.parametrize("name", [f"ce_{name}" for name, field in Envelope.model_fields.items() if field.is_required()])
def test_an_envelope_that_lacks_an_attribute_is_unreadable_and_names_it(name: str) -> None:
    record = sealed(EVENTS[0].model_construct())
    with pytest.raises(EnvelopeUnreadable, match=name.removeprefix("ce_")):
        open_envelope([header for header in record.headers if header[0] != name])


def test_no_two_events_have_one_name() -> None:
    assert len(events()) == len({event for topic in TOPICS for event in topic.events}) + 1


def test_a_time_without_a_zone_is_no_time() -> None:
    with pytest.raises(ValidationError):
        Envelope.model_validate({**open_envelope(sealed(EVENTS[0].model_construct()).headers).model_dump(), "time": datetime(2026, 7, 1)})  # noqa: DTZ001


def test_a_time_is_kept_in_utc_wherever_the_clock_hung() -> None:
    beijing = datetime.fromisoformat("2026-07-01T16:30:00+08:00")
    envelope = open_envelope(sealed(EVENTS[0].model_construct(), time=beijing, correlation=UploadId(UUID(int=2))).headers)
    assert (envelope.time, envelope.time.utcoffset()) == (beijing, timedelta(0))
