"""Threads that run the turns of actors."""

import contextlib
import contextvars
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

import structlog

__all__ = ["Pool", "PoolStopped", "TurnPool"]

log = structlog.get_logger(__name__)


class PoolStopped(Exception):  # noqa: N818 - said as the fact that it is
    """Raised by `submit` once the pool has been told to stop."""


class Pool(Protocol):
    """Something that runs tasks, in the order in which they come."""

    def submit(self, task: Callable[[], None]) -> None:
        """Take a task and return at once, without running it: the caller holds locks that the task needs.

        Raises `PoolStopped` once the pool has been told to stop.
        """


class TurnPool:
    """An elastic pool of daemon threads; with `max_threads=1` it is a dedicated thread.

    `max_threads`: how many tasks run at the same time at most.
    `idle_s`: seconds after which a thread without work ends.
    `is_ready`: it has one thread from now on and until the end, so that a machine that is short of threads later has
    tasks wait, and refuses none. RuntimeError is raised when it is short of them now.
    """

    def __init__(self, name: str, max_threads: int, idle_s: float = 10.0, *, is_ready: bool = False) -> None:
        if max_threads < 1:
            raise ValueError(f"a pool needs at least one thread, not {max_threads}")
        self.name = name
        self.max_threads = max_threads
        self.idle_s = idle_s
        self._lock = threading.Lock()
        self._tasks: deque[Callable[[], None]] = deque()
        self._threads: set[threading.Thread] = set()
        # One lock for each idle thread, released to wake it. Whoever takes it from the list owns the wake-up,
        # so that none is lost to a thread that runs out of patience at the same time.
        self._idle_wakeups: list[threading.Lock] = []
        # When the task began that each busy thread is at.
        self._began_s: dict[threading.Thread, float] = {}
        self._thread_numbers = itertools.count(1)
        self._is_stopped = False
        self._kept_threads = int(is_ready)
        if is_ready:
            self._start_thread()

    def longest_task_s(self) -> float:
        """Return for how many seconds the task lasts that was begun first; 0 = there is none. On any thread."""
        began_s = min(tuple(self._began_s.values()), default=None)
        return 0.0 if began_s is None else time.monotonic() - began_s

    def submit(self, task: Callable[[], None]) -> None:
        """Hand the task to an idle thread, else to a new one, else queue it (first in, first out).

        Raises `PoolStopped` after `stop`, and `RuntimeError` when the process can't have even one thread.
        """
        with self._lock:
            if self._is_stopped:
                raise PoolStopped(f"pool {self.name} takes no more tasks")
            self._tasks.append(task)
            if self._idle_wakeups:
                self._idle_wakeups.pop().release()
            elif len(self._threads) < self.max_threads:
                self._start_thread()

    def stop(self, timeout_s: float) -> bool:
        """Refuse new tasks, run what is queued, wait for the threads; return whether all have ended.

        `timeout_s`: seconds for all threads together. Called by a thread of the pool it can't wait for that
        one and says False.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._lock:
            self._is_stopped = True
            threads = list(self._threads)
            while self._idle_wakeups:
                self._idle_wakeups.pop().release()
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline_s - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _start_thread(self) -> None:
        name = f"{self.name}-{next(self._thread_numbers)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:
            self._threads.discard(thread)
            # With other threads alive the task waits for one of them; alone it would wait for ever.
            if not self._threads:
                if self._tasks:
                    self._tasks.pop()
                raise

    def _work(self) -> None:
        wakeup = threading.Lock()
        wakeup.acquire()
        while self._run_next(wakeup):
            pass

    def _run_next(self, wakeup: threading.Lock) -> bool:
        # The task is a local of this call, not of the loop: an idle thread must not keep an actor alive.
        task = self._next_task(wakeup)
        if task is None:
            return False
        thread = threading.current_thread()
        self._began_s[thread] = time.monotonic()
        try:
            # A context of its own: what one task binds for its log lines must not show in the next one's.
            contextvars.Context().run(task)
        except BaseException:
            # SystemExit, too, must not end a thread unseen; nor may a logger that fails (standard output
            # is gone) take the thread with it.
            with contextlib.suppress(Exception):
                log.exception("pool_task_failed", pool=self.name, task=repr(task), done="task dropped, thread lives on")
        finally:
            del self._began_s[thread]
        return True

    def _next_task(self, wakeup: threading.Lock) -> Callable[[], None] | None:
        while True:
            with self._lock:
                if self._tasks:
                    return self._tasks.popleft()
                if self._is_stopped:
                    self._threads.discard(threading.current_thread())
                    return None
                self._idle_wakeups.append(wakeup)
            if self._has_left(wakeup):
                return None

    def _has_left(self, wakeup: threading.Lock) -> bool:
        """Wait to be woken; return whether the thread has ended instead."""
        while not wakeup.acquire(timeout=self.idle_s):
            with self._lock:
                if wakeup not in self._idle_wakeups:
                    # Somebody took the wake-up at the last moment and has released it, or a task would be left lying.
                    break
                if len(self._threads) > self._kept_threads:
                    self._idle_wakeups.remove(wakeup)
                    self._threads.discard(threading.current_thread())
                    return True
        else:
            return False
        wakeup.acquire()
        return False
