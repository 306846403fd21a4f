"""Who may do what: a bearer token each, kept only as its SHA-256."""

import hashlib
import hmac

from pydantic import Field

from contracts.directory import Entry
from contracts.ids import ClinicId, PersonId, Sha256Hex


class ClinicToken(Entry):
    token_sha256: Sha256Hex
    clinic: ClinicId


class PersonToken(Entry):
    token_sha256: Sha256Hex
    person: PersonId


class Access(Entry):
    clinics: tuple[ClinicToken, ...] = ()
    people: tuple[PersonToken, ...] = Field(default=())

    def holder(self, token: str) -> ClinicToken | PersonToken | None:
        """Return whose token this is. Every entry is compared, in constant time, so that the time taken tells nothing."""
        digest = digest_of(token)
        found: ClinicToken | PersonToken | None = None
        entries: tuple[ClinicToken | PersonToken, ...] = (*self.clinics, *self.people)
        for entry in entries:
            if hmac.compare_digest(entry.token_sha256, digest):
                found = entry
        return found


def digest_of(token: str) -> Sha256Hex:
    """Return what is stored of a token: SHA-256 is enough for 256 random bits, which no list of passwords holds."""
    return hashlib.sha256(token.encode()).hexdigest()
