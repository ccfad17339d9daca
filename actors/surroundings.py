"""What stands around the deliveries, where it is configured: Redis, a stream to read from, and those who watch."""

from collections.abc import Callable
from typing import Any

import pykka

from actors.intake import IntakeActor, IntakeParts
from actors.mailbox import mailbox_depth
from actors.messages import CatchUp, CountEvents, Ref, TakeIn
from actors.meter import MeterActor, MeterParts
from actors.meters import Machinery
from actors.projector import ProjectorActor, ProjectorParts
from actors.statsd import Statsd
from actors.supervised import SupervisedActor
from actors.watch import Watch
from eventstore.clock import Clock
from eventstore.configuration import Configuration
from eventstore.home import Home
from eventstore.producer import Producer
from eventstore.readers import Readers
from eventstore.redis_intake import IntakeRule, StreamIntake
from eventstore.redis_projection import RedisProjection

__all__ = ["Surroundings"]

# Starts an actor of a class on a pool of its own with that name, with these parts.
Spawn = Callable[[type[SupervisedActor[Any]], str, object], Ref]

_ASK_TIMEOUT_S = 60.0


class Surroundings:
    """Starts what is configured, wakes it, and stops it; deliveries need none of it. One process has it, the lead."""

    def __init__(
        self,
        home: Home,
        configuration: Configuration,
        *,
        clock: Clock,
        readers: Readers,
        spawn: Spawn,
        read_machinery: Callable[[], Machinery | None],
        failure: Callable[[], str],
    ) -> None:
        self._configuration = configuration
        self._clock = clock
        self._readers = readers
        self._projector = self._start_projector(spawn)
        self._intake = self._start_intake(spawn, home)
        self._redis: RedisProjection | None = None
        self._watch = self._open_watch(read_machinery, failure)
        self._meter = self._start_meter(spawn)

    def look_around(self) -> None:
        """Wake what is not at it anyway."""
        if self._watch is not None:
            self._watch.note_alive()
        for ref, message in ((self._projector, CatchUp()), (self._intake, TakeIn()), (self._meter, CountEvents())):
            if ref is not None and not mailbox_depth(ref) and ref.is_alive():
                ref.tell(message)

    def take_in(self) -> bool:
        """Say whether the stream had something, which is in the queue now."""
        return self._intake is not None and bool(self._intake.ask(TakeIn(), timeout=_ASK_TIMEOUT_S))

    def catch_up(self) -> None:
        """Return when Redis has all that was recorded, or is away."""
        while self._projector is not None and self._projector.ask(CatchUp(), timeout=_ASK_TIMEOUT_S):
            pass

    def stop_taking_in(self, stop: Callable[[pykka.ActorRef[Any]], None]) -> None:
        """Stop what brings deliveries, and say to those who watch that an end is near."""
        if self._watch is not None:
            self._watch.note_stopping()
        if self._intake is not None:
            stop(self._intake)

    def stop(self, stop: Callable[[pykka.ActorRef[Any]], None]) -> None:
        """Stop the rest."""
        for ref in (self._projector, self._meter):
            if ref is not None:
                stop(ref)
        if self._watch is not None:
            self._watch.close()
        if self._redis is not None:
            self._redis.close()

    def _start_projector(self, spawn: Spawn) -> Ref | None:
        redis = self._configuration.redis
        url = redis.url.get_secret_value()
        if not url:
            return None
        projection = RedisProjection(url, timeout_s=redis.timeout_s)
        return spawn(
            ProjectorActor, "projector", ProjectorParts(self._readers, projection, self._clock, retry_s=redis.retry_s)
        )

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
        parts = IntakeParts(
            intake=StreamIntake(Producer(home, self._clock), rule),
            clock=self._clock,
            adopt_every_s=queue.adopt_after_s / 4,  # well before others take it for gone
            retry_s=redis.retry_s,
        )
        return spawn(IntakeActor, "intake", parts)

    def _open_watch(self, read_machinery: Callable[[], Machinery | None], failure: Callable[[], str]) -> Watch | None:
        listen, redis = self._configuration.metrics.listen, self._configuration.redis
        if not listen:
            return None
        if redis.url.get_secret_value():
            # A connection of its own, which gives up soon: a scrape is not to wait for a Redis that hangs.
            self._redis = RedisProjection(redis.url.get_secret_value(), timeout_s=min(redis.timeout_s, 1.0))
        watch = Watch(
            readers=self._readers,
            clock=self._clock,
            read_machinery=read_machinery,
            failure=failure,
            redis=self._redis,
        )
        watch.serve(*_host_and_port(listen))
        return watch

    def _start_meter(self, spawn: Spawn) -> Ref | None:
        address = self._configuration.statsd.address
        statsd = Statsd(*_host_and_port(address)) if address else None
        meters = self._watch.meters if self._watch is not None else None
        if meters is None and statsd is None:
            return None
        return spawn(MeterActor, "meter", MeterParts(self._readers, meters, statsd))


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)
