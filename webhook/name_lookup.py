"""Host names to addresses: one lookup a host at a time, on threads of which those that hang have a part only."""

from __future__ import annotations

import os
import socket
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from eventstore.common.shortage import LOOKUPS, MEMORY, lack_of
from eventstore.errors import ShortageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Resolver: TypeAlias = Callable[[str], Sequence[str]]

# getaddrinfo can't be interrupted: a resolver that hangs holds one of these until the platform gives up,
# which takes 10 to 30 s with glibc's defaults.
LOOKUP_THREADS: Final = 64

# A name that took longer last time counts as one that hangs. Resolvers that work answer within a fraction of it, and
# glibc asks a second time after 5 s.
_HANGS_S: Final = 2.0
# Of how many names is known how long they took; the oldest are forgotten.
_NAMES: Final = 10_000
# What a failed lookup opens by itself, and could not have opened: a file, and a socket or two.
_FILES: Final = 3


class _Last(Enum):
    """How a name's last lookup went, and which share of the threads those like it have at most."""

    QUICK = 1.0
    UNKNOWN = 0.75
    HUNG = 0.25


class NameLookup:
    """Looks names up for many threads; safe to share among them.

    Who asks for a name that is being looked up waits for the same answer. Names that hung last have a quarter of the
    threads at most, those and new ones together three quarters: however many hang, one that was quick finds a thread.
    """

    def __init__(
        self,
        resolve: Resolver,
        threads: int = LOOKUP_THREADS,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolve = resolve
        self._threads = threads
        self._clock_s = clock_s
        self._changed = threading.Condition()
        self._under_way: dict[str, Future[Sequence[str]]] = {}
        # How each of those that are under way went last, and all others of which it is known, the latest one last.
        self._counted_as: dict[str, _Last] = {}
        self._last: dict[str, _Last] = {}

    def look_up(self, host: str, budget_s: float) -> Sequence[str]:
        """Return a host's addresses; raise what the resolver raises, or TimeoutError after so many seconds.

        Raises ShortageError where no thread is to be had: that is nothing that the name has done.
        """
        deadline_s = self._clock_s() + budget_s
        future = self._join_or_begin(host, deadline_s)
        try:
            return future.result(max(0.0, deadline_s - self._clock_s()))
        except NotInTime:
            if future.done():  # the resolver's own
                raise
            with self._changed:
                self._remember(host, _Last.HUNG)
            raise TimeoutError("the resolver did not answer in time") from None

    def _join_or_begin(self, host: str, deadline_s: float) -> Future[Sequence[str]]:
        with self._changed:
            while (future := self._under_way.get(host)) is None:
                last = self._last.get(host, _Last.UNKNOWN)
                if self._has_room_for(last):
                    return self._begin(host, last)
                left_s = deadline_s - self._clock_s()
                # What hung last need not hold a thread of the sender's, too: others will find out sooner.
                if last is _Last.HUNG or left_s <= 0 or not self._changed.wait(left_s):
                    raise ShortageError(LOOKUPS, "the name was not looked up")
            return future

    def _has_room_for(self, last: _Last) -> bool:
        """Return whether a name like this may have a thread, beside those that count against the same share."""
        like_it = sum(one.value <= last.value for one in self._counted_as.values())
        return like_it < max(1, int(self._threads * last.value))

    def _begin(self, host: str, last: _Last) -> Future[Sequence[str]]:
        future: Future[Sequence[str]] = Future()
        self._under_way[host], self._counted_as[host] = future, last
        try:
            # A daemon thread, so that a resolver that hangs can't hold up the end of the process.
            threading.Thread(target=self._answer, args=(host, future), name=f"lookup-{host}", daemon=True).start()
        except BaseException:
            del self._under_way[host], self._counted_as[host]
            raise
        return future

    def _answer(self, host: str, future: Future[Sequence[str]]) -> None:
        started_s = self._clock_s()
        addresses: Sequence[str] = ()
        failure: Exception | None = None
        try:
            addresses = self._resolve(host)
        except Exception as error:  # noqa: BLE001 - it belongs to the threads that wait, which raise it
            failure = _meaning_of(error)
        with self._changed:
            del self._under_way[host], self._counted_as[host]
            self._remember(host, _Last.HUNG if self._clock_s() - started_s > _HANGS_S else _Last.QUICK)
            self._changed.notify_all()
        if failure is None:
            future.set_result(addresses)
        else:
            future.set_exception(failure)

    def _remember(self, host: str, last: _Last) -> None:
        self._last.pop(host, None)
        self._last[host] = last
        if len(self._last) > _NAMES:
            del self._last[next(iter(self._last))]


def _meaning_of(error: Exception) -> Exception:
    """Return a resolver's error as what it is: a machine without files or memory makes it say that there is no name."""
    if not isinstance(error, socket.gaierror):
        return error
    if error.errno == socket.EAI_MEMORY:
        return ShortageError(MEMORY, "the name was not looked up")
    opened: list[int] = []
    try:
        for _ in range(_FILES):
            opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))  # noqa: PERF401 - what was opened is closed
    except OSError as short:
        lack = lack_of(short)
        return error if lack is None else ShortageError(lack, "the name was not looked up")
    finally:
        for descriptor in opened:
            with suppress(OSError):
                os.close(descriptor)
    return error
