"""How a decision waits for the log, and what the store tells of a case."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from contracts.envelope import Record
from contracts.ids import CaseId, PatientKey, UploadId
from services.cases.state import Case


@dataclass(frozen=True)
class Route:
    """How a message finds its case: by the case's own id, or by the upload, the patient, and else a case of its own."""

    patient_key: PatientKey
    upload_id: UploadId | None = None
    case_id: CaseId | None = None
    fresh: CaseId | None = None


@dataclass(frozen=True)
class Entry:
    """One decision on its way to Kafka: its records are one batch."""

    case_id: CaseId
    raw: bytes

    @property
    def cause(self) -> str:
        """The message that it is about."""
        return self._header("ce_causationid")

    @property
    def recorded(self) -> str:
        """When it was made: of two decisions about one message it tells which this is."""
        return self._header("ce_recordedtime")

    def _header(self, name: str) -> str:
        """Return a header of the first record; that stands before all that is not headers, and neither name nor value has anything to escape."""
        start = self.raw.index(f'["{name}","'.encode()) + len(name) + 5
        return self.raw[start : self.raw.index(b'"', start)].decode()

    @property
    def records(self) -> list[Record]:
        held = json.loads(self.raw)
        return [
            Record(key=held["key"], headers=tuple((name, text.encode()) for name, text in record["headers"]), value=record["value"].encode())
            for record in held["records"]
        ]


def entry(case_id: CaseId, records: Sequence[Record]) -> Entry:
    """Return the outbox entry of a decision."""
    held = {
        "key": records[0].key,
        "records": [{"headers": [[name, value.decode()] for name, value in record.headers], "value": record.value.decode()} for record in records],
    }
    return Entry(case_id, json.dumps(held, ensure_ascii=False, separators=(",", ":")).encode())


@dataclass(frozen=True)
class Loaded:
    case: Case
    handled: bool
    outbox: tuple[Entry, ...]
    begun: int  # how often this message was begun, this time included; 0 where no beginning was named


@dataclass(frozen=True)
class Claimed:
    """What a bucket asks for: timers that are due, leased to the caller, and cases whose outbox was left behind."""

    bucket: int
    due: tuple[tuple[CaseId, str], ...]
    left_behind: tuple[CaseId, ...]
