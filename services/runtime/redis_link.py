"""The way to Redis or Valkey, and what its refusals mean."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions
from redis.asyncio import Redis

from services.runtime.errors import Away

# It answers, and cannot take a write or has not read its data yet: time heals these, asking otherwise does not.
AWAY_ANSWERS = ("MISCONF", "OOM", "LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "NOREPLICAS", "BUSY")


def connect(url: str) -> Redis:
    """Return a client; it connects when it is first used. An answer that takes 5 s is no answer."""
    return Redis.from_url(url, socket_timeout=5, socket_connect_timeout=2, health_check_interval=15)


@contextmanager
def reaching_redis() -> Iterator[None]:
    """Turn what says that Redis cannot serve just now into Away; a wrong command stays what it is."""
    try:
        yield
    except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
        raise Away("redis", type(error).__name__) from error
    except exceptions.ResponseError as error:
        if str(error).startswith(AWAY_ANSWERS):
            raise Away("redis", str(error).split(" ", 1)[0]) from error
        raise
