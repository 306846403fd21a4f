"""Tokens given, taken and found again: what `greenchannel access` decides. Pure, but for the randomness of a token."""

import secrets
from collections.abc import Sequence
from datetime import datetime

from contracts.access import Access, AccountAdded, ClinicTokenAdded, Holder, Role, TokenRevoked, digest_of
from contracts.directory import Directory
from contracts.ids import ClinicId, PersonId
from services.program.server import Refused

PREFIX_AT_LEAST = 8


def new_account(directory: Directory, person_id: PersonId, roles: Sequence[Role], at: datetime) -> tuple[str, AccountAdded]:
    """Return a new token of a person and its event; Refused where the loaded directory has no such person."""
    if person_id not in directory.people:
        raise Refused(f"{person_id} is not among the people of the loaded directory ({directory.version}). Add them to its file and load it first.")
    token = secrets.token_urlsafe(32)
    return token, AccountAdded(at=at, token_sha256=digest_of(token), person_id=person_id, roles=tuple(dict.fromkeys(roles)))


def new_clinic_token(directory: Directory, clinic_id: ClinicId, at: datetime) -> tuple[str, ClinicTokenAdded]:
    """Return a new token of a clinic and its event; Refused where the loaded directory has no such clinic."""
    if clinic_id not in directory.clinics:
        raise Refused(f"{clinic_id} is not among the clinics of the loaded directory ({directory.version}). Add it to its file and load it first.")
    token = secrets.token_urlsafe(32)
    return token, ClinicTokenAdded(at=at, token_sha256=digest_of(token), clinic_id=clinic_id)


def revoked_token(access: Access, prefix: str, at: datetime) -> list[TokenRevoked]:
    """Return what takes the one token whose SHA-256 begins so; Refused where that is none, or several."""
    if len(prefix) < PREFIX_AT_LEAST:
        raise Refused(f"Give at least {PREFIX_AT_LEAST} characters of the token's SHA-256: `greenchannel access list` shows them.")
    found = [each for each in access.holders() if each.token_sha256.startswith(prefix.lower())]
    if len(found) != 1:
        raise Refused(f"{len(found) or 'No'} token{'s' * (len(found) != 1)} that hold begin with {prefix[:64]}: see `greenchannel access list`.")
    return _revoked(found, at)


def revoked_of(access: Access, holder: PersonId | ClinicId, at: datetime, *, is_clinic: bool) -> list[TokenRevoked]:
    """Return what takes every token of a person, or of a clinic; Refused where they hold none."""
    kind = ClinicTokenAdded if is_clinic else AccountAdded
    found = [each for each in access.holders() if isinstance(each, kind) and name_of(each) == holder]
    if not found:
        raise Refused(f"{holder} holds no token: see `greenchannel access list`.")
    return _revoked(found, at)


def name_of(holder: Holder) -> str:
    return holder.clinic_id if isinstance(holder, ClinicTokenAdded) else holder.person_id


def described(holder: Holder) -> dict[str, object]:
    """Return a token as it is listed: whose it is, what it may, never the token."""
    told: dict[str, object] = {"token_sha256": holder.token_sha256, "at": holder.at.isoformat()}
    if isinstance(holder, ClinicTokenAdded):
        return told | {"clinic": holder.clinic_id}
    return told | {"person": holder.person_id, "roles": [role.value for role in holder.roles]}


def _revoked(found: Sequence[Holder], at: datetime) -> list[TokenRevoked]:
    return [TokenRevoked(at=at, token_sha256=each.token_sha256) for each in found]
