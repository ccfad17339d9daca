"""What a daemon's processes do until they are asked to stop: alone, as a pool's lead, or as one of its workers."""

import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from actors.assembly.null_observability import NullObservability
from actors.observability.process_stats import ProcessStats
from actors.observability.reporter import Reporter
from actors.process.service_manager import ServiceManager
from actors.process.worker_pipe import Answer, Order, WorkerPipe
from actors.process.worker_pool import WorkerPool
from actors.process.worker_process import worker_starter
from actors.runtime.restart_budget import RestartBudget
from eventstore.common.shard import WHOLE, Shard
from eventstore.errors import HomeError
from eventstore.home.folder import Home
from eventstore.integrity.loss_watch import LossWatch
from eventstore.integrity.scrubbing import Scrub
from eventstore.policies.policy import Policy
from eventstore.ports.change_signal import ChangeListener
from eventstore.settings.configuration import Configuration
from eventstore.settings.handover import pack_settings

if TYPE_CHECKING:
    from actors.assembly.observability import Observability
    from actors.assembly.system import ActorSystem

__all__ = ["Daemon", "Worker"]

log = structlog.get_logger("hookfuse.daemon")

_HOUSEKEEPING_S = 60.0
_DRAIN_POLL_S = 0.02
_REPORT_S = 1.0
# What a worker may take beyond [daemon] stop_s: to leave its interpreter, and to compress a log file.
_LEAVE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Process:
    """What every process of a daemon has.

    `keep_log`: the regular look after its log file. `dropped_lines`: how many lines of its standard error nobody read.
    """

    home: Home
    configuration: Configuration
    policy: Policy
    stop_asked: threading.Event
    keep_log: Callable[[], object]
    dropped_lines: Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon(_Process):
    """The process that holds the home: it does the work, or has workers do it. `losses`: of the database."""

    doorbell: ChangeListener
    losses: LossWatch
    is_drain: bool

    def work_alone(self) -> str:
        """Run the actors in this process until a stop is asked for; return what went wrong."""
        # requests and its kin are imported only by who sends.
        from actors.assembly.start import start_system  # noqa: PLC0415

        is_time, is_time_to_report, manager = _every(_HOUSEKEEPING_S), _every(_REPORT_S), ServiceManager()
        report = Reporter(self.home, self.configuration, self.policy)
        scrub = Scrub(self.home)
        with closing(self._open_observability()) as observability:
            system = start_system(
                self.home, self.configuration, self.policy, shard=WHOLE, on_failure=self.home.doorbell.notify
            )
            observability.show(system)
            manager.ready()
            while not (self.stop_asked.is_set() or system.failure or observability.failure):
                manager.alive()
                observability.look_around()
                if self.losses.lost():
                    break  # runner.py says so
                scrub.look()
                system.look_around()
                if self.is_drain and system.is_drained():
                    break
                if is_time_to_report():
                    report.tell(self.dropped_lines())
                if is_time():
                    system.keep_house()
                    self.keep_log()
                self._wait()
            manager.stopping()
            observability.note_stopping()
            system.stop()
        return system.failure or observability.failure

    def lead_worker_pool(self, count: int, workers_lock: int) -> str:
        """Run `count` worker processes until a stop is asked for; return what went wrong.

        `workers_lock`: the descriptor by which they hold the home too.
        """
        daemon = self.configuration.daemon
        worker_pool = WorkerPool(
            worker_starter(self.home, pack_settings(self.configuration, self.policy), count, workers_lock),
            count,
            budget=RestartBudget(daemon.restarts, daemon.restart_period_s),
            silence_s=daemon.worker_silence_s,
            changed=self._name_workers,
        )
        is_time, is_time_to_ask, manager = _every(_HOUSEKEEPING_S), _every(_REPORT_S), ServiceManager()
        report = Reporter(self.home, self.configuration, self.policy)
        scrub = Scrub(self.home)
        with closing(self._open_observability()) as observability:
            worker_pool.start()
            observability.show(worker_pool)
            while not (self.stop_asked.is_set() or worker_pool.failure or observability.failure):
                _tell_manager(manager, worker_pool)
                observability.look_around()
                if self.losses.lost():
                    break  # runner.py says so
                scrub.look()
                if self.is_drain and worker_pool.is_drained():
                    break
                if is_time_to_ask():
                    worker_pool.ask_how_they_fare()
                    report.tell(worker_pool.process_stats().dropped_lines + self.dropped_lines())
                if is_time():
                    self.keep_log()
                if self._wait(*worker_pool.descriptors):
                    worker_pool.look_around()
                worker_pool.attend()
            manager.stopping()
            observability.note_stopping()
            worker_pool.stop(daemon.stop_s + _LEAVE_S)
        return worker_pool.failure or observability.failure

    def _open_observability(self) -> "Observability | NullObservability":
        """Open it before anything is delivered, as it may find that it can't listen where it is told to."""
        if not (self.configuration.metrics.listen or self.configuration.statsd.address):
            return NullObservability()
        from actors.assembly.observability import Observability  # noqa: PLC0415 - only by who runs

        return Observability(
            self.home,
            self.configuration,
            on_failure=self.home.doorbell.notify,
            dropped_lines=self.dropped_lines,
        )

    def _wait(self, *others: int) -> bool:
        """Wait for a ring, for something to read from the others, or for a while; return whether it rang."""
        timeout_s = _DRAIN_POLL_S if self.is_drain else self.configuration.daemon.poll_s
        waited_at: list[ChangeListener | int] = [self.doorbell, *others]
        readable, _, _ = select.select(waited_at, [], [], timeout_s)
        return self.doorbell in readable and self.doorbell.heard()

    def _name_workers(self, pids: list[int]) -> None:
        try:
            self.home.ownership.name_workers(pids)
        except HomeError as error:
            log.warning("workers_not_named", error=str(error), done="`hookfuse status` cannot show them")


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker(_Process):
    """A process that does the work of a share. `wake`: the end of a pipe that `woken` is the other end of."""

    line: WorkerPipe
    shard: Shard
    wake: int
    woken: int

    def work(self) -> str:
        """Run the actors of the share until the daemon says so, or a stop is asked for; return what went wrong."""
        from actors.assembly.start import start_system  # noqa: PLC0415 - as above

        system = start_system(
            self.home,
            self.configuration,
            self.policy,
            shard=self.shard,
            on_failure=lambda: os.write(self.woken, b"!"),
            wake_lead=self.home.doorbell.notify,
        )
        is_time = _every(_HOUSEKEEPING_S)
        while not self.stop_asked.is_set() and not system.failure:
            system.look_around()
            if is_time():
                system.keep_house()
                self.keep_log()
            orders = self.line.wait(self.wake, self.configuration.daemon.poll_s)
            if Order.STOP in orders:
                break
            if Order.SAY_WHETHER_DRAINED in orders:
                self.line.answer(Answer.DRAINED if system.is_drained() else Answer.BUSY)
            if Order.REPORT_STATUS in orders:
                self._report(system)
        system.stop()
        return system.failure

    def _report(self, system: "ActorSystem") -> None:
        faults = [text for text in system.liveness().values() if text != "ok"]
        self.line.answer(Answer.HEALTH, "; ".join(faults))  # first: the numbers wait for a dispatcher that is busy
        process_stats = system.process_stats()
        if process_stats is None:
            self.line.answer(Answer.FARES)
        else:
            self.line.answer(Answer.FARES, (process_stats + ProcessStats(dropped_lines=self.dropped_lines())).to_text())


def _tell_manager(manager: ServiceManager, worker_pool: WorkerPool) -> None:
    """Report that all has started when each share is looked after, and that this process is alive.

    A worker that is silent is this process's to replace; one that hangs itself is the service manager's.
    """
    if all(text == "ok" for text in worker_pool.readiness().values()):
        manager.ready()
    manager.alive()


def _every(period_s: float) -> Callable[[], bool]:
    """Return what says whether it is time again: at once, and then once in a period."""
    due_s = time.monotonic()

    def is_time() -> bool:
        nonlocal due_s
        is_due = time.monotonic() >= due_s
        if is_due:
            due_s += period_s
        return is_due

    return is_time
