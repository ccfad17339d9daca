"""The actor that keeps Redis in step with the events."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from actors.messages import CatchUp, tell_if_alive
from actors.runtime.restart_budget import RestartBudget
from actors.runtime.supervision import SupervisedActor
from actors.runtime.thread_pool import Pool
from eventstore.common.clock import Clock, time_text
from eventstore.errors import RedisAwayError, RejectedError
from eventstore.policies.waits import is_held
from eventstore.redis.original_projection import RedisProjection
from eventstore.sqlite.reader_pool import Readers

__all__ = ["ProjectorActor", "ProjectorDependencies"]

log = structlog.get_logger("hookfuse.projector")


@dataclass(frozen=True, slots=True)
class ProjectorDependencies:
    """What the projector works with. `retry_s`: seconds until a Redis that did not answer is asked again.

    `believed_now`: by which it follows how long what is written lives; None = by the clock.
    """

    readers: Readers
    projection: RedisProjection
    clock: Clock
    retry_s: float
    believed_now: Callable[[], datetime] | None = None


class ProjectorActor(SupervisedActor[CatchUp]):
    """Owns the connection to Redis; how far it has come stands there, beside the data.

    Receives CatchUp, and writes one batch a message, so that a stop is never behind more than one.
    Tells itself to go on. A Redis that is away holds up nobody else.
    """

    turn_messages = 1  # each waits for Redis: a turn that lasts is one that hangs

    def __init__(
        self, *, pool: Pool, budget: RestartBudget, escalate: Callable[[str], None], dependencies: ProjectorDependencies
    ) -> None:
        super().__init__(pool=pool, budget=budget, escalate=escalate)
        self._dependencies = dependencies
        self._not_before: datetime | None = None

    def receive(self, _message: CatchUp) -> bool:
        """Write the next batch; the reply says whether there was one."""
        now = self._dependencies.clock.now()
        if is_held(self._not_before, now, self._dependencies.retry_s):
            return False
        believed = (self._dependencies.believed_now or self._dependencies.clock.now)()
        try:
            with self._dependencies.readers.borrow() as connection:
                count = self._dependencies.projection.catch_up(connection, believed)
        except (RedisAwayError, RejectedError) as error:
            self._put_off(error, now)
            return False
        self._note_back()
        if count and not self.has_asker:
            tell_if_alive(self.actor_ref, CatchUp())
        return bool(count)

    def on_stop(self) -> None:
        """Close the connection."""
        self._dependencies.projection.close()

    def _put_off(self, error: Exception, now: datetime) -> None:
        again = now + timedelta(seconds=self._dependencies.retry_s)
        if self._not_before is None:  # once an outage, not once an attempt
            log.warning(
                "redis_projection_stopped",
                error=str(error),
                done=f"deliveries go on; retried every {self._dependencies.retry_s:g} s, first at {time_text(again)}",
            )
        self._not_before = again

    def _note_back(self) -> None:
        if self._not_before is not None:
            log.warning("redis_projection_resumed", done="it catches up with what was recorded meanwhile")
        self._not_before = None
