"""What is measured: counters that follow the events, and gauges that are read when they are asked for."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from actors.observability.process_stats import ProcessStats
from eventstore.events.catalogue import EVENT_CLASSES, AttemptEvent
from eventstore.log.event_log import StoredEvent
from eventstore.redis.stream_depth import StreamDepth
from eventstore.views.system_overview import SystemOverview
from webhook import ErrorClass, kind_of

__all__ = ["Metrics", "Readings"]

# From a local endpoint's answer to [timeouts] total_s and beyond.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# What has come from elsewhere may have others, and a label is to have few values.
_CLASSES = {"", *ErrorClass}
_EVENTS_A_COMMIT = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


# When a counter began is not a metric worth a line each.
disable_created_metrics()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What is read when it is asked for. `process_stats`: None = it is not known; `restarts`: of worker processes.

    `redis_lag`: -1 = it is away, None = there is none. `stream`: None = the queue is fed from none.
    """

    is_ready: bool
    signs: SystemOverview
    wal_bytes: int = 0
    process_stats: ProcessStats | None
    restarts: int = 0
    redis_lag: int | None = None
    stream: StreamDepth | None = None


class Metrics:
    """The counters begin at zero with the process, as those of Prometheus do; labels are few and bounded."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._events = Counter("hookfuse_events", "Events recorded, by type.", ["type"], registry=self.registry)
        self._attempts = Counter(
            "hookfuse_attempts",
            "Attempts at deliveries, by outcome and class of error (empty = success).",
            ["outcome", "error_class"],
            registry=self.registry,
        )
        self._retries = Counter(
            "hookfuse_retries", "Attempts that were not the first at their delivery.", registry=self.registry
        )
        self._seconds = Histogram(
            "hookfuse_attempt_seconds", "How long attempts took.", ["outcome"], buckets=_SECONDS, registry=self.registry
        )
        self._commits = Histogram(
            "hookfuse_commit_events", "Events in one commit.", buckets=_EVENTS_A_COMMIT, registry=self.registry
        )
        self._begin_at_zero()

    def count(self, events: Sequence[StoredEvent]) -> None:
        """Count events that were recorded, in order."""
        for stored in events:
            event = stored.event
            self._events.labels(stored.type).inc()
            if isinstance(event, AttemptEvent):
                outcome = stored.type.partition(".")[2] if stored.type.startswith("delivery") else "probe"
                error_class = event.error_class if event.error_class in _CLASSES else "other"
                self._attempts.labels(outcome, error_class).inc()
                self._seconds.labels(outcome).observe(event.duration_ms / 1000)
                if event.attempt > 1:
                    self._retries.inc()
        for size in _commit_sizes(events):
            self._commits.observe(size)

    def expose(self, readings: Readings) -> bytes:
        """Return everything in Prometheus' text format."""
        gauges = CollectorRegistry(auto_describe=False)
        gauges.register(_Gauges(readings))
        return generate_latest(self.registry) + generate_latest(gauges)

    def _begin_at_zero(self) -> None:
        """Create each series at the start: a rate needs the zero before the first one."""
        for name in EVENT_CLASSES:
            self._events.labels(name)
        for outcome in ("succeeded", "probe"):
            self._attempts.labels(outcome, "")
            self._seconds.labels(outcome)
        for error_class in ErrorClass:
            self._attempts.labels(kind_of(error_class).value, error_class.value)
            self._seconds.labels(kind_of(error_class).value)


class _Gauges(Collector):
    """What is so at the moment of asking."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def collect(self) -> Iterable[Metric]:
        """Return one family after the other."""
        yield _one("ready", "Whether the daemon is ready, as /readyz says.", int(self._readings.is_ready))
        yield from self._of_database()
        yield from self._of_redis()
        yield from self._of_stream()
        yield from self._of_processes()

    def _of_database(self) -> Iterable[Metric]:
        signs = self._readings.signs
        yield _by("queue_deliveries", "Deliveries in the queue, by state.", "state", signs.deliveries)
        yield _one(
            "queue_oldest_waiting_seconds",
            "Age of the delivery that has waited longest.",
            signs.oldest_waiting_s or 0.0,
        )
        yield _one(
            "queue_overdue_seconds",
            "How long the oldest delivery that nothing holds back has been due.",
            signs.overdue_s,
        )
        yield _by("installations", "Installations, by state.", "state", signs.installations)
        yield _by("breakers", "Breakers that are not closed, by state.", "state", signs.breakers)
        yield _one("paused_installations", "Installations whose endpoint asked for a pause.", signs.paused)
        warned = {str(level): count for level, count in signs.warned.items()}
        yield _by(
            "warned_installations",
            "Installations whose owners were warned, by percent of the way to being disabled.",
            "level",
            warned,
        )
        yield _by("mails", "Mails, by state.", "state", signs.mails)
        yield _one("disabling_frozen", "Whether automatic disabling is frozen.", int(signs.is_frozen))
        yield _one("clock_doubted", "Whether the clock is doubted: nothing expires.", int(signs.is_clock_doubted))
        yield _one("last_position", "Position of the newest event.", signs.last_position)
        yield _one("wal_bytes", "Size of the database's write-ahead log.", self._readings.wal_bytes)

    def _of_redis(self) -> Iterable[Metric]:
        lag = self._readings.redis_lag
        if lag is None:
            return
        yield _one("redis_up", "Whether the Redis to which the events are projected answers.", int(lag >= 0))
        if lag >= 0:
            yield _one("redis_lag_events", "Events that are not in Redis yet.", lag)

    def _of_stream(self) -> Iterable[Metric]:
        stream = self._readings.stream
        if stream is None:
            return
        yield _one("stream_up", "Whether the Redis from which the queue is fed answers.", int(not stream.error))
        if not stream.error:
            counts = {"unread": stream.unread, "pending": stream.pending, "dead": stream.dead}
            yield _by("stream_entries", "Entries of the stream that the queue is fed from, by state.", "state", counts)

    def _of_processes(self) -> Iterable[Metric]:
        info = GaugeMetricFamily("hookfuse_build_info", "The version.", labels=["version"])
        info.add_metric([version("hookfuse")], 1)
        yield info
        yield CounterMetricFamily(
            "hookfuse_worker_restarts",
            "Worker processes that ended and were started again.",
            value=self._readings.restarts,
        )
        process_stats = self._readings.process_stats
        if process_stats is None:
            return
        yield _one("actors", "Actors alive.", process_stats.actors)
        yield _one(
            "mailbox_messages",
            "Messages waiting for the actors that all others send to.",
            process_stats.mailbox_messages,
        )
        yield _one(
            "deliveries_in_flight", "Deliveries handed out and not yet settled.", process_stats.deliveries_in_flight
        )
        yield CounterMetricFamily("hookfuse_actor_crashes", "Actors that crashed.", value=process_stats.crashes)
        yield CounterMetricFamily(
            "hookfuse_stderr_dropped_lines",
            "Lines of standard error that were dropped because nobody read them.",
            value=process_stats.dropped_lines,
        )


def _one(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"hookfuse_{name}", text, value=value)


def _by(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(f"hookfuse_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _commit_sizes(events: Sequence[StoredEvent]) -> Iterator[int]:
    """Return the sizes of the commits: the events of one share the moment of recording, to the microsecond."""
    size, moment = 0, ""
    for stored in events:
        if stored.recorded_at != moment and size:
            yield size
            size = 0
        moment = stored.recorded_at
        size += 1
    if size:
        yield size
