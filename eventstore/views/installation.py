"""All about one installation at one moment, as `show` has it; never a secret."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct

from eventstore.common.clock import day_of, time_text
from eventstore.common.connection import Connection
from eventstore.events.catalogue import DisableEvidence, InstallationDisabled
from eventstore.log.event_log import read_events
from eventstore.policies.day_counts import EVALUATED_CLASSES, DayCounts, window_start
from eventstore.policies.evaluation import Evaluation, as_evaluated, error_count
from eventstore.policies.policy import Policy
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
from eventstore.views.breaker import Breaker, breaker_of, pause_of
from eventstore.views.evaluation import read_evaluation

__all__ = [
    "Disabling",
    "FailureClass",
    "Failures",
    "InstallationView",
    "read_disabling",
    "read_installation",
]

_LAST_REQUESTS = 5
_FAILURE_DAYS = 7


class Disabling(Struct, frozen=True):
    """How an installation came to be disabled; `position` is that of the event."""

    at: str
    position: int
    cause: str
    by: str
    reason: str
    evidence: DisableEvidence | None


class FailureClass(Struct, frozen=True):
    """So many of the latest failures were of this class, and the last of them."""

    error_class: str
    count: int
    last_at: str
    last_code: int
    last_position: int


class Failures(Struct, frozen=True):
    """What failed in the last days: counted by the buffer's classes, and the latest ones by their exact class."""

    days: int
    by_class: dict[str, int]
    latest: tuple[FailureClass, ...]


class InstallationView(Struct, frozen=True):
    """All that is known about one installation at one moment.

    `buffer` has the days of the policy's window with their counts by class, `error` counting what the policy calls
    errors; `deliveries` counts them by state, None = it is not known how many there were.
    """

    installation: Installation
    app: App
    organization: Organization
    disabling: Disabling | None
    evaluation: Evaluation
    buffer: tuple[dict[str, int | str], ...]
    deliveries: dict[str, int | None]
    requests: tuple[LoggedRequest, ...]
    breaker: Breaker
    hold_until: str | None
    failures: Failures
    outage: Outage
    missed: Ledger


def read_installation(
    connection: Connection, installation_id: str, policy: Policy, now: datetime, *, is_past: bool = False
) -> InstallationView:
    """Read all that is known about an installation. `is_past`: what is read was made from events alone.

    Raises NotFoundError.
    """
    installation = find_installation(connection, installation_id)
    evaluation = read_evaluation(connection, installation_id, policy, now)
    wanted = RequestFilter(app_id=installation.app_id, installation_id=installation_id, limit=_LAST_REQUESTS)
    deliveries: dict[str, int | None] = {**count_deliveries(connection, installation_id)}
    if is_past:
        deliveries["waiting"] = None  # queueing leaves no event: of the past only what was kept is known
    return InstallationView(
        installation=installation,
        app=find_app(connection, installation.app_id),
        organization=find_organization(connection, installation.organization_id),
        disabling=read_disabling(connection, installation),
        evaluation=evaluation,
        buffer=tuple(_day(policy, day) for day in evaluation.days),
        deliveries=deliveries,
        requests=read_requests(connection, wanted, now),
        breaker=breaker_of(installation, now),
        hold_until=pause_of(installation, now),
        failures=_failures(connection, installation, policy, now),
        outage=read_outage(connection),
        missed=missed_ledger(connection, installation_id),
    )


def read_disabling(connection: Connection, installation: Installation) -> Disabling | None:
    """Read when, by whom and on which evidence an installation was disabled, None = it is not."""
    if installation.disabled_position is None:
        return None
    (stored,) = read_events(connection, after_position=installation.disabled_position - 1, limit=1)
    event = stored.event
    if not isinstance(event, InstallationDisabled):
        return None
    return Disabling(stored.recorded_at, stored.position, event.cause, event.by, event.reason, event.evidence)


def _day(policy: Policy, day: DayCounts) -> dict[str, int | str]:
    counts: dict[str, int | str] = {"day": day.day, "success": day.success, "error": error_count(policy, day)}
    counts["timeout"] = day.timeout
    return counts | {name: getattr(day, name) for name in EVALUATED_CLASSES if name not in counts}


def _failures(connection: Connection, installation: Installation, policy: Policy, now: datetime) -> Failures:
    counts: Counter[str] = Counter()
    for day in read_days(connection, installation.installation_id, window_start(now, _FAILURE_DAYS)):
        if day.day > day_of(time_text(now)):  # counted by a clock that was ahead
            continue
        evaluated = as_evaluated(policy, day)  # as the buffer beside it
        counts.update({name: getattr(evaluated, name) for name in EVALUATED_CLASSES if name != "success"})
    by_class = {name: count for name, count in counts.items() if count}
    return Failures(_FAILURE_DAYS, by_class, _latest(_logged_failures(connection, installation, now)))


def _logged_failures(connection: Connection, installation: Installation, now: datetime) -> Iterable[LoggedRequest]:
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


def _latest(logged: Iterable[LoggedRequest]) -> tuple[FailureClass, ...]:
    """Count failures by class, given the oldest first; the most frequent class comes first."""
    counts: Counter[str] = Counter()
    last: dict[str, LoggedRequest] = {}
    for request in logged:
        counts[request.attempt.error_class] += 1
        last[request.attempt.error_class] = request
    return tuple(
        FailureClass(name, count, last[name].date, last[name].attempt.status_code, last[name].position)
        for name, count in counts.most_common()
    )
