"""Those who watch a daemon, where they are configured: the endpoint, and the meter that counts for them."""

import time
from collections.abc import Callable
from functools import partial

import structlog

from actors.machinery import Machinery
from actors.mailbox import mailbox_depth
from actors.messages import CountEvents, Ref, tell_if_alive
from actors.meter import MeterActor, MeterParts
from actors.observer_server import Observations, ObserverServer
from actors.pool import TurnPool
from actors.restart_budget import RestartBudget
from actors.statsd import Statsd
from actors.watch import Subject, Watch
from eventstore.clock import Clock, SystemClock
from eventstore.configuration import Configuration
from eventstore.home import Home
from eventstore.readers import Readers
from eventstore.redis_projection import RedisProjection
from eventstore.stream_depth import read_stream_depth

__all__ = ["Lookout"]

log = structlog.get_logger("hookfuse.observer")

# For counting what was recorded last.
_CLOSE_S = 3.0
# A scrape is not to wait for a Redis that hangs.
_REDIS_S = 1.0


class Lookout:
    """Listens, counts and sends from the daemon's own process, whoever does its work; deliveries need none of it.

    `failure` says when what counts has crashed too often. Raises ConfigurationError when it can't listen.
    """

    def __init__(
        self,
        home: Home,
        configuration: Configuration,
        *,
        on_failure: Callable[[], object],
        clock: Clock | None = None,
    ) -> None:
        self.failure = ""
        self.port = 0
        self._on_failure = on_failure
        self._clock = clock or SystemClock()
        self._readers = Readers(home.database)
        self._pool = TurnPool("meter", 1)
        self._budget = RestartBudget(configuration.daemon.restarts, configuration.daemon.restart_period_s)
        self._meter: Ref | None = None
        self._redis: RedisProjection | None = None
        self._server: ObserverServer | None = None
        self._watch = self._open_watch(configuration)
        self._meter = self._start_meter(configuration)

    def show(self, subject: Subject) -> None:
        """Show this one from now on, which does the daemon's work."""
        if self._watch is not None:
            self._watch.show(subject)

    def look_around(self) -> None:
        """Take down that the process's loop has come round, and have counted what was recorded meanwhile."""
        if self._watch is not None:
            self._watch.note_alive()
        if self._meter is not None and not mailbox_depth(self._meter):
            tell_if_alive(self._meter, CountEvents())

    def note_stopping(self) -> None:
        """Say to those who watch that an end is near."""
        if self._watch is not None:
            self._watch.note_stopping()

    def close(self) -> None:
        """Count the rest, and stop listening."""
        if self._meter is not None:
            self._stop_meter(self._meter, time.monotonic() + _CLOSE_S)
        if self._server is not None:
            self._server.close()
        self._pool.stop(_CLOSE_S)
        if self._redis is not None:
            self._redis.close()
        self._readers.close()

    def _stop_meter(self, meter: Ref, deadline_s: float) -> None:
        try:
            while meter.ask(CountEvents(), timeout=max(0.1, deadline_s - time.monotonic())):
                if time.monotonic() > deadline_s:
                    break
            meter.stop(timeout=max(0.1, deadline_s - time.monotonic()))
        except Exception as error:  # noqa: BLE001 - a meter that fails keeps nobody from stopping
            log.warning("meter_did_not_finish", error=repr(error), done="the last events are not counted")

    def _open_watch(self, configuration: Configuration) -> Watch | None:
        listen, redis = configuration.metrics.listen, configuration.redis
        if not listen:
            return None
        if redis.url.get_secret_value():
            self._redis = RedisProjection(redis.url.get_secret_value(), timeout_s=min(redis.timeout_s, _REDIS_S))
        watch = Watch(
            readers=self._readers,
            clock=self._clock,
            own=self._own_machinery,
            redis=self._redis,
            read_stream=partial(read_stream_depth, configuration.queue, timeout_s=min(redis.timeout_s, _REDIS_S)),
        )
        host, port = _host_and_port(listen)
        self._server = ObserverServer(host, port, Observations(watch.metrics, watch.liveness, watch.readiness))
        self.port = self._server.port
        log.info("observer_listening", host=host, port=self.port)
        return watch

    def _start_meter(self, configuration: Configuration) -> Ref | None:
        address = configuration.statsd.address
        if self._watch is None and not address:
            return None
        parts = MeterParts(
            readers=self._readers,
            clock=self._clock,
            meters=self._watch.meters if self._watch is not None else None,
            statsd=Statsd(*_host_and_port(address)) if address else None,
        )
        return MeterActor.start(pool=self._pool, budget=self._budget, escalate=self._escalate, parts=parts)

    def _own_machinery(self) -> Machinery:
        meter = self._meter
        if meter is None:
            return Machinery()
        return Machinery(actors=1, mailbox_messages=mailbox_depth(meter), crashes=self._budget.crash_count)

    def _escalate(self, reason: str) -> None:
        self.failure = reason
        self._on_failure()


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)
