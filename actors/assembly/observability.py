"""Those who watch a daemon, where they are configured: the endpoint, and the metrics_actor that counts for them."""

import time
from collections.abc import Callable
from functools import partial

import structlog

from actors.messages import CountEvents, Ref, tell_if_alive
from actors.observability.health_checks import HealthChecks, HealthSource
from actors.observability.metrics_actor import MetricsActor, MetricsDependencies
from actors.observability.observer_server import Observations, ObserverServer
from actors.observability.process_stats import ProcessStats
from actors.observability.statsd import Statsd
from actors.runtime.mailbox import mailbox_depth
from actors.runtime.restart_budget import RestartBudget
from actors.runtime.thread_pool import TurnPool
from eventstore.common.clock import Clock, SystemClock
from eventstore.home.folder import Home
from eventstore.redis.original_projection import RedisProjection
from eventstore.redis.stream_depth import read_stream_depth
from eventstore.settings.configuration import Configuration
from eventstore.sqlite.reader_pool import Readers

__all__ = ["Observability"]

log = structlog.get_logger("hookfuse.observer")

# For counting what was recorded last.
_CLOSE_S = 3.0
# As for the actors that do the work.
_TURN_S = 60.0
# The server's loop comes round twice a second.
_SERVER_STANDS_S = 60.0
# A scrape is not to wait for a Redis that hangs.
_REDIS_S = 1.0


class Observability:
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
        self._pool = TurnPool("metrics_actor", 1)
        self._budget = RestartBudget(configuration.daemon.restarts, configuration.daemon.restart_period_s)
        self._metrics_actor: Ref | None = None
        self._redis: RedisProjection | None = None
        self._server: ObserverServer | None = None
        self._is_server_standing = False
        self._watch = self._open_watch(configuration)
        self._metrics_actor = self._start_metrics(configuration)

    def show(self, subject: HealthSource) -> None:
        """Show this one from now on, which does the daemon's work."""
        if self._watch is not None:
            self._watch.show(subject)

    def look_around(self) -> None:
        """Take down that the process's loop has come round, and have counted what was recorded meanwhile."""
        if self._watch is not None:
            self._watch.note_alive()
        self._look_after_server()
        if self._metrics_actor is not None and not mailbox_depth(self._metrics_actor):
            tell_if_alive(self._metrics_actor, CountEvents())

    def note_stopping(self) -> None:
        """Tell those who watch that the end is near."""
        if self._watch is not None:
            self._watch.note_stopping()

    def close(self) -> None:
        """Count the rest, and stop listening."""
        if self._metrics_actor is not None:
            self._stop_metrics(self._metrics_actor, time.monotonic() + _CLOSE_S)
        if self._server is not None:
            self._server.close()
        self._pool.stop(_CLOSE_S)
        if self._redis is not None:
            self._redis.close()
        self._readers.close()

    def _stop_metrics(self, metrics_actor: Ref, deadline_s: float) -> None:
        try:
            while metrics_actor.ask(CountEvents(), timeout=max(0.1, deadline_s - time.monotonic())):
                if time.monotonic() > deadline_s:
                    break
            metrics_actor.stop(timeout=max(0.1, deadline_s - time.monotonic()))
        except Exception as error:  # noqa: BLE001 - a metrics_actor that fails keeps nobody from stopping
            log.warning("meter_did_not_finish", error=repr(error), done="the last events are not counted")

    def _look_after_server(self) -> None:
        stands_s = self._server.stands_s() if self._server is not None else 0.0
        is_standing = stands_s > _SERVER_STANDS_S
        if is_standing and not self._is_server_standing:
            log.error("observer_stands", stands_s=round(stands_s), done="nobody is answered; deliveries go on")
        self._is_server_standing = is_standing

    def _open_watch(self, configuration: Configuration) -> HealthChecks | None:
        listen, redis = configuration.metrics.listen, configuration.redis
        if not listen:
            return None
        if redis.url.get_secret_value():
            self._redis = RedisProjection(redis.url.get_secret_value(), timeout_s=min(redis.timeout_s, _REDIS_S))
        watch = HealthChecks(
            readers=self._readers,
            clock=self._clock,
            own=self._own_process_stats,
            own_liveness=self._liveness,
            redis=self._redis,
            read_stream=partial(read_stream_depth, configuration.queue, timeout_s=min(redis.timeout_s, _REDIS_S)),
        )
        host, port = _host_and_port(listen)
        self._server = ObserverServer(host, port, Observations(watch.expose, watch.liveness, watch.readiness))
        self.port = self._server.port
        log.info("observer_listening", host=host, port=self.port)
        return watch

    def _start_metrics(self, configuration: Configuration) -> Ref | None:
        address = configuration.statsd.address
        if self._watch is None and not address:
            return None
        dependencies = MetricsDependencies(
            readers=self._readers,
            clock=self._clock,
            metrics=self._watch.metrics if self._watch is not None else None,
            statsd=Statsd(*_host_and_port(address)) if address else None,
        )
        return MetricsActor.start(
            pool=self._pool, budget=self._budget, escalate=self._escalate, dependencies=dependencies
        )

    def _own_process_stats(self) -> ProcessStats:
        metrics_actor = self._metrics_actor
        own = ProcessStats(dropped_lines=self._dropped_lines())
        if metrics_actor is None:
            return own
        return own + ProcessStats(
            actors=1, mailbox_messages=mailbox_depth(metrics_actor), crashes=self._budget.crash_count
        )

    def _liveness(self) -> dict[str, str]:
        lasts_s = self._pool.longest_task_s()
        return {"metrics_actor": "ok" if lasts_s < _TURN_S else f"has been in one turn for {lasts_s:.0f} s"}

    def _escalate(self, reason: str) -> None:
        self.failure = reason
        self._on_failure()


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)
