"""One installation as a person and a program see it; never a secret."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from console.event_text import full_fields
from eventstore.buffer import COUNTED_CLASSES, DayCounts, read_days, window_start
from eventstore.events import DisableEvidence, InstallationDisabled
from eventstore.log import read_events
from eventstore.policy import Policy
from eventstore.registry import App, Installation, Organization, find_app, find_installation, find_organization
from eventstore.request_log import LoggedRequest, RequestFilter, read_requests
from eventstore.verdict import Verdict, error_count, judge
from eventstore.work_queue import count_deliveries

__all__ = ["Disabling", "InstallationView", "day_row", "disabling_of", "disabling_row", "read_view", "verdict_of"]

_LAST_REQUESTS = 5


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
class InstallationView:
    """All that is known about one installation at one moment."""

    installation: Installation
    app: App
    organization: Organization
    disabling: Disabling | None
    verdict: Verdict
    buffer: tuple[dict[str, object], ...]
    deliveries: dict[str, int]
    requests: tuple[LoggedRequest, ...]


def read_view(connection: sqlite3.Connection, installation_id: str, policy: Policy, now: datetime) -> InstallationView:
    """Read all that is known about an installation. Raises NotFoundError."""
    installation = find_installation(connection, installation_id)
    verdict = verdict_of(connection, installation_id, policy, now)
    wanted = RequestFilter(app_id=installation.app_id, installation_id=installation_id, limit=_LAST_REQUESTS)
    return InstallationView(
        installation=installation,
        app=find_app(connection, installation.app_id),
        organization=find_organization(connection, installation.organization_id),
        disabling=disabling_of(connection, installation),
        verdict=verdict,
        buffer=tuple(day_row(policy, day) for day in verdict.days),
        deliveries=count_deliveries(connection, installation_id),
        requests=read_requests(connection, wanted, now),
    )


def verdict_of(connection: sqlite3.Connection, installation_id: str, policy: Policy, now: datetime) -> Verdict:
    """Judge an installation by what its buffer holds now."""
    days = read_days(connection, installation_id, window_start(now, policy.window_days))
    return judge(policy, days, now.date())


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
    """Give a disabling as `show --json` has it."""
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
    """Give a day's counts; `error` counts what the policy calls errors, the classes stand beside it."""
    counts: dict[str, object] = {"day": day.day, "success": day.success, "error": error_count(policy, day)}
    counts["timeout"] = day.timeout
    return counts | {name: getattr(day, name) for name in COUNTED_CLASSES if name not in counts}
