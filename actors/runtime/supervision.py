"""An actor that survives its crashes, within a budget."""

import abc
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

from actors.runtime.pooled_actor import PooledActor
from actors.runtime.restart_budget import RestartBudget
from actors.runtime.thread_pool import Pool
from eventstore.common.shortage import lack_of

__all__ = ["SupervisedActor"]

log = structlog.get_logger(__name__)

M = TypeVar("M")


class SupervisedActor(PooledActor, Generic[M]):
    """Owns its recovery: a crash is logged, counted and repaired under the same ref with the same mailbox.

    Receives messages of type M, one at a time, on a thread of its pool.
    Tells whoever gave it `escalate` when a crash can't be repaired; it ends then.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        budget: RestartBudget,
        escalate: Callable[[str], None],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make the actor, on the thread of whoever starts it.

        `budget` is shared with the other actors under the same supervision. `escalate` is called with the
        reason, on a thread of the pool and after `turn_ended` and `on_failure`; it must not wait for actors
        of that pool. `clock_s` gives seconds that never go back.
        """
        super().__init__(pool=pool)
        self._budget = budget
        self._escalate = escalate
        self._clock_s = clock_s

    @abc.abstractmethod
    def receive(self, message: M) -> object:
        """Handle one message and return the reply for an asker.

        An exception is a crash: an asker gets it, `restarted` runs, and the next message follows.
        """

    def restarted(self, message: M | None, error: Exception) -> None:
        """Rebuild the state from events and deal with the message whose handling crashed; on the same turn.

        `message` is None when `on_start` or `turn_ended` crashed: after a failed `on_start` nothing else will
        make the state. An exception here escalates. The default does nothing.
        """

    def on_receive(self, message: M) -> object:
        """Pass the message on to `receive`."""
        return self.receive(message)

    def crashed(self, message: object | None, error: BaseException) -> None:
        """Restart when the budget allows it, else escalate and end."""
        lack = lack_of(error)
        if lack is not None:
            name = type(self).__name__
            self._budget.shortages.note(
                lack, done=f"{name} left a message, and goes on; what it was for is found again"
            )
        is_affordable = lack is not None or self._budget.spend(self._clock_s())
        if self.actor_stopped.is_set():
            # Its last turn_ended failed while it was ending; whoever ended it escalates.
            self._log_crash(message, error, done="actor is ending already")
        elif not isinstance(error, Exception):
            self._give_up(message, error, "it was interrupted")
        elif not is_affordable:
            self._give_up(message, error, "the restart budget is used up")
        else:
            self._restart(message, error)

    def _restart(self, message: object | None, error: Exception) -> None:
        if lack_of(error) is None:  # that is said once, and not for each of its victims
            self._log_crash(message, error, done="restarted")
        try:
            self.restarted(message, error)  # type: ignore[arg-type]  # only an M or None comes here
        except BaseException as second:  # noqa: BLE001 - whatever it is, the state isn't whole
            self._give_up(message, second, "its restart failed")

    def _give_up(self, message: object | None, error: BaseException, why: str) -> None:
        self._log_crash(message, error, done="escalated")
        try:
            # First its end, which commits what has gathered: the process may exit as soon as it is told.
            self.die(error)
        finally:
            self._escalate(f"{type(self).__name__} crashed and {why}: {error!r}")

    def _log_crash(self, message: object | None, error: BaseException, done: str) -> None:
        log.error(
            "actor_crashed",
            actor=type(self).__name__,
            message_type=None if message is None else type(message).__name__,
            crash_count=self._budget.crash_count,
            exc_info=error,
            done=done,
        )
