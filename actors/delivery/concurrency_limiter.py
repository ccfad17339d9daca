"""The attempts of one installation that wait for a thread, and how many are made at once."""

import threading
import time
from collections.abc import Callable

import structlog

from actors.runtime.thread_pool import Pool, PoolStopped
from eventstore.queue.delivery import QueuedDelivery
from webhook.outcome import Outcome, OutcomeKind

__all__ = ["ConcurrencyLimiter", "LimiterWatch"]

log = structlog.get_logger("hookfuse.installation")

# For each so many milliseconds that the endpoint takes one more thread asks it. By measurement: at 0.5 an endpoint of
# 1 to 3 ms that has a backlog gets a tenth less than from all threads at once, at 0.25 as much.
_STEP_MS = 0.25
# The weight of the latest answer: the kernel's ticks are longer than some answers take.
_LATEST = 0.25

# An endpoint that has been quick and lets an attempt wait for so long may be slow for that one only, or from now on.
_STUCK_S = 0.1

# Beside others an installation's attempts begin no sooner after each other than so many times what one takes of a core:
# each step of another's delivery has to wait for the interpreter, and finds it free then. By measurement
# (docs/performance.md): at 3, and 2 ms after a ring, a quiet one's p99 is a sixth higher, the backlog a third faster.
_PACE = 4.0
# A backlog lets so long go by after a ring: from there to its endpoint a new delivery needs 1.7 ms, and seldom 3.
_RING_S = 0.003
# Others are at work if one has begun something since.
_OTHERS_S = 1.0

# Makes one attempt, on a thread of the pool, and does not raise; None = it could not be made.
Make = Callable[[], Outcome | None]


