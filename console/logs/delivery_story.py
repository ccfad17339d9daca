"""The story of one delivery: its events, log lines and row in the queue in the order of time, and why it waited."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from console.logs.exception_text import exception_lines
from console.logs.log_entry import LogEntry, read_fields
from console.logs.shown_line import other_fields
from console.logs.story_text import event_words
from console.output.times import age_text, short_time
from eventstore.common.clock import parse_time, time_text
from eventstore.common.identifiers import installation_of, made_at
from eventstore.common.plural import counted
from eventstore.events.catalogue import (
    AttemptEvent,
    BreakerOpened,
    DeliveryMissed,
    DeliveryRequeued,
    InstallationDisabled,
    InstallationWarned,
)
from eventstore.log.event_log import StoredEvent
from eventstore.queue.delivery import QueuedDelivery
from replay.trace.delivery_trail import Trail

__all__ = ["Story", "StoryEntry", "StorySources", "tell_story"]

# Of these the daemon writes a log line each; the others are events only.
_LOGGED = (AttemptEvent, DeliveryMissed)

# While it rests as dead or missed, only these of what happens around it matter to it.
_ENDS_OF_REST = ("installation.enabled", "recovery.started", "recovery.completed")

_STATES: Mapping[str, str] = {
    "delivery.succeeded": "delivered",
    "delivery.dropped": "given up",
    "probe.succeeded": "a test delivery, which succeeded",
    "probe.failed": "a test delivery, which failed",
}
# Less is the daemon's own pace.
_WORTH_A_WORD = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class StorySources:
    """What is known about a delivery; `log_begins_at` is the time of the oldest log line there is, empty = none.

    `is_log_whole`: no more lines name it than those given.
    """

    delivery_id: str
    queued: QueuedDelivery | None
    stream: str
    trail: Trail
    lines: tuple[tuple[bytes, LogEntry], ...]
    log_begins_at: str
    is_log_whole: bool = True


@dataclass(frozen=True, slots=True)
class StoryEntry:
    """One thing that happened. `sources` are "events", "log", "queue", or "id"; none = it follows from the others.

    `is_decision`: this delivery is part of the evidence; `exception` are the lines of an exception.
    """

    at: str
    sources: tuple[str, ...]
    text: str
    position: int | None = None
    is_decision: bool = False
    exception: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """All of it; `notes` say what one source knows and another does not."""

    delivery_id: str
    installation_id: str
    event: str
    state: str
    entries: tuple[StoryEntry, ...]
    notes: tuple[str, ...]


def tell_story(sources: StorySources) -> Story:
    """Join what the sources know."""
    events = sources.trail.events
    own_positions = {stored.position for stored in events}
    logged = {entry.position for _, entry in sources.lines} & own_positions
    entries = [
        _beginning(sources),
        *(_own(stored, is_logged=stored.position in logged) for stored in events),
        *_around(sources),
        *(_log_only(raw, entry) for raw, entry in sources.lines if entry.position not in own_positions),
        *(StoryEntry(wait.at, (), wait.text) for wait in waits_of(_queued_at(sources), events, sources.trail.around)),
    ]
    first_entry = sources.lines[0][1] if sources.lines else LogEntry()
    return Story(
        delivery_id=sources.delivery_id,
        installation_id=installation_of(sources.stream) or first_entry.installation_id or "",
        event=_event_name(sources) or first_entry.event_name or "",
        state=_state(sources),
        entries=tuple(sorted(entries, key=lambda entry: (entry.at, entry.position or 0))),
        notes=tuple(_notes(sources, logged)),
    )


def _beginning(sources: StorySources) -> StoryEntry:
    if sources.queued is not None:
        return StoryEntry(sources.queued.enqueued_at, ("queue",), "queued")
    enqueued_at = _enqueued_at_of_events(sources.trail.events)
    if enqueued_at:
        return StoryEntry(enqueued_at, ("events",), "queued")
    made = made_at(sources.delivery_id)
    return StoryEntry(time_text(made) if made else "", ("id",), "its id was made, and it was queued then")


def _queued_at(sources: StorySources) -> str:
    return _beginning(sources).at


def _enqueued_at_of_events(events: Sequence[StoredEvent]) -> str:
    return next((stored.event.enqueued_at for stored in events if isinstance(stored.event, DeliveryMissed)), "")


def _own(stored: StoredEvent, *, is_logged: bool) -> StoryEntry:
    sources = ("events", "log") if is_logged else ("events",)
    return StoryEntry(stored.recorded_at, sources, event_words(stored.event, is_own=True), stored.position)


def _log_only(raw: bytes, entry: LogEntry) -> StoryEntry:
    fields = read_fields(raw) or {}
    parts = [entry.event, entry.outcome or "", other_fields(fields)]
    exception = tuple(exception_lines(fields.get("exception")))
    return StoryEntry(
        entry.timestamp, ("log",), "  ".join(part for part in parts if part), entry.position, exception=exception
    )


def _around(sources: StorySources) -> Iterator[StoryEntry]:
    """Return what concerned the installation while the delivery waited, and what the delivery led to."""
    queued_at, events = _queued_at(sources), sources.trail.events
    for stored in sources.trail.around:
        is_decision = _is_evidence_for(events, stored)
        before = [own for own in events if own.position < stored.position]
        if is_decision or (stored.recorded_at >= queued_at and _matters(before, stored)):
            text = event_words(stored.event, is_own=False)
            yield StoryEntry(stored.recorded_at, ("events",), text, stored.position, is_decision=is_decision)


def _matters(before: Sequence[StoredEvent], stored: StoredEvent) -> bool:
    """Return whether an event of the installation matters to a delivery after what happened to it before."""
    if not before or before[-1].type == "delivery.requeued" or _has_retry(before[-1]):
        return True  # it waits
    if before[-1].recorded_at == stored.recorded_at:
        return True  # the same commit: it came of it
    return before[-1].type == "delivery.missed" and stored.type in _ENDS_OF_REST


def _has_retry(stored: StoredEvent) -> bool:
    return isinstance(stored.event, AttemptEvent) and stored.event.retry_at is not None


def _is_evidence_for(events: Sequence[StoredEvent], decision: StoredEvent) -> bool:
    """Return whether a delivery's own event is named by the evidence of a decision, or asked for it (410 Gone)."""
    event = decision.event
    if not isinstance(event, InstallationDisabled | InstallationWarned):
        return False
    if isinstance(event, InstallationDisabled) and event.cause == "receiver":
        asked = [own for own in events if isinstance(own.event, AttemptEvent) and own.event.error_class == "gone"]
        return any(own.position < decision.position for own in asked[-1:])
    evidence = event.evidence
    named = (evidence.first_failure, evidence.last_failure) if evidence else ()
    positions = {failure.position for failure in named if failure}
    return any(own.position in positions for own in events)


