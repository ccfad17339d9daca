"""Those who watch a daemon, where they are configured: the endpoint, and the meter that counts for them."""

import time
from collections.abc import Callable
from functools import partial

import structlog

from actors.messages import CountEvents, Ref, tell_if_alive
from actors.observability.machinery import Machinery
from actors.observability.meter import MeterActor, MeterParts
from actors.observability.observer_server import Observations, ObserverServer
from actors.observability.statsd import Statsd
from actors.observability.watch import Subject, Watch
from actors.runtime.mailbox import mailbox_depth
from actors.runtime.restart_budget import RestartBudget
from actors.runtime.thread_pool import TurnPool
from eventstore.common.clock import Clock, SystemClock
from eventstore.home.folder import Home
from eventstore.redis.original_projection import RedisProjection
from eventstore.redis.stream_depth import read_stream_depth
from eventstore.settings.configuration import Configuration
from eventstore.sqlite.reader_pool import Readers

__all__ = ["Lookout"]

log = structlog.get_logger("hookfuse.observer")

# For counting what was recorded last.
_CLOSE_S = 3.0
# As for the actors that do the work.
_TURN_S = 60.0
# The server's loop comes round twice a second.
_SERVER_STANDS_S = 60.0
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
        dropped_lines: Callable[[], int] = lambda: 0,
        clock: Clock | None = None,
    ) -> None:
        self.failure = ""
        self.port = 0
        self._on_failure = on_failure
        self._dropped_lines = dropped_lines
        self._clock = clock or SystemClock()
        self._readers = Readers(home.database)
        self._pool = TurnPool("meter", 1)
        self._budget = RestartBudget(configuration.daemon.restarts, configuration.daemon.restart_period_s)
        self._meter: Ref | None = None
        self._redis: RedisProjection | None = None
        self._server: ObserverServer | None = None
        self._is_server_standing = False
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
        self._look_after_server()
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

    def _look_after_server(self) -> None:
        stands_s = self._server.stands_s() if self._server is not None else 0.0
        is_standing = stands_s > _SERVER_STANDS_S
        if is_standing and not self._is_server_standing:
            log.error("observer_stands", stands_s=round(stands_s), done="nobody is answered; deliveries go on")
        self._is_server_standing = is_standing

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
            own_liveness=self._liveness,
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
        own = Machinery(dropped_lines=self._dropped_lines())
        if meter is None:
            return own
        return own + Machinery(actors=1, mailbox_messages=mailbox_depth(meter), crashes=self._budget.crash_count)

    def _liveness(self) -> dict[str, str]:
        lasts_s = self._pool.longest_task_s()
        return {"meter": "ok" if lasts_s < _TURN_S else f"is at one turn for {lasts_s:.0f} s"}

    def _escalate(self, reason: str) -> None:
        self.failure = reason
        self._on_failure()


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)
