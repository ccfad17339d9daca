"""One installation as a person and a program see it; never a secret."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from console.output.event_text import full_fields
from console.output.times import short_time
from console.shell.as_of import PointInTimeView
from eventstore.common.clock import day_of, parse_time, time_text
from eventstore.common.identifiers import installation_stream
from eventstore.events.catalogue import (
    AttemptEvent,
    BreakerOpened,
    DisableEvidence,
    FailureRecord,
    InstallationDisabled,
)
from eventstore.log.event_log import StoredEvent, read_events
from eventstore.policies.day_counts import JUDGED_CLASSES, DayCounts, window_start
from eventstore.policies.evaluation import Evaluation, as_evaluated, error_count, evaluate
from eventstore.policies.policy import Policy
from eventstore.policies.waits import LONGEST_PAUSE_S, is_held
from eventstore.projections.broken_state_buffer import read_days
from eventstore.projections.health import Outage, read_outage
from eventstore.projections.registry import (
    App,
    Installation,
    Organization,
    find_app,
    find_installation,
    find_organization,
)
from eventstore.projections.request_log import LoggedRequest, RequestFilter, read_requests
from eventstore.queue.missed import Ledger, missed_ledger
from eventstore.queue.queries import count_deliveries
from replay.reading.moment import Moment

__all__ = [
    "Breaker",
    "Disabling",
    "Failures",
    "InstallationView",
    "breaker_of",
    "breaker_text",
    "day_row",
    "disabling_of",
    "disabling_row",
    "evaluation_of",
    "failure_of",
    "hold_of",
    "last_opening",
    "ledger_text",
    "outage_row",
    "read_view",
]

_LAST_REQUESTS = 5
_FAILURE_DAYS = 7
_EXCERPT_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Disabling:
    """How an installation came to be disabled; `position` is that of the event."""

    at: str
    position: int
    cause: str
    by: str
    reason: str
    evidence: DisableEvidence | None


@dataclass(frozen=True, slots=True)
class Breaker:
    """The circuit breaker: `state` is closed, open, half_open (one at a time is let through) or recovering."""

    state: str
    open_until: str | None
    strict_until: str | None


@dataclass(frozen=True, slots=True)
class Failures:
    """What failed in the last days: counted by the buffer's classes, and the latest ones by their exact class."""

    days: int
    by_class: dict[str, int]
    latest: tuple[dict[str, object], ...]


@dataclass(frozen=True, slots=True)
class InstallationView:
    """All that is known about one installation at one moment."""

    installation: Installation
    app: App
    organization: Organization
    disabling: Disabling | None
    evaluation: Evaluation
    buffer: tuple[dict[str, object], ...]
    deliveries: Mapping[str, int | None]
    requests: tuple[LoggedRequest, ...]
    breaker: Breaker
    hold_until: str | None
    failures: Failures
    outage: Outage
    missed: Ledger
    moment: Moment | None = None


def read_view(sight: PointInTimeView, policy: Policy) -> InstallationView:
    """Read all that is known about an installation. Raises NotFoundError."""
    connection, installation_id, now = sight.connection, sight.installation_id, sight.now
    installation = find_installation(connection, installation_id)
    evaluation = evaluation_of(connection, installation_id, policy, now)
    wanted = RequestFilter(app_id=installation.app_id, installation_id=installation_id, limit=_LAST_REQUESTS)
    return InstallationView(
        installation=installation,
        app=find_app(connection, installation.app_id),
        organization=find_organization(connection, installation.organization_id),
        disabling=disabling_of(connection, installation),
        evaluation=evaluation,
        buffer=tuple(day_row(policy, day) for day in evaluation.days),
        deliveries=_deliveries(sight),
        requests=read_requests(connection, wanted, now),
        breaker=breaker_of(installation, now),
        hold_until=hold_of(installation, now),
        failures=_failures(connection, installation, policy, now),
        outage=read_outage(connection),
        missed=missed_ledger(connection, installation_id),
        moment=sight.moment,
    )


def _deliveries(sight: PointInTimeView) -> dict[str, int | None]:
    counts: dict[str, int | None] = {**count_deliveries(sight.connection, sight.installation_id)}
    if sight.moment is not None:
        counts["waiting"] = None  # queueing leaves no event: of the past only what was kept is known
    return counts


def ledger_text(missed: Ledger) -> str:
    """Tell of missed deliveries in words: how many, from when to when; empty = there are none."""
    parts = []
    if missed.count:
        first, last = short_time(missed.first_enqueued_at or ""), short_time(missed.last_enqueued_at or "")
        gone = f", {missed.without_payload} of them without their payload" if missed.without_payload else ""
        parts.append(f"{missed.count} from {first} to {last}{gone}")
    if missed.recovering:
        parts.append(f"{missed.recovering} more are being recovered")
    return "; ".join(parts)


def evaluation_of(connection: sqlite3.Connection, installation_id: str, policy: Policy, now: datetime) -> Evaluation:
    """Judge an installation by what its buffer holds now."""
    days = read_days(connection, installation_id, window_start(now, policy.window_days))
    return evaluate(policy, days, now.date())


def disabling_of(connection: sqlite3.Connection, installation: Installation) -> Disabling | None:
    """Read when, by whom and on which evidence an installation was disabled, None = it is not."""
    if installation.disabled_position is None:
        return None
    (stored,) = read_events(connection, after_position=installation.disabled_position - 1, limit=1)
    event = stored.event
    if not isinstance(event, InstallationDisabled):
        return None
    return Disabling(stored.recorded_at, stored.position, event.cause, event.by, event.reason, event.evidence)


