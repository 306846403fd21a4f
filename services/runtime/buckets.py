"""The 256 buckets that keys in Redis lie in: a bucket's keys share a slot of a cluster, so that one script may touch them all."""

import hashlib

COUNT = 256


def bucket_of(key: str) -> int:
    """Return the bucket of a patient key, the same for ever."""
    return hashlib.sha256(key.encode()).digest()[0]


def prefix_of(bucket: int) -> str:
    """Return how the bucket's keys begin; the braces are Redis Cluster's hash tag."""
    return f"gc:{{b{bucket:03d}}}"


def prefix(key: str) -> str:
    return prefix_of(bucket_of(key))
