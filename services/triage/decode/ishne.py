"""ISHNE 1.0, the Holter standard (Badilini 1998), where a cart writes its resting recording so.

Tried on files that the tests write after the paper from real recordings, their checksum in either byte order. Untried, for want of files from carts:
what a writer puts into the fields that the paper leaves open. The samples' number must be that of the header, per lead or of all leads together;
a file of hours is refused, and so is one whose header does not have the checksum that it states: its scale could be anybody's."""

import numpy as np
from ecgdatakit.parsing.parsers.ishne_holter import ISHNEHolterParser

from services.triage.decode.library import DAMAGED, parse, refuse_too_large
from services.triage.decode.recorded import recording_of
from services.triage.recording import Recording, Undecodable

_MAGIC = b"ISHNE1.0"
_FAULT = -32768  # the paper's "no signal"; the library leaves it in as a voltage


def is_ishne(content: bytes) -> bool:
    return content.startswith(_MAGIC)


def decode_ishne(content: bytes) -> Recording:
    """Raises Undecodable. The comment block is dropped: it is free text, and may name anybody."""
    refuse_too_large(len(content))
    record = parse(ISHNEHolterParser, content)
    found = record.raw_metadata
    if found["checksum_valid"] is False:
        raise Undecodable("undecodable", DAMAGED, "checksum")
    if found["samples_per_lead"] < found["ecg_size"] != found["samples_per_lead"] * len(record.leads):
        raise Undecodable("undecodable", DAMAGED, "samples missing")
    for lead in record.leads:
        lead.samples = np.where(lead.samples == _FAULT, np.nan, lead.samples)
    return recording_of(record, "ISHNE")
