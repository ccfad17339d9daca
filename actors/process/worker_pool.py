"""The worker processes of one daemon, and what keeps them at work."""

import select
import signal
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from actors.observability.process_stats import ProcessStats
from actors.process.worker_pipe import Answer, Order
from actors.runtime.restart_budget import RestartBudget
from eventstore.common.shortage import lack_of

__all__ = ["Worker", "WorkerPool"]

log = structlog.get_logger("hookfuse.daemon")

# What one says of itself may be outdated by what another does afterwards (a mail that the lead is to send): only
# what holds in two rounds, one wholly after the other, holds for all at once.
_ROUNDS_TO_BE_DRAINED = 2
# The workers are asked every second. A daemon that has asked nobody for so long was stopped itself, or its machine was.
_STOOD_S = 5.0
# An interpreter on a machine that is busy takes a while to start, and to say something for the first time.
_START_S = 30.0
_START_AGAIN_S = 1.0


class Worker(Protocol):
    """A worker process; WorkerProcess is one, and says what each of these does."""

    number: int
    pid: int
    process_stats: ProcessStats
    health: str

    @property
    def descriptor(self) -> int: ...  # noqa: D102
    def tell(self, order: Order) -> bool: ...  # noqa: D102
    def hear(self) -> list[Answer] | None: ...  # noqa: D102
    def kill(self) -> None: ...  # noqa: D102
    def reap(self) -> tuple[int, str]: ...  # noqa: D102


