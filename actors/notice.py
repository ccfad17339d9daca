"""What a mail has to say, from the events."""

import sqlite3
from typing import Literal, cast

from actors.mail_message import DayLine, DisabledNotice, FailureLine
from eventstore.clock import parse_time
from eventstore.errors import NotFoundError
from eventstore.events import DayRecord, DisableEvidence, FailureRecord, InstallationDisabled
from eventstore.log import StoredEvent, read_events
from eventstore.outbox import OwedMail
from eventstore.policy import POLICIES
from eventstore.registry import find_app, find_organization

__all__ = ["disabled_notice"]


def disabled_notice(connection: sqlite3.Connection, mail: OwedMail) -> DisabledNotice:
    """Give what the mail about a disabling says. Raises NotFoundError when the log has no such event."""
    stored = _event_at(connection, mail.about_position)
    disabled = stored.event
    if not isinstance(disabled, InstallationDisabled):
        raise NotFoundError(f"position {mail.about_position} is no installation.disabled")
    app = find_app(connection, disabled.app_id)
    organization = find_organization(connection, disabled.organization_id)
    evidence = disabled.evidence
    return DisabledNotice(
        app_name=app.name,
        app_slug=app.slug,
        organization_name=organization.name,
        organization_slug=organization.slug,
        organization_url=organization.url,
        webhook_url=disabled.webhook_url,
        installation_id=disabled.installation_id,
        disabled_at=parse_time(stored.recorded_at),
        cause=cast("Literal['policy', 'receiver', 'person']", disabled.cause),
        policy=f"{evidence.policy} v{evidence.policy_version}" if evidence and disabled.cause == "policy" else "",
        rule=evidence.explanation if evidence and disabled.cause == "policy" else "",
        days=tuple(_day_line(evidence, day) for day in evidence.days) if evidence else (),
        first_failure=_failure_line(evidence.first_failure) if evidence else None,
        last_failure=_failure_line(evidence.last_failure) if evidence else None,
        reason=disabled.reason if disabled.cause == "person" else "",
    )


def _event_at(connection: sqlite3.Connection, position: int) -> StoredEvent:
    for stored in read_events(connection, after_position=position - 1, limit=1):
        return stored
    raise NotFoundError(f"the log has no position {position}")


def _day_line(evidence: DisableEvidence, day: DayRecord) -> DayLine:
    policy = POLICIES.get(evidence.policy)
    errors = policy.errors if policy else ("redirect", "client_error", "server_error", "protocol")
    return DayLine(day.day, day.success, sum(getattr(day, name) for name in errors), day.timeout)


def _failure_line(failure: FailureRecord | None) -> FailureLine | None:
    if failure is None:
        return None
    return FailureLine(failure.at, failure.status_code, failure.error_class, failure.excerpt)
