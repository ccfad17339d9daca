"""A connection to Redis, and saying what its errors mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from eventstore.errors import ConfigurationError, RedisAwayError

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["open_redis", "redis_explained", "shown_url"]


def open_redis(url: str, *, timeout_s: float = 5.0, setting: str = "[redis] url") -> "Redis":
    """Return a client for a URL (redis://, rediss://, unix://); it connects when it is first asked something.

    Nothing is tried again by itself: what was sent once may have been carried out, and whoever asks knows how to
    find that out. Raises ConfigurationError, which names the setting, when the URL is none.
    """
    # redis takes 100 ms to import: only who has one pays.
    from redis import Redis  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    try:
        return Redis.from_url(
            url,
            socket_connect_timeout=timeout_s,
            socket_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),  # its default sends again, which would count twice
            retry_on_error=[],
            health_check_interval=0,
            client_name="hookfuse",
            protocol=2,  # answers have one shape with every server
        )
    except (ValueError, TypeError) as error:
        # The error's own text may quote the URL, which may have a password in it.
        raise ConfigurationError(
            f"{setting} {shown_url(url)!r} is not a URL such as redis://localhost:6379/0 or unix:///run/redis.sock"
        ) from error


@contextmanager
def redis_explained(url: str) -> Iterator[None]:
    """Turn the errors of redis within the block into RedisAwayError, which does not show a password."""
    from redis.exceptions import RedisError  # noqa: PLC0415 - as above

    try:
        yield
    except (RedisError, OSError) as error:
        raise RedisAwayError(f"Redis at {shown_url(url)}: {type(error).__name__}: {error}"[:300]) from error


def shown_url(url: str) -> str:
    """Return a URL without user name, password and query."""
    try:
        parts = urlsplit(url)
        host = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        return "?"
    return f"{parts.scheme}://{host}{parts.path}"