class LimiterWatch:
    """What the limiters of a process have in common: a look at those that are stuck, and their manners.

    In a limiter that waits for one attempt the others need not wait for long. And the interpreter runs one thread at a
    time: a backlog releases it from time to time if it is not alone.
    `cpu_s`: what the thread that asks has taken of a core so far.
    """

    def __init__(
        self,
        clock_s: Callable[[], float] = time.monotonic,
        *,
        cpu_s: Callable[[], float] = time.thread_time,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.clock_s = clock_s
        self.cpu_s = cpu_s
        self.sleep = sleep
        self.limiters: set[ConcurrencyLimiter] = set()
        self._rung_s = -_RING_S
        self._latest: ConcurrencyLimiter | None = None
        self._changed_s = -_OTHERS_S

    def rung(self) -> None:
        """Note that there may be new deliveries; on any thread."""
        self._rung_s = self.clock_s()

    def look_around(self) -> None:
        """Begin what waits in limiters in which nothing has begun for a while; on any thread."""
        before_s = self.clock_s() - _STUCK_S
        for limiter in tuple(self.limiters):
            limiter.begin_all_if_stuck(before_s)

    def begins(self, limiter: "ConcurrencyLimiter", now_s: float) -> bool:
        """Note that a limiter begins an attempt; return whether others have lately."""
        if limiter is not self._latest:
            self._latest = limiter
            self._changed_s = now_s
        return now_s - self._changed_s < _OTHERS_S

    def way_is_free_s(self) -> float:
        """Return the moment at which what was rung for last is on its way."""
        return self._rung_s + _RING_S


class ConcurrencyLimiter:
    """Makes the attempts of one installation, in their order, as many at once as its endpoint is slow.

    One that answers in less time than we take to ask is asked by one thread, again and again: eight that wake for one
    request each would only keep each other, and everybody else's deliveries, from the interpreter. One that takes some
    milliseconds is asked for all that it may have at once. Where one that was quick lets an attempt wait, the rest
    begins once the watch looks around. Beside other installations its attempts keep a distance from each other, and a
    thread that goes on lets those go first that a producer has rung for. After an attempt that was not answered, or
    could not be made, nothing is begun until what waits was taken back: it would only wait for the same silence.
    """

    def __init__(self, pool: Pool, watch: LimiterWatch) -> None:
        self._pool = pool
        self._watch = watch
        self._lock = threading.Lock()
        # A few at most, and there are thousands of limiters: a deque takes 600 bytes.
        self._waiting: list[tuple[QueuedDelivery, Make]] = []
        self._running = 0
        self._begun_s = 0.0
        self._at_once = 1
        self._answer_ms = 0.0
        self._asking_s = 0.0
        self._free_s = 0.0
        self._is_held_up = False

    def add(self, delivery: QueuedDelivery, make: Make) -> None:
        """Take an attempt at a delivery that is to be made. Raises what the pool raises, and has not taken it then."""
        with self._lock:
            if self._running < self._at_once and not self._is_held_up:
                self._pool.submit(self._run)
                self._running += 1
                self._begun_s = self._watch.clock_s()
            else:
                self._watch.limiters.add(self)
            self._waiting.append((delivery, make))

    @property
    def has_waiting(self) -> bool:
        """Return whether there is something that has not begun."""
        return bool(self._waiting)

    @property
    def is_held_up(self) -> bool:
        """Return whether nothing is begun until what waits is taken back."""
        return self._is_held_up

    def take_back(self) -> list[QueuedDelivery]:
        """Return the deliveries whose attempts have not begun, and are not made then, and go on with what comes."""
        with self._lock:
            self._is_held_up = False
            taken, self._waiting = self._waiting, []
            self._watch.limiters.discard(self)
        return [delivery for delivery, _ in taken]

    def begin_all_if_stuck(self, before_s: float) -> None:
        """Begin all that waits if nothing has begun since a moment."""
        with self._lock:
            if self._waiting and self._running and self._begun_s < before_s and not self._is_held_up:
                self._at_once = self._running + len(self._waiting)
                self._widen(len(self._waiting))

    def _run(self) -> None:
        self._keep_distance(is_going_on=False)
        while (make := self._next()) is not None:
            before_s = self._watch.cpu_s()
            outcome = make()
            self._made(outcome, self._watch.cpu_s() - before_s)
            self._keep_distance(is_going_on=True)

    def _keep_distance(self, *, is_going_on: bool) -> None:
        with self._lock:
            if not self._waiting:
                return
            now_s = begin_s = self._watch.clock_s()
            if self._watch.begins(self, now_s):
                begin_s = max(now_s, self._free_s, self._watch.way_is_free_s() if is_going_on else 0.0)
            self._free_s = begin_s + _PACE * self._asking_s
        if begin_s > now_s:
            self._watch.sleep(begin_s - now_s)

    def _next(self) -> Make | None:
        with self._lock:
            if self._waiting and self._running <= self._at_once and not self._is_held_up:
                _, make = self._waiting.pop(0)
                self._begun_s = self._watch.clock_s()
                if not self._waiting:
                    self._watch.limiters.discard(self)
                return make
            self._running -= 1
            return None

    def _made(self, outcome: Outcome | None, asking_s: float) -> None:
        with self._lock:
            self._asking_s += _LATEST * (asking_s - self._asking_s)
            if outcome is None or outcome.kind is OutcomeKind.TIMED_OUT:
                self._is_held_up = bool(self._waiting)
            elif outcome.answered_after_ms is not None:
                self._answer_ms += _LATEST * (outcome.answered_after_ms - self._answer_ms)
                self._at_once = 1 + int(self._answer_ms / _STEP_MS)
            # This thread takes one of those that wait.
            self._widen(min(self._at_once - self._running, len(self._waiting) - 1))

    def _widen(self, count: int) -> None:
        for _ in range(count):
            try:
                self._pool.submit(self._run)
            except (PoolStopped, RuntimeError) as error:
                log.warning("lane_not_widened", error=repr(error), done="goes on with the threads that it has")
                return
            self._running += 1
