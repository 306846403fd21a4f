"""The envelope: CloudEvents 1.0 in its Kafka binding, binary mode. Attributes are headers, the event is the value, as JSON."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import Field, ValidationError

from contracts.ids import EventId, UploadId
from contracts.vocabulary import Frozen, Instant, Priority

Headers = tuple[tuple[str, bytes], ...]
MAX_VALUE_BYTES = 512 * 1024
_CAN_WAIT = {Priority.YELLOW.value.encode(), Priority.GREEN.value.encode()}


class Envelope(Frozen):
    id: EventId
    type: str = Field(max_length=60)
    source: str = Field(description="/greenchannel/<service>", max_length=60)
    subject: str = Field(description="upload id on intake and assessments, case id elsewhere", max_length=60)
    dataschema: str = Field(default="", max_length=120)
    partitionkey: str = Field(description="the Kafka key", max_length=120)
    time: Instant = Field(description="when it happened")
    recordedtime: Instant = Field(description="when the service wrote it")
    correlationid: UploadId = Field(description="the upload that began it all")
    causationid: UUID = Field(description="the message that led to this one")
    sequence: int | None = Field(default=None, ge=1, description="1, 2, 3 ... within a case")
    priority: Priority | None = None
    traceparent: str | None = Field(default=None, max_length=60)


@dataclass(frozen=True)
class Record:
    """An event, sealed: what lies in a topic."""

    key: str
    headers: Headers
    value: bytes


class EnvelopeUnreadable(ValueError):
    """The headers are not an envelope. args: what is wrong with them, without their values."""


def seal(
    event: Frozen,
    *,
    event_id: EventId,
    source: str,
    subject: UUID,
    key: str,
    time: datetime,
    recorded: datetime,
    correlation: UploadId,
    causation: UUID,
    sequence: int | None = None,
    priority: Priority | None = None,
    traceparent: str | None = None,
) -> Record:
    """Return the event in its envelope; its type is the name of its class."""
    kind = type(event).__name__
    envelope = Envelope(
        id=event_id,
        type=kind,
        source=f"/greenchannel/{source}",
        subject=str(subject),
        dataschema=f"urn:greenchannel:schema:{kind}:{event.schema_version}",
        partitionkey=key,
        time=time,
        recordedtime=recorded,
        correlationid=correlation,
        causationid=causation,
        sequence=sequence,
        priority=priority,
        traceparent=traceparent,
    )
    return Record(key=key, headers=_headers(envelope), value=event.model_dump_json().encode())


def _headers(envelope: Envelope) -> Headers:
    attributes = envelope.model_dump(mode="json", exclude_none=True)
    return (
        ("ce_specversion", b"1.0"),
        ("content-type", b"application/json"),
        *((f"ce_{name}", str(value).encode()) for name, value in attributes.items()),
    )


def open_envelope(headers: Iterable[tuple[str, bytes]]) -> Envelope:
    """Return the envelope of a message; EnvelopeUnreadable where it is none."""
    try:
        attributes = {name.removeprefix("ce_"): value.decode() for name, value in headers if name.startswith("ce_")}
        return Envelope.model_validate(attributes)
    except ValidationError as error:
        wrong = ", ".join(sorted({str(part["loc"][0]) for part in error.errors(include_input=False)}))
        raise EnvelopeUnreadable(f"missing or malformed: {wrong}") from None
    except UnicodeDecodeError:
        raise EnvelopeUnreadable("a header is not UTF-8") from None


def header(headers: Iterable[tuple[str, bytes]], name: str) -> bytes | None:
    """Return the first header of that name: what a reader parts messages by before anything is parsed."""
    return next((value for each, value in headers if each == name), None)


def can_wait(headers: Iterable[tuple[str, bytes]]) -> bool:
    """Tell a message that says by its priority that it can wait. Whatever does not say so waits for nobody."""
    return header(headers, "ce_priority") in _CAN_WAIT
