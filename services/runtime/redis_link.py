"""The way to Redis or Valkey, and what its refusals mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from services.runtime.errors import Away

# It answers, and cannot take a write or has not read its data yet: time heals these, asking otherwise does not.
AWAY_ERRORS = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.ClusterError,
    exceptions.ClusterDownError,
    exceptions.RedisClusterException,  # no node of it answers
    exceptions.MasterDownError,
    exceptions.TryAgainError,
    OSError,
)
AWAY_ANSWERS = ("MISCONF", "NOREPLICAS", "BUSY", "LOADING")  # those for which the library has no class
CONNECTIONS = 64
OF_A_CLUSTER = "+cluster://"


def connect(url: str) -> Redis:
    """Return a client; it connects when it is first used. An answer that takes 5 s is no answer; who finds no free connection waits for one.

    A connection that broke while nobody used it is made anew, once: whatever is asked here may be asked twice. A URL of redis+cluster:// names a
    node of a cluster: its client does for us all that a single server's does, as long as a script or a pipeline's command keeps to one bucket."""
    once_more = Retry(NoBackoff(), 1, supported_errors=(exceptions.ConnectionError,))
    if OF_A_CLUSTER in url:
        cluster = RedisCluster.from_url(
            url.replace(OF_A_CLUSTER, "://"), max_connections=CONNECTIONS, socket_timeout=5, socket_connect_timeout=2, health_check_interval=15
        )
        return cast(Redis, cluster)
    pool = BlockingConnectionPool.from_url(
        url, max_connections=CONNECTIONS, timeout=20, socket_timeout=5, socket_connect_timeout=2, health_check_interval=15, retry=once_more
    )
    return Redis.from_pool(pool)


@contextmanager
def reaching_redis() -> Iterator[None]:
    """Turn what says that Redis cannot serve just now into Away; a wrong command stays what it is."""
    try:
        yield
    except AWAY_ERRORS as error:
        raise Away("redis", type(error).__name__) from error
    except AttributeError as error:
        # A cluster's client that looks for its nodes anew closes connections that others are just opening: they find None for the stream.
        if error.obj is not None:
            raise
        raise Away("redis", "closed while it was opened") from error
    except exceptions.ResponseError as error:
        if str(error).startswith(AWAY_ANSWERS):
            raise Away("redis", str(error).split(" ", 1)[0]) from error
        raise