def disabling_row(disabling: Disabling) -> dict[str, object]:
    """Return a disabling as `show --json` has it."""
    evidence = disabling.evidence
    return {
        "at": disabling.at,
        "position": disabling.position,
        "cause": disabling.cause,
        "by": disabling.by,
        "reason": disabling.reason,
        "policy": evidence.policy if evidence else None,
        "policy_version": evidence.policy_version if evidence else None,
        "rule": evidence.rule if evidence else None,
        "evidence": full_fields(evidence),
    }


def day_row(policy: Policy, day: DayCounts) -> dict[str, object]:
    """Return a day's counts; `error` counts what the policy calls errors, the classes stand beside it."""
    counts: dict[str, object] = {"day": day.day, "success": day.success, "error": error_count(policy, day)}
    counts["timeout"] = day.timeout
    return counts | {name: getattr(day, name) for name in JUDGED_CLASSES if name not in counts}


def breaker_of(installation: Installation, now: datetime) -> Breaker:
    """Return how the breaker stands at a moment; its two moments are those that were recorded."""
    open_until, strict_until = installation.breaker_open_until, installation.breaker_strict_until
    if open_until is not None:
        state = "open" if _is_held(open_until, now) else "half_open"
    else:
        state = "recovering" if _is_held(strict_until, now) else "closed"
    return Breaker(state, open_until, strict_until)


def breaker_text(breaker: Breaker) -> str:
    """Return how a breaker stands, for a person; a closed one is not worth a word."""
    return {
        "open": f"open until {short_time(breaker.open_until or '')}: its deliveries wait",
        "half_open": "half open: one delivery at a time is let through, to find out",
        "recovering": f"closed again, with stricter limits until {short_time(breaker.strict_until or '')}",
    }.get(breaker.state, "")


def hold_of(installation: Installation, now: datetime) -> str | None:
    """Return until when the endpoint asked for a pause (429, 503), None = there is none now."""
    return installation.hold_until if _is_held(installation.hold_until, now) else None


def _is_held(until: str | None, now: datetime) -> bool:
    return until is not None and is_held(parse_time(until), now, LONGEST_PAUSE_S)


def last_opening(connection: sqlite3.Connection, installation_id: str) -> tuple[StoredEvent, BreakerOpened] | None:
    """Read the breaker's last opening that was no dry run."""
    opened = read_events(
        connection, stream=installation_stream(installation_id), type_names=("breaker.opened",), is_newest_first=True
    )
    for stored in opened:
        if isinstance(stored.event, BreakerOpened) and not stored.event.is_dry_run:
            return stored, stored.event
    return None


def outage_row(outage: Outage) -> dict[str, object]:
    """Return the fleet as `--json` has it."""
    return {
        "is_frozen": outage.is_frozen,
        "since": outage.changed_at or None,
        "active": outage.active,
        "failing": outage.failing,
    }


def failure_of(connection: sqlite3.Connection, position: int) -> FailureRecord | None:
    """Read the failed attempt at a position, as evidence names it."""
    for stored in read_events(connection, after_position=position - 1, limit=1):
        event = stored.event
        if stored.position == position and isinstance(event, AttemptEvent):
            excerpt = (event.response_body or event.detail)[:_EXCERPT_CHARACTERS]
            return FailureRecord(position, stored.recorded_at, event.status_code, event.error_class, excerpt)
    return None


def _failures(connection: sqlite3.Connection, installation: Installation, policy: Policy, now: datetime) -> Failures:
    counts: Counter[str] = Counter()
    for day in read_days(connection, installation.installation_id, window_start(now, _FAILURE_DAYS)):
        if day.day > day_of(time_text(now)):  # counted by a clock that was ahead
            continue
        judged = as_evaluated(policy, day)  # as the buffer beside it
        counts.update({name: getattr(judged, name) for name in JUDGED_CLASSES if name != "success"})
    by_class = {name: count for name, count in counts.items() if count}
    return Failures(_FAILURE_DAYS, by_class, _latest_failures(_logged_failures(connection, installation, now)))


def _logged_failures(
    connection: sqlite3.Connection, installation: Installation, now: datetime
) -> Iterable[LoggedRequest]:
    """Read the failed attempts that the request log still has, each once: a redirect is not among its errors."""
    found: dict[int, LoggedRequest] = {}
    for is_errors_only in (True, False):
        wanted = RequestFilter(
            app_id=installation.app_id,
            installation_id=installation.installation_id,
            is_errors_only=is_errors_only,
            start=now - timedelta(days=_FAILURE_DAYS),
        )
        found |= {logged.position: logged for logged in read_requests(connection, wanted, now)}
    return [found[position] for position in sorted(found) if found[position].attempt.error_class]


def _latest_failures(logged: Iterable[LoggedRequest]) -> tuple[dict[str, object], ...]:
    counts: Counter[str] = Counter()
    last: dict[str, LoggedRequest] = {}
    for request in logged:
        counts[request.attempt.error_class] += 1
        last[request.attempt.error_class] = request
    return tuple(
        {
            "error_class": name,
            "count": count,
            "last_at": last[name].date,
            "last_code": last[name].attempt.status_code,
            "last_position": last[name].position,
        }
        for name, count in counts.most_common()
    )
