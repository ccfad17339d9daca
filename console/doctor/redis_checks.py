"""Checks of Redis, where one is configured, as a projection or as the queue."""

import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING

from console.output.redis_state import redis_state, stream_depth
from eventstore.common.diagnostic import Diagnostic
from eventstore.redis.stream_depth import dead_stream_of

if TYPE_CHECKING:
    from eventstore.settings.configuration import Configuration

__all__ = ["check_redis", "check_stream"]

# A daemon that keeps up is never so far behind; one that does not run may be.
_BEHIND_EVENTS = 10_000


def check_redis(configuration: "Configuration", connection: sqlite3.Connection) -> Iterator[Diagnostic]:
    """See that it answers, and how far it has come."""
    state = redis_state(connection, configuration.redis)
    if state is None:
        return
    if state.lag_events is None:
        yield Diagnostic.fault(
            "redis", state.error, "see [redis] of hookfuse.toml and HOOKFUSE_REDIS__URL; deliveries go on without it"
        )
    elif state.lag_events > _BEHIND_EVENTS:
        yield Diagnostic.warning(
            "redis", state.text, "a daemon that runs catches up by itself; its log says what stops it: redis_projection"
        )
    else:
        yield Diagnostic.good("redis", state.text)


def check_stream(configuration: "Configuration") -> Iterator[Diagnostic]:
    """See that the stream's server answers, and that nothing there is poison."""
    depth = stream_depth(configuration)
    if depth is None:
        return
    if depth.error:
        yield Diagnostic.fault(
            "stream", depth.error, "see [queue] of hookfuse.toml and HOOKFUSE_QUEUE__URL; what is queued here goes on"
        )
    elif depth.dead:
        dead = dead_stream_of(configuration.queue.stream)
        yield Diagnostic.warning(
            "stream", depth.text, f"redis-cli xrange {dead} - + count 10 says why; xdel lets go of them"
        )
    else:
        yield Diagnostic.good("stream", depth.text)
