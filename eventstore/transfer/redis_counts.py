"""The counts that the original keeps in a running Redis, read and left as they are."""

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count, islice
from typing import TYPE_CHECKING

from eventstore.common.json_lines import Faults
from eventstore.errors import ConfigurationError, DocumentError, RejectedError
from eventstore.redis.connection import open_redis, redis_explained, shown_url
from eventstore.redis.original_projection import MARK_KEY
from eventstore.transfer.count_bucket import CountBucket, read_bucket

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["read_redis_counts"]

_PATTERN = "sentry-app-error:*"
# Keys that are read with one round trip.
_KEYS_AT_ONCE = 500


def read_redis_counts(
    url: str, faults: Faults, *, timeout_s: float = 10.0, on_keys: Callable[[int], None] = lambda _count: None
) -> Iterator[CountBucket]:
    """Read every key of the layout; one with a fault is left out, and the fault noted under its name.

    A key may come twice, as SCAN has it. Raises RejectedError for a URL that is none, and for a Redis into which
    hookfuse writes; RedisAwayError when it cannot be read to the end.
    """
    try:
        client = open_redis(url, timeout_s=timeout_s)
    except ConfigurationError:
        # Not as its cause: it quotes the URL.
        raise RejectedError("that is not a URL such as redis://localhost:6379/0 or unix:///run/redis.sock") from None
    with closing(client), redis_explained(url):
        if client.exists(MARK_KEY):
            raise RejectedError(
                f"the counts in Redis at {shown_url(url)} are those of a hookfuse: its events have them already,"
                " and hookfuse events export brings them elsewhere"
            )
        keys = client.scan_iter(match=_PATTERN, count=_KEYS_AT_ONCE)
        numbers = count(1)
        while some := list(islice(keys, _KEYS_AT_ONCE)):
            for key, fields in zip(some, _read_hashes(client, some), strict=True):
                bucket = _bucket(next(numbers), key, fields, faults)
                if bucket is not None:
                    yield bucket
            on_keys(len(some))


def _read_hashes(client: "Redis", keys: list[bytes]) -> list[object]:
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hgetall(key)
        # What is not a hash is an answer too, and not the end of all.
        return list(pipeline.execute(raise_on_error=False))


def _bucket(number: int, key: bytes, fields: object, faults: Faults) -> CountBucket | None:
    """Return what stands under a key; None = nothing any more, or a fault."""
    name = key.decode(errors="backslashreplace")
    if not isinstance(fields, dict):
        faults.add(number, f"cannot be read as a hash: {fields}", place=name)
        return None
    if not fields:  # it has expired since its name was read
        return None
    try:
        texts = {field.decode(errors="replace"): value.decode(errors="replace") for field, value in fields.items()}
        return read_bucket(number, name, name, texts)
    except DocumentError as error:
        faults.add(number, str(error), place=name)
        return None
