"""Connections that are kept for the next request: few, young, and never shared between apps."""

from __future__ import annotations

import random
import threading
import time
from collections import OrderedDict, deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.connection import Connection

# Idle for longer, most servers have closed it: nginx after 75 s, Apache after 5, load balancers after 60.
IDLE_S: Final = 60.0
# After a name has moved its connections lead to the old address, which the guard looked at long ago.
AGE_S: Final = 300.0
_AGE_JITTER: Final = 0.2  # so that those that were made together are not renewed together
# Of a process, each a descriptor: 500 apps that are at work each keep one.
KEPT_CONNECTIONS: Final = 512
KEPT_BY_ONE: Final = 64


class PoolKey(NamedTuple):
    """Who a connection is kept for: an app's requests to one place, and nobody else's."""

    scheme: str
    host: str
    port: int
    app: str


class ConnectionPool:
    """Keeps connections by key, hands out the one used last, and closes what is idle, old, or too much; thread-safe."""

    def __init__(
        self,
        *,
        kept_connections: int = KEPT_CONNECTIONS,
        kept_by_one: int = KEPT_BY_ONE,
        monotonic: Callable[[], float] = time.monotonic,
        random_unit: Callable[[], float] = random.random,
    ) -> None:
        self._kept_connections = kept_connections
        self._kept_by_one = kept_by_one
        self._monotonic = monotonic
        self._random_unit = random_unit
        self._lock = threading.Lock()
        # Both in the order in which they were put back, so that the first of one is the first of the other.
        self._by_key: dict[PoolKey, deque[Connection]] = {}
        self._kept: OrderedDict[Connection, PoolKey] = OrderedDict()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._kept)

    def start_age(self, connection: Connection) -> None:
        """Set how long a connection that was just made may live."""
        connection.retires_at_s = self._monotonic() + AGE_S * (1 - _AGE_JITTER * self._random_unit())

    def take(self, key: PoolKey) -> Connection | None:
        """Return a connection that is open, quiet, and neither idle nor in use for too long; None = there is none."""
        now_s = self._monotonic()
        while (connection := self._pop_last(key)) is not None:
            if not _is_over(connection, now_s) and connection.is_quiet():
                return connection
            _close(connection)
        return None

    def put(self, key: PoolKey, connection: Connection) -> None:
        """Keep a connection behind a whole answer; when there are too many, the one longest idle goes."""
        connection.idle_since_s = now_s = self._monotonic()
        if self._is_closed or _is_over(connection, now_s):
            _close(connection)
            return
        surplus = None
        with self._lock:
            mine = self._by_key.setdefault(key, deque())
            mine.append(connection)
            self._kept[connection] = key
            if len(mine) > self._kept_by_one:
                surplus = mine[0]
            elif len(self._kept) > self._kept_connections:
                surplus = next(iter(self._kept))
            if surplus is not None:
                self._forget_first(surplus)
        if surplus is not None:
            _close(surplus)
        if self._has_been_closed():  # while it was put
            self.close()

    def close_idle(self) -> None:
        """Close what has been idle for too long; cheap where nothing has."""
        now_s = self._monotonic()
        while True:
            with self._lock:
                first = next(iter(self._kept), None)
                if first is None or not _is_over(first, now_s):
                    return
                self._forget_first(first)
            _close(first)

    def close(self) -> None:
        """Close all that are kept; one that comes later is not kept."""
        self._is_closed = True
        self.clear()

    def clear(self) -> None:
        """Close all that are kept at the moment."""
        with self._lock:
            kept = list(self._kept)
            self._kept.clear()
            self._by_key.clear()
        for connection in kept:
            _close(connection)

    def _has_been_closed(self) -> bool:
        return self._is_closed

    def _pop_last(self, key: PoolKey) -> Connection | None:
        with self._lock:
            mine = self._by_key.get(key)
            if not mine:
                return None
            connection = mine.pop()
            del self._kept[connection]
            if not mine:
                del self._by_key[key]
            return connection

    def _forget_first(self, connection: Connection) -> None:
        """Take out a connection that is the first of its key."""
        key = self._kept.pop(connection)
        mine = self._by_key[key]
        mine.popleft()
        if not mine:
            del self._by_key[key]


def _is_over(connection: Connection, now_s: float) -> bool:
    return now_s >= connection.retires_at_s or now_s - connection.idle_since_s >= IDLE_S


def _close(connection: Connection) -> None:
    with suppress(OSError):  # it is of no use any more, whatever the system says of its end
        connection.close()
