"""The actor that measures: it follows the events, so that nothing on the way of a delivery has to count."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile

from actors.messages import CountEvents, tell_if_alive
from actors.observability.metrics import Metrics
from actors.observability.statsd import Statsd
from actors.runtime.restart_budget import RestartBudget
from actors.runtime.supervision import SupervisedActor
from actors.runtime.thread_pool import Pool
from eventstore.common.clock import Clock, time_text
from eventstore.errors import NotFoundError
from eventstore.events.catalogue import AppRegistered, AttemptEvent, DeliverySucceeded, MailRequested, MailSent
from eventstore.log.event_log import StoredEvent, last_position, read_events
from eventstore.projections.registry import find_app
from eventstore.sqlite.reader_pool import Readers

__all__ = ["MetricsActor", "MetricsDependencies"]

_BATCH_EVENTS = 2000
# What was recorded longer ago than this, and is new here, has come with an import: it is not news of this daemon.
_HISTORY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class MetricsDependencies:
    """What is counted into; None = nobody wants it."""

    readers: Readers
    clock: Clock
    metrics: Metrics | None
    statsd: Statsd | None


class MetricsActor(SupervisedActor[CountEvents]):
    """Owns how far the events are counted; it begins with those that are recorded after its start.

    Receives CountEvents. Tells itself to go on. What a crash interrupts is not counted again.
    """

    def __init__(
        self, *, pool: Pool, budget: RestartBudget, escalate: Callable[[str], None], dependencies: MetricsDependencies
    ) -> None:
        super().__init__(pool=pool, budget=budget, escalate=escalate)
        self._dependencies = dependencies
        self._names_of: dict[int, tuple[str, str]] = {}
        with dependencies.readers.borrow() as connection:
            self._position = last_position(connection)

    def receive(self, _message: CountEvents) -> bool:
        """Count the next batch; the reply says whether there was one."""
        events = self._read_batch()
        if not events:
            return False
        self._position = events[-1].position
        since = time_text(self._dependencies.clock.now() - _HISTORY)
        news = [stored for stored in events if stored.recorded_at >= since]
        if self._dependencies.metrics is not None:
            self._dependencies.metrics.count(news)
        if self._dependencies.statsd is not None:
            for stored in news:
                self._send(self._dependencies.statsd, stored)
            self._dependencies.statsd.flush()
        if not self.has_asker:
            tell_if_alive(self.actor_ref, CountEvents())
        return True

    def on_stop(self) -> None:
        """Send what has gathered."""
        if self._dependencies.statsd is not None:
            self._dependencies.statsd.close()

    def _read_batch(self) -> tuple[StoredEvent, ...]:
        with self._dependencies.readers.borrow() as connection:
            events = tuple(read_events(connection, after_position=self._position, limit=_BATCH_EVENTS))
        if len(events) < _BATCH_EVENTS:
            return events
        # The last commit may go on in the next batch: it is left for that, unless it is all there is.
        last = events[-1].recorded_at
        of_last = sum(1 for _ in takewhile(lambda stored: stored.recorded_at == last, reversed(events)))
        return events[:-of_last] or events

    def _send(self, statsd: Statsd, stored: StoredEvent) -> None:
        """Send the original's metrics (docs/original.md, sections 1 and 6)."""
        event = stored.event
        if isinstance(event, AttemptEvent):
            slug, integration = self._names(event.app_id)
            tags = {"status": str(event.status_code), "integration": integration, "webhook_event": event.event_name}
            statsd.increment("integration-platform.http_response", tags)
            if isinstance(event, DeliverySucceeded) and event.event_name.startswith("metric_alert."):
                statsd.increment("notifications.sent", {"instance": slug})
        elif isinstance(event, AppRegistered):
            self._names_of.pop(event.app_id, None)  # it may have another status, or be called otherwise
        elif isinstance(event, MailRequested):
            statsd.increment("email.queued", {"message_type": event.kind})
        elif isinstance(event, MailSent):
            statsd.increment("email.sent", {})

    def _names(self, app_id: int) -> tuple[str, str]:
        """Return an app's slug and its name as an integration.

        Only published apps are told apart (docs/original.md, section 6).
        """
        if app_id not in self._names_of:
            with self._dependencies.readers.borrow() as connection:
                try:
                    app = find_app(connection, app_id)
                except NotFoundError:
                    return str(app_id), str(app_id)
            self._names_of[app_id] = (app.slug, app.slug if app.status == "published" else app.status)
        return self._names_of[app_id]
