"""Who may do what: a bearer token each, of which only the SHA-256 is kept and travels."""

import hashlib
from enum import StrEnum

from pydantic import Field

from contracts.ids import ClinicId, PersonId, Sha256Hex
from contracts.vocabulary import Event


class Role(StrEnum):
    CLINICIAN = "clinician"  # acts on the cases of their centre
    COORDINATOR = "coordinator"
    OPS = "ops"
    QUALITY = "quality"


class AccountAdded(Event):
    """A person's token, from now on."""

    token_sha256: Sha256Hex
    person_id: PersonId
    roles: tuple[Role, ...] = Field(min_length=1)


class ClinicTokenAdded(Event):
    token_sha256: Sha256Hex
    clinic_id: ClinicId


class TokenRevoked(Event):
    """The token is worth nothing from now on."""

    token_sha256: Sha256Hex


Holder = AccountAdded | ClinicTokenAdded
AccessEvents = AccountAdded | ClinicTokenAdded | TokenRevoked


class Access:
    """The tokens that hold, as their events leave them."""

    def __init__(self) -> None:
        self._holders: dict[Sha256Hex, Holder] = {}

    def hear(self, event: AccessEvents) -> None:
        if isinstance(event, TokenRevoked):
            self._holders.pop(event.token_sha256, None)
        else:
            self._holders[event.token_sha256] = event

    def holder(self, token: str) -> Holder | None:
        """Return whose token this is. Found by its digest: what the time of a lookup could tell is worth nothing of 256 random bits."""
        return self._holders.get(digest_of(token))

    def holders(self) -> tuple[Holder, ...]:
        return tuple(self._holders.values())


def digest_of(token: str) -> Sha256Hex:
    """Return what is stored of a token: SHA-256 is enough for 256 random bits, which no list of passwords holds."""
    return hashlib.sha256(token.encode()).hexdigest()
