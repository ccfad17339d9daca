"""What a mail has to say, from the events."""

import sqlite3
from typing import Literal, cast

from actors.mail.digest_message import DigestEntry
from actors.mail.mail_message import DisabledNotice, FailureLine, WarningNotice
from eventstore.common.clock import parse_time
from eventstore.errors import NotFoundError
from eventstore.events.catalogue import FailureRecord, InstallationDisabled, InstallationWarned
from eventstore.log.event_log import StoredEvent, read_events
from eventstore.projections.outbox import WARNED, PendingMail, read_gathered_mails
from eventstore.projections.registry import find_app, find_organization

__all__ = ["digest_entries", "disabled_notice", "warning_notice"]


def disabled_notice(connection: sqlite3.Connection, mail: PendingMail) -> DisabledNotice:
    """Return what the mail about a disabling says. Raises NotFoundError when the log has no such event."""
    stored = _event_at(connection, mail.about_position)
    disabled = stored.event
    if not isinstance(disabled, InstallationDisabled):
        raise NotFoundError(f"position {mail.about_position} is not an installation.disabled")
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
        days=evidence.days if evidence else (),
        first_failure=_failure_line(evidence.first_failure) if evidence else None,
        last_failure=_failure_line(evidence.last_failure) if evidence else None,
        reason=disabled.reason if disabled.cause == "person" else "",
        remediation=evidence.remediation if evidence else "",
    )


def warning_notice(connection: sqlite3.Connection, mail: PendingMail) -> WarningNotice:
    """Return what the mail that warns says. Raises NotFoundError when the log has no such event."""
    stored = _event_at(connection, mail.about_position)
    warned = stored.event
    if not isinstance(warned, InstallationWarned):
        raise NotFoundError(f"position {mail.about_position} is not an installation.warned")
    app = find_app(connection, warned.app_id)
    organization = find_organization(connection, warned.organization_id)
    evidence = warned.evidence
    return WarningNotice(
        app_name=app.name,
        app_slug=app.slug,
        organization_name=organization.name,
        organization_slug=organization.slug,
        organization_url=organization.url,
        webhook_url=warned.webhook_url,
        installation_id=warned.installation_id,
        warned_at=parse_time(stored.recorded_at),
        level=warned.level,
        policy=f"{evidence.policy} v{evidence.policy_version}",
        rule=evidence.explanation,
        remediation=evidence.remediation,
        days=evidence.days,
        first_failure=_failure_line(evidence.first_failure),
        last_failure=_failure_line(evidence.last_failure),
    )


def digest_entries(connection: sqlite3.Connection, digest: PendingMail) -> tuple[DigestEntry, ...]:
    """Return an entry for each mail that a digest stands for, in the order in which they were requested.

    Raises NotFoundError when the log does not have what one of them is about.
    """
    return tuple(
        DigestEntry.of(warning_notice(connection, mail) if mail.kind == WARNED else disabled_notice(connection, mail))
        for mail in read_gathered_mails(connection, digest.mail_id)
    )


def _event_at(connection: sqlite3.Connection, position: int) -> StoredEvent:
    for stored in read_events(connection, after_position=position - 1, limit=1):
        return stored
    raise NotFoundError(f"the log has no position {position}")


def _failure_line(failure: FailureRecord | None) -> FailureLine | None:
    if failure is None:
        return None
    at = f"{parse_time(failure.at):%Y-%m-%d %H:%M:%S} UTC"
    return FailureLine(at, failure.status_code, failure.error_class, failure.excerpt)
