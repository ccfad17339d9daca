"""What a log adds up to: counts and latencies, in a fixed amount of memory."""

from dataclasses import dataclass

from ddsketch import DDSketch

from console.logs.bounded_counts import BoundedCounts, Counted
from console.logs.log_entry import LogEntry

__all__ = ["FailureCount", "InstallationCount", "Latency", "LogSummary"]

# A quantile that is given is within one percent of the true one.
_RELATIVE_ERROR = 0.01
_QUANTILES = (0.5, 0.95, 0.99)

# The daemon knows four; what comes beyond these is rubbish, and is taken together.
_MOST_OUTCOMES = 16
_OTHER_OUTCOME = "other"

# Both have no error class, and say nothing against an endpoint.
_NO_FAILURES = ("succeeded", "missed")


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the attempts with an outcome took; empty = all of them."""

    outcome: str
    attempts: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class FailureCount:
    """How many attempts ended so."""

    outcome: str
    error_class: str
    count: int


@dataclass(frozen=True, slots=True)
class InstallationCount:
    """How many lines are about an installation, and how many of them are failed attempts."""

    installation_id: str
    lines: int
    failures: int


class LogSummary:
    """Takes lines one by one. Memory does not grow with their number, whatever is in them."""

    def __init__(self) -> None:
        self.first_at = ""
        self.last_at = ""
        self.levels = BoundedCounts()
        self.events = BoundedCounts()
        self.event_names = BoundedCounts()
        self.outcomes = BoundedCounts()
        self.installations = BoundedCounts()
        self._failing = BoundedCounts()
        self._error_classes = BoundedCounts()
        self._sketches: dict[str, DDSketch] = {}

    def add(self, entry: LogEntry) -> None:
        """Take one line."""
        self._note_time(entry.timestamp)
        self.levels.add(entry.level)
        self.events.add(entry.event)
        if entry.event_name:
            self.event_names.add(entry.event_name)
        if entry.installation_id:
            self.installations.add(entry.installation_id)
        if entry.outcome:
            self._add_outcome(entry, entry.outcome)

    def failures(self, most: int) -> tuple[list[FailureCount], Counted]:
        """Give what failed most often; the counts say what the rest comes to."""
        counted = self._error_classes.counted(most)
        names = ((*name.partition("\n"), count) for name, count in counted.top)
        return [FailureCount(outcome, error_class, count) for outcome, _, error_class, count in names], counted

    def top_installations(self, most: int) -> tuple[list[InstallationCount], Counted]:
        """Give the installations with the most lines; the counts say what the others have."""
        counted = self.installations.counted(most)
        return [InstallationCount(name, lines, self._failing.count(name)) for name, lines in counted.top], counted

    def latencies(self) -> list[Latency]:
        """Give the latencies of each outcome, the most frequent first, and of all where there are several."""
        ordered = sorted(self._sketches.items(), key=lambda item: -item[1].count)
        if len(ordered) < 2:
            return [_latency(outcome, sketch) for outcome, sketch in ordered]
        everything = DDSketch(_RELATIVE_ERROR)
        for _, sketch in ordered:
            everything.merge(sketch)
        return [_latency(outcome, sketch) for outcome, sketch in (*ordered, ("", everything))]

    def _note_time(self, timestamp: str) -> None:
        if not "0" <= timestamp[:1] <= "9":
            return
        if not self.first_at or timestamp < self.first_at:
            self.first_at = timestamp
        self.last_at = max(self.last_at, timestamp)

    def _add_outcome(self, entry: LogEntry, outcome: str) -> None:
        self.outcomes.add(outcome)
        if outcome not in _NO_FAILURES:
            self._failing.add(entry.installation_id or "")
            self._error_classes.add(f"{outcome}\n{entry.error_class or ''}")
        if entry.duration_ms is not None:
            self._sketch(outcome).add(entry.duration_ms)

    def _sketch(self, outcome: str) -> DDSketch:
        if outcome not in self._sketches and len(self._sketches) >= _MOST_OUTCOMES:
            outcome = _OTHER_OUTCOME
        if outcome not in self._sketches:
            self._sketches[outcome] = DDSketch(_RELATIVE_ERROR)
        return self._sketches[outcome]


def _latency(outcome: str, sketch: DDSketch) -> Latency:
    p50_ms, p95_ms, p99_ms = (sketch.get_quantile_value(quantile) or 0.0 for quantile in _QUANTILES)
    return Latency(outcome, int(sketch.count), p50_ms, p95_ms, p99_ms)
