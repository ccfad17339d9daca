"""The optional bridges to Redis: a projection to it, and a stream to read from."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pykka

from actors.messages import CatchUp, Ingest, Ref
from actors.redis.intake import IntakeActor, IntakeDependencies
from actors.redis.projector import ProjectorActor, ProjectorDependencies
from actors.runtime.mailbox import mailbox_depth
from actors.runtime.supervision import SupervisedActor
from eventstore.common.clock import Clock
from eventstore.deliveries.producer import Producer
from eventstore.home.folder import Home
from eventstore.redis.original_projection import RedisProjection
from eventstore.redis.stream_intake import IntakeRule, StreamIntake
from eventstore.settings.configuration import Configuration
from eventstore.sqlite.reader_pool import Readers

__all__ = ["RedisBridges"]

# Starts an actor of a class on a pool of its own with that name, with these dependencies.
Spawn = Callable[[type[SupervisedActor[Any]], str, object], Ref]

# Asks an actor, and waits for its reply as long as it may.
Ask = Callable[[Ref, object], object]


class RedisBridges:
    """Starts what is configured, wakes it, and stops it; deliveries need none of it. One process has it, the lead."""

    def __init__(
        self,
        home: Home,
        configuration: Configuration,
        *,
        clock: Clock,
        readers: Readers,
        spawn: Spawn,
        believed_now: Callable[[], datetime] | None = None,
    ) -> None:
        self._configuration = configuration
        self._clock = clock
        self._readers = readers
        self._believed_now = believed_now
        self._projector = self._start_projector(spawn)
        self._intake = self._start_intake(spawn, home)

    @property
    def refs(self) -> list[Ref]:
        """Return the bridges that there are."""
        return [ref for ref in (self._projector, self._intake) if ref is not None]

    def look_around(self) -> None:
        """Wake what is not at it anyway."""
        for ref, message in ((self._projector, CatchUp()), (self._intake, Ingest())):
            if ref is not None and not mailbox_depth(ref) and ref.is_alive():
                ref.tell(message)

    def take_in(self, ask: Ask) -> bool:
        """Return whether the stream had something, which is in the queue now. Raises what `ask` raises."""
        return self._intake is not None and bool(ask(self._intake, Ingest()))

    def catch_up(self, ask: Ask) -> None:
        """Return when Redis has all that was recorded, or is away. Raises what `ask` raises."""
        while self._projector is not None and ask(self._projector, CatchUp()):
            pass

    def stop_taking_in(self, stop: Callable[[pykka.ActorRef[Any]], None]) -> None:
        """Stop what brings deliveries."""
        if self._intake is not None:
            stop(self._intake)

    def stop(self, stop: Callable[[pykka.ActorRef[Any]], None]) -> None:
        """Stop the rest."""
        if self._projector is not None:
            stop(self._projector)

    def _start_projector(self, spawn: Spawn) -> Ref | None:
        redis = self._configuration.redis
        url = redis.url.get_secret_value()
        if not url:
            return None
        projection = RedisProjection(url, timeout_s=redis.timeout_s)
        dependencies = ProjectorDependencies(
            self._readers, projection, self._clock, retry_s=redis.retry_s, believed_now=self._believed_now
        )
        return spawn(ProjectorActor, "projector", dependencies)

    def _start_intake(self, spawn: Spawn, home: Home) -> Ref | None:
        queue, redis = self._configuration.queue, self._configuration.redis
        url = queue.url.get_secret_value()
        if not url:
            return None
        rule = IntakeRule(
            url=url,
            stream=queue.stream,
            group=queue.group,
            consumer=home.identity(),
            is_shared=queue.shared,
            adopt_after_s=queue.adopt_after_s,
            timeout_s=redis.timeout_s,
        )
        dependencies = IntakeDependencies(
            intake=StreamIntake(Producer(home, self._clock), rule),
            clock=self._clock,
            adopt_every_s=queue.adopt_after_s / 4,  # well before others take it for gone
            retry_s=redis.retry_s,
        )
        return spawn(IntakeActor, "intake", dependencies)
