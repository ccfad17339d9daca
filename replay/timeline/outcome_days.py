"""What a picture of an installation's story is drawn from: outcomes by day, and when its breaker was open. Pure."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta

from eventstore.common.clock import day_of, parse_time
from eventstore.events.catalogue import (
    BreakerClosed,
    BreakerOpened,
    DeliveryMissed,
    EndpointChanged,
    InstallationCountsImported,
    InstallationCreated,
    InstallationDisabled,
    InstallationEnabled,
    InstallationRemoved,
)
from eventstore.log.event_log import StoredEvent
from eventstore.policies.day_counts import IMPORTED_CLASSES, counted_class

__all__ = ["MISSED", "OTHER", "OpenSpan", "OutcomeDays"]

# Beside the classes of the buffer: an attempt that says nothing about the endpoint, and what was not attempted.
OTHER = "other"
MISSED = "missed"

# After these no breaker is open.
_CLOSING = (
    BreakerClosed,
    EndpointChanged,
    InstallationCreated,
    InstallationDisabled,
    InstallationEnabled,
    InstallationRemoved,
)

# Openings that are nearer to each other are one: in a picture they would be so anyway.
_NEAR = timedelta(hours=1)


@dataclass(slots=True)
class OpenSpan:
    """From when to when the breaker was open, trials included; `last_at` None = it still is."""

    first_at: str
    last_at: str | None = None


@dataclass(slots=True)
class OutcomeDays:
    """Counts the outcomes of each UTC day by class; its memory grows with the days."""

    days: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    open_spans: list[OpenSpan] = field(default_factory=list)

    def follow_attempt(self, recorded_at: str, type_name: str, error_class: str, fault: str) -> None:
        """Count an attempt at a delivery."""
        self.days[recorded_at[:10]][counted_class(type_name, error_class, fault) or OTHER] += 1

    def follow(self, stored: StoredEvent) -> None:
        """Take in one more event that is not an attempt at a delivery."""
        match stored.event:
            case DeliveryMissed():
                self.days[day_of(stored.recorded_at)][MISSED] += 1
            case InstallationCountsImported() as event:
                counts = {name: getattr(event, name) for name in IMPORTED_CLASSES}
                self.days[event.day].update({name: count for name, count in counts.items() if count})
            case BreakerOpened(is_dry_run=False):
                self._open(stored.recorded_at)
            case event if isinstance(event, _CLOSING):
                self._close(stored.recorded_at)
            case _:
                pass

    def _open(self, recorded_at: str) -> None:
        last = self.open_spans[-1] if self.open_spans else None
        if last is None or (last.last_at and parse_time(recorded_at) - parse_time(last.last_at) > _NEAR):
            self.open_spans.append(OpenSpan(recorded_at))
        else:
            last.last_at = None

    def _close(self, recorded_at: str) -> None:
        if self.open_spans and self.open_spans[-1].last_at is None:
            self.open_spans[-1].last_at = recorded_at
