"""How much waits in the Redis stream that the queue is fed from, as anybody may ask."""

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventstore.errors import RedisAwayError
from eventstore.redis.connection import open_redis, redis_explained, shown_url

if TYPE_CHECKING:
    from eventstore.settings.sections import QueueSettings

__all__ = ["StreamDepth", "dead_stream_of", "read_stream_depth"]


@dataclass(frozen=True, slots=True)
class StreamDepth:
    """Entries of the stream: `unread` by anybody, `pending` with daemons (read, and not attempted), `dead` (poison).

    With an `error` that says why nothing is known, all are 0.
    """

    url: str
    unread: int = 0
    pending: int = 0
    dead: int = 0
    error: str = ""

    @property
    def text(self) -> str:
        """Return it on one line."""
        if self.error:
            return f"away: {self.error}"
        dead = f", {self.dead:,} dead" if self.dead else ""
        return f"{self.unread:,} unread, {self.pending:,} pending{dead} ({self.url})"


def dead_stream_of(stream: str) -> str:
    """Return the name of the stream that poison entries of a stream are put into, with the reason."""
    return f"{stream}:dead"


def read_stream_depth(settings: "QueueSettings", *, timeout_s: float) -> StreamDepth | None:
    """Ask the configured server, None = there is none; one that does not answer is told as its error."""
    url = settings.url.get_secret_value()
    if not url:
        return None
    try:
        with closing(open_redis(url, timeout_s=timeout_s, setting="[queue] url")) as client, redis_explained(url):
            length = client.xlen(settings.stream)
            dead = client.xlen(dead_stream_of(settings.stream))
            groups = client.xinfo_groups(settings.stream) if length else []
    except RedisAwayError as error:
        return StreamDepth(shown_url(url), error=str(error))
    # What was attempted is deleted, so that all that is in the stream is either pending or unread.
    pending = sum(int(group["pending"]) for group in groups if group["name"] == settings.group.encode())
    return StreamDepth(shown_url(url), max(0, length - pending), pending, dead)
