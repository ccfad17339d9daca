"""The actor that takes deliveries in from a Redis stream."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from actors.messages import Ingest, tell_if_alive
from actors.runtime.restart_budget import RestartBudget
from actors.runtime.supervision import SupervisedActor
from actors.runtime.thread_pool import Pool
from eventstore.common.clock import Clock, time_text
from eventstore.errors import RedisAwayError, RejectedError
from eventstore.policies.waits import is_held
from eventstore.redis.stream_intake import StreamIntake

__all__ = ["IntakeActor", "IntakeDependencies"]

log = structlog.get_logger("hookfuse.intake")


@dataclass(frozen=True, slots=True)
class IntakeDependencies:
    """What the intake works with; times are seconds.

    `block_s`: how long a read waits for the first entry; a stop may be behind one. `adopt_every_s`: how often it
    shows that it is alive, and takes over what a reader that is gone had read. `retry_s`: until a Redis that did not
    answer is asked again.
    """

    intake: StreamIntake
    clock: Clock
    adopt_every_s: float
    retry_s: float
    block_s: float = 0.5


class IntakeActor(SupervisedActor[Ingest]):
    """Owns the reading end of the stream, and a connection of its own to the queue, as every producer does.

    Receives Ingest. Tells itself to go on.
    """

    turn_messages = 1  # each waits for Redis: a turn that lasts is one that hangs

    def __init__(
        self, *, pool: Pool, budget: RestartBudget, escalate: Callable[[str], None], dependencies: IntakeDependencies
    ) -> None:
        super().__init__(pool=pool, budget=budget, escalate=escalate)
        self._dependencies = dependencies
        self._not_before: datetime | None = None
        self._adopt_at: datetime | None = None

    def receive(self, _message: Ingest) -> bool:
        """Acknowledge what was attempted, and take new entries in; the reply says whether there was either."""
        now = self._dependencies.clock.now()
        if is_held(self._not_before, now, self._dependencies.retry_s):
            return False
        try:
            count = self._look(now)
        except (RedisAwayError, RejectedError) as error:
            self._put_off(error, now)
            return False
        if self._not_before is not None:
            log.warning("stream_resumed", done="what waited there is taken in")
        self._not_before = None
        if not self.has_asker:
            tell_if_alive(self.actor_ref, Ingest())
        return count > 0

    def on_stop(self) -> None:
        """Close the connections; what was read and not attempted is read again by the next daemon."""
        self._dependencies.intake.close()

    def _look(self, now: datetime) -> int:
        dependencies = self._dependencies
        count = dependencies.intake.acknowledge()
        if not is_held(self._adopt_at, now, dependencies.adopt_every_s):
            self._adopt_at = now + timedelta(seconds=dependencies.adopt_every_s)
            count += dependencies.intake.adopt()
        return count + dependencies.intake.take_in(block_s=0.0 if self.has_asker else dependencies.block_s)

    def _put_off(self, error: Exception, now: datetime) -> None:
        again = now + timedelta(seconds=self._dependencies.retry_s)
        if self._not_before is None:  # once an outage, not once an attempt
            log.warning(
                "stream_stopped",
                error=str(error),
                done="what is in the queue here is delivered; the stream is asked again every"
                f" {self._dependencies.retry_s:g} s, first at {time_text(again)}",
            )
        self._not_before = again
