"""What a log adds up to: counts and latencies."""

from collections import Counter

import msgspec
from ddsketch import DDSketch

from console.logs.log_entry import LogEntry

__all__ = ["Latency", "LogSummary"]

# A quantile that is given is within one percent of the true one.
_RELATIVE_ERROR = 0.01
_QUANTILES = (0.5, 0.95, 0.99)

# Both have no error class, and say nothing against an endpoint.
_NO_FAILURES = ("succeeded", "missed")


class Latency(msgspec.Struct, frozen=True):
    """How long the attempts with an outcome took; None = all of them."""

    outcome: str | None
    attempts: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


class LogSummary:
    """Takes lines one by one; memory grows with the names in them, not with their number."""

    def __init__(self) -> None:
        self.first_at = ""
        self.last_at = ""
        self.levels = Counter[str]()
        self.events = Counter[str]()
        self.event_names = Counter[str]()
        self.outcomes = Counter[str]()
        self.error_classes = Counter[str]()  # "outcome\nerror class"
        self.installations = Counter[str]()
        self.failing = Counter[str]()
        self._sketches: dict[str, DDSketch] = {}

    def add(self, entry: LogEntry) -> None:
        """Take one line."""
        if "0" <= entry.timestamp[:1] <= "9":
            self.first_at = min(self.first_at or entry.timestamp, entry.timestamp)
            self.last_at = max(self.last_at, entry.timestamp)
        self.levels[entry.level] += 1
        self.events[entry.event] += 1
        if entry.event_name:
            self.event_names[entry.event_name] += 1
        if entry.installation_id:
            self.installations[entry.installation_id] += 1
        if entry.outcome:
            self._add_outcome(entry, entry.outcome)

    def latencies(self) -> list[Latency]:
        """Return the latencies of each outcome, the most frequent first, and of all where there are several."""
        ordered = sorted(self._sketches.items(), key=lambda item: -item[1].count)
        found = [_latency(outcome, sketch) for outcome, sketch in ordered]
        if len(ordered) < 2:
            return found
        everything = DDSketch(_RELATIVE_ERROR)
        for _, sketch in ordered:
            everything.merge(sketch)
        return [*found, _latency(None, everything)]

    def _add_outcome(self, entry: LogEntry, outcome: str) -> None:
        self.outcomes[outcome] += 1
        if outcome not in _NO_FAILURES:
            self.failing[entry.installation_id or ""] += 1
            self.error_classes[f"{outcome}\n{entry.error_class or ''}"] += 1
        if entry.duration_ms is not None:
            self._sketches.setdefault(outcome, DDSketch(_RELATIVE_ERROR)).add(entry.duration_ms)


def _latency(outcome: str | None, sketch: DDSketch) -> Latency:
    p50_ms, p95_ms, p99_ms = (sketch.get_quantile_value(quantile) or 0.0 for quantile in _QUANTILES)
    return Latency(outcome, int(sketch.count), p50_ms, p95_ms, p99_ms)
