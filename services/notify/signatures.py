"""A provider's signature: HMAC-SHA-256 over the time stamp, a dot and the raw body, by a secret that it shares with us."""

import hashlib
import hmac
import re
from datetime import datetime, timedelta
from pathlib import Path

from structlog import get_logger

FRESH_FOR = timedelta(minutes=5)
SECRET_BYTES_AT_LEAST = 32
_PROVIDER = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")  # it names a file: no dot, no slash
_SECONDS = re.compile(r"[0-9]{1,12}")

log = get_logger()


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """Return the signature of a body, in hexadecimal; the timestamp is in whole seconds since 1970, as text."""
    return hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def is_signed(secret: bytes, timestamp: str, given: str, body: bytes, now: datetime) -> bool:
    """Tell a body that whoever has the secret signed within five minutes of now. Compared in constant time."""
    if not _SECONDS.fullmatch(timestamp) or not given.isascii():
        return False
    if abs(now.timestamp() - int(timestamp)) > FRESH_FOR.total_seconds():
        return False
    return hmac.compare_digest(signature(secret, timestamp, body), given.lower())


def secret_of(folder: Path | None, provider: str) -> bytes | None:
    """Return the secret that a provider signs with, from the folder's file of its name, read anew each time; None where it has none."""
    if folder is None or not _PROVIDER.fullmatch(provider):
        return None
    try:
        secret = (folder / provider).read_bytes().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        log.error("the secret of a provider cannot be read: make its file readable", provider=provider, cause=error.strerror)
        return None
    if len(secret) < SECRET_BYTES_AT_LEAST:
        log.error(f"the secret of a provider is shorter than {SECRET_BYTES_AT_LEAST} bytes: make a longer one", provider=provider)
        return None
    return secret