def _event_name(sources: StorySources) -> str:
    if sources.queued is not None:
        return sources.queued.event_name
    return next((str(getattr(stored.event, "event_name", "")) for stored in sources.trail.events), "")


def _state(sources: StorySources) -> str:
    queued = sources.queued
    if queued is not None:
        return f"{queued.state}, payload gone" if queued.is_expired else queued.state
    ends = [_STATES[stored.type] for stored in sources.trail.events if stored.type in _STATES]
    return ends[-1] if ends else "unknown: it is no longer in the queue, and its end is not recorded"


def _notes(sources: StorySources, logged: Collection[int | None]) -> Iterator[str]:
    missing = [
        stored for stored in sources.trail.events if isinstance(stored.event, _LOGGED) and stored.position not in logged
    ]
    if missing and sources.is_log_whole:
        yield f"{_events(len(missing))} in the log: {_why_not_logged(missing, sources.log_begins_at)}"
    if not sources.is_log_whole:
        yield f"the log has more lines about it than the {len(sources.lines)} that were read"
    if sources.trail.left_out:
        yield f"{sources.trail.left_out} more events of the installation are left out"
    strange = [entry.position for _, entry in sources.lines if entry.position and entry.position not in logged]
    if strange:
        yield f"the log names event {strange[0]}, which is not one of this delivery: it may belong to another home"
    if not sources.trail.events and sources.lines:
        yield "it is known from the log only: no event names it"


def _events(count: int) -> str:
    return counted(count, "event is not", "events are not")


def _why_not_logged(missing: Sequence[StoredEvent], log_begins_at: str) -> str:
    if not log_begins_at:
        return "there is none of that time"
    if missing[-1].recorded_at < log_begins_at:
        return f"it begins at {log_begins_at}"
    return "its level was higher then, or the lines were lost (a full disk, a damaged file, or older ones taken away)"


@dataclass(frozen=True, slots=True)
class Wait:
    """From `at` on it was due, and waited all the same."""

    at: str
    text: str


def waits_of(queued_at: str, events: Sequence[StoredEvent], around: Sequence[StoredEvent]) -> Iterator[Wait]:
    """Return the times in which a delivery was due and not attempted, each with what held it back."""
    due_at = queued_at
    for stored in events:
        event = stored.event
        if isinstance(event, AttemptEvent):
            began_at = time_text(parse_time(stored.recorded_at) - timedelta(milliseconds=event.duration_ms))
            if due_at:
                yield from _wait(due_at, began_at, around)
            due_at = event.retry_at or ""
        elif isinstance(event, DeliveryRequeued):
            due_at = stored.recorded_at
        else:
            due_at = ""


def _wait(due_at: str, began_at: str, around: Sequence[StoredEvent]) -> Iterator[Wait]:
    lasted = parse_time(began_at) - parse_time(due_at)
    if lasted < _WORTH_A_WORD:
        return
    reasons = [_reason(stored) for stored in around if _held(stored, due_at, began_at)]
    why = "; ".join(dict.fromkeys(reason for reason in reasons if reason))
    unknown = "for its turn (order, a rate limit, other deliveries), or no daemon was running"
    yield Wait(due_at, f"due, and waits {age_text(lasted)}: {why or unknown}")


def _held(stored: StoredEvent, due_at: str, began_at: str) -> bool:
    """Return whether an event held an installation's deliveries back at some time between two moments."""
    return stored.recorded_at < began_at and _until(stored) > due_at


def _until(stored: StoredEvent) -> str:
    event = stored.event
    if isinstance(event, BreakerOpened):
        return "" if event.is_dry_run else event.until
    return (event.hold_until or "") if isinstance(event, AttemptEvent) else ""


def _reason(stored: StoredEvent) -> str:
    until = short_time(_until(stored))
    if isinstance(stored.event, BreakerOpened):
        return f"the breaker is open until {until}"
    return f"the endpoint had asked for a pause until {until}"