class WorkerPool:
    """Owns the workers: starts one for each share, passes orders on, and starts one again that has ended.

    More ends than the budget has are the failure of all: `failure` says so then, and whoever runs it stops it.
    `changed` is told the process ids whenever they are others. One that is not heard for `silence_s` (and half a minute
    at least before its first word) is killed, and started again like any that has ended: it is stopped, or hangs, and
    its share waits for it.
    """

    def __init__(
        self,
        start: Callable[[int], Worker],
        count: int,
        *,
        budget: RestartBudget,
        silence_s: float,
        changed: Callable[[list[int]], None],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failure = ""
        self.restarts = 0
        self._start = start
        self._count = count
        self._budget = budget
        self._silence_s = silence_s
        self._changed = changed
        self._clock_s = clock_s
        self._workers: dict[int, Worker] = {}
        self._is_stopping = False
        # Those that this machine was too short of something to start, and when that is tried again.
        self._to_start: set[int] = set()
        self._start_again_s = 0.0
        # When each has been heard, or else was started; who has been heard; what those counted that have ended.
        self._heard_s: dict[int, float] = {}
        self._asked_s = clock_s()
        self._at_work: frozenset[int] = frozenset()
        self._past = ProcessStats()
        self._asked: set[int] = set()
        self._is_round_unanimous = False
        self._unanimous_rounds = 0

    @property
    def descriptors(self) -> list[int]:
        """Return what can be read from when `attend` has something to do."""
        return [worker.descriptor for worker in self._workers.values()]

    def start(self) -> None:
        """Start a worker for each share."""
        for number in range(1, self._count + 1):
            self._start_one(number)
        self._tell_changed()

    def look_around(self) -> None:
        """Ask all workers to look for work."""
        for worker in self._workers.values():
            worker.tell(Order.LOOK_AROUND)  # one that has so many orders waiting will look anyway

    def ask_how_they_fare(self) -> None:
        """Ask all workers for their status; `attend` reads the answers."""
        now_s = self._clock_s()
        if (stood_s := now_s - self._asked_s) > _STOOD_S:  # nobody was asked meanwhile, so nobody was silent
            self._heard_s = {number: heard_s + stood_s for number, heard_s in self._heard_s.items()}
        self._asked_s = now_s
        for worker in self._workers.values():
            worker.tell(Order.REPORT_STATUS)

    def process_stats(self) -> ProcessStats:
        """Return what all have said last, together, with what those counted that have ended; on any thread."""
        return sum((one.process_stats for one in list(self._workers.values())), self._past)

    def liveness(self) -> dict[str, str]:
        """Return whether all are heard and well, and none was given up; on any thread."""
        faults = [] if self._is_stopping else [*self._silent(), *self._unwell()]
        return {"workers": self.failure or ", ".join(faults) or "ok"}

    def _silent(self) -> list[str]:
        # Said before the worker is killed for it.
        return [
            f"worker {number} has not been heard from for {silent_s:.0f} s"
            for number, heard_s in sorted(dict(self._heard_s).items())
            if (silent_s := self._clock_s() - heard_s) > self._patience_s(number) / 2
        ]

    def _patience_s(self, number: int) -> float:
        """Return for how long a worker may be silent."""
        return self._silence_s if number in self._at_work else max(_START_S, self._silence_s)

    def _unwell(self) -> list[str]:
        workers = dict(self._workers)
        return [f"worker {number}: {worker.health}" for number, worker in sorted(workers.items()) if worker.health]

    def readiness(self) -> dict[str, str]:
        """Return whether each share has a worker that is at work; on any thread."""
        at_work = len(self._at_work)
        return {"shares": "ok" if at_work == self._count else f"{at_work} of {self._count} have a worker"}

    def attend(self) -> None:
        """Take in what the workers have answered, and deal with those that have ended, are silent or never started."""
        self._budget.shortages.look_around()
        if self._to_start and not self._is_stopping and self._clock_s() >= self._start_again_s:
            for number in sorted(self._to_start):
                self._start_one(number)
            self._tell_changed()
        for worker in list(self._workers.values()):
            answers = worker.hear()
            if answers is None:
                self._ended(worker)
            else:
                self._take(worker.number, answers)
        if not self._is_stopping:
            self._kill_silent()

    def is_drained(self) -> bool:
        """Return whether nothing is due in any share; call it again and again, with `attend` in between."""
        if self._asked:
            return False
        self._unanimous_rounds = self._unanimous_rounds + 1 if self._is_round_unanimous else 0
        if self._unanimous_rounds >= _ROUNDS_TO_BE_DRAINED:
            return True
        asked = [worker.number for worker in self._workers.values() if worker.tell(Order.SAY_WHETHER_DRAINED)]
        self._asked = set(asked)
        self._is_round_unanimous = len(asked) == self._count
        return False

    def stop(self, timeout_s: float) -> None:
        """Stop all workers, wait for them, and kill those that have not ended after so many seconds."""
        self._is_stopping = True
        deadline_s = self._clock_s() + timeout_s
        for worker in self._workers.values():
            worker.tell(Order.STOP)
        while self._workers and (left_s := deadline_s - self._clock_s()) > 0:
            select.select(self.descriptors, [], [], left_s)
            self.attend()
        for worker in list(self._workers.values()):
            log.warning(
                "worker_did_not_stop", worker=worker.number, pid=worker.pid, done="killed; everything is in the queue"
            )
            worker.kill()
            worker.reap()
        self._workers.clear()

    def _take(self, number: int, answers: list[Answer]) -> None:
        for answer in answers:
            if answer is Answer.BUSY:
                self._is_round_unanimous = False
            if answer in (Answer.BUSY, Answer.DRAINED):
                self._asked.discard(number)
            elif answer is Answer.FARES:
                self._heard_s[number] = self._clock_s()
                self._at_work |= {number}

    def _kill_silent(self) -> None:
        now_s = self._clock_s()
        for worker in self._workers.values():
            silent_s = now_s - self._heard_s[worker.number]
            if silent_s > self._patience_s(worker.number):
                log.error(
                    "worker_silent",
                    worker=worker.number,
                    pid=worker.pid,
                    silent_s=round(silent_s, 1),
                    done="killed: what was in flight is in the queue",
                )
                worker.kill()  # its end is heard as any other's
                self._heard_s[worker.number] = now_s

    def _ended(self, worker: Worker) -> None:
        del self._workers[worker.number]
        code, reason = worker.reap()
        last = worker.process_stats
        self._past += ProcessStats(crashes=last.crashes, dropped_lines=last.dropped_lines)
        self._at_work -= {worker.number}
        self._heard_s.pop(worker.number, None)
        self._asked.discard(worker.number)
        self._is_round_unanimous = False
        if self._is_stopping:
            if code not in (0, -signal.SIGTERM):  # whoever stops all processes of a service tells each of them
                self._fail(worker, reason, "it was stopping")
        elif not self._budget.spend(self._clock_s()):
            self._fail(worker, reason, "the restart budget is used up")
        elif not self.failure:
            log.error("worker_ended", worker=worker.number, pid=worker.pid, reason=reason, done="started again")
            self.restarts += 1
            self._start_one(worker.number)
            self._tell_changed()

    def _fail(self, worker: Worker, reason: str, why: str) -> None:
        log.error("worker_ended", worker=worker.number, pid=worker.pid, reason=reason, done=f"given up: {why}")
        self.failure = self.failure or f"worker {worker.number} ended ({reason}), and {why}"

    def _start_one(self, number: int) -> None:
        try:
            worker = self._start(number)
        except OSError as error:
            lack = lack_of(error)
            if lack is not None:
                self._budget.shortages.note(lack, done=f"worker {number} is started as soon as it can be")
                self._to_start.add(number)
                self._start_again_s = self._clock_s() + _START_AGAIN_S
                return
            self.failure = f"worker {number} cannot be started ({error})"
            log.exception("worker_not_started", worker=number, done="given up")
            return
        self._to_start.discard(number)
        self._workers[number] = worker
        self._heard_s[number] = self._clock_s()

    def _tell_changed(self) -> None:
        self._changed([worker.pid for _, worker in sorted(self._workers.items())])
