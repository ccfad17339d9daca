"""How far the Redis that is configured has come, and what waits in the stream that the queue is fed from."""

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventstore.errors import EventStoreError
from eventstore.redis.connection import shown_url
from eventstore.redis.stream_depth import StreamDepth, read_stream_depth

if TYPE_CHECKING:
    from eventstore.settings.configuration import Configuration
    from eventstore.settings.sections import RedisSettings

__all__ = ["RedisState", "redis_state", "stream_depth"]

# A person who asks for the status does not wait for a Redis that hangs.
_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class RedisState:
    """`lag_events`: how many events are not in it yet, None = it does not say, and `error` says why."""

    url: str
    lag_events: int | None
    error: str = ""

    @property
    def text(self) -> str:
        """Return it on one line."""
        if self.lag_events is None:
            return f"away: {self.error}"
        behind = f"{self.lag_events:,} events behind" if self.lag_events else "up to date"
        return f"{behind} ({self.url})"


def redis_state(connection: sqlite3.Connection, settings: "RedisSettings") -> RedisState | None:
    """Ask the configured Redis, None = there is none."""
    url = settings.url.get_secret_value()
    if not url:
        return None
    from eventstore.redis.original_projection import RedisProjection  # noqa: PLC0415 - 100 ms: only who has one pays

    try:
        projection = RedisProjection(url, timeout_s=min(settings.timeout_s, _TIMEOUT_S))
        try:
            return RedisState(shown_url(url), projection.lag(connection))
        finally:
            projection.close()
    except EventStoreError as error:
        return RedisState(shown_url(url), None, str(error))


def stream_depth(configuration: "Configuration") -> StreamDepth | None:
    """Ask the stream that is configured, None = there is none."""
    return read_stream_depth(configuration.queue, timeout_s=min(configuration.redis.timeout_s, _TIMEOUT_S))
