"""Checks of what events.db holds: that nothing has been lying about."""

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta

from eventstore.common.clock import parse_time
from eventstore.common.diagnostic import Diagnostic
from eventstore.projections.outbox import count_mails
from eventstore.projections.registry import apps_without_secret
from eventstore.queue.queries import count_deliveries, read_deliveries

__all__ = ["check_work"]

_LONG_WAIT = timedelta(hours=1)
_APPS_NAMED = 5


def check_work(connection: sqlite3.Connection, *, is_running: bool, now: datetime) -> Iterator[Diagnostic]:
    """See whether anything has been lying about."""
    counts = count_deliveries(connection)
    waiting = counts.get("waiting", 0)
    text = f"{waiting} waiting, {counts.get('missed', 0)} missed, {counts.get('dead', 0)} dead"
    if waiting and not is_running:
        yield Diagnostic.warning("work", f"{text}, and no daemon runs", "start it: hookfuse run")
    elif (
        waiting and now - parse_time(read_deliveries(connection, state="waiting", limit=1)[0].enqueued_at) > _LONG_WAIT
    ):
        yield Diagnostic.warning("work", f"{text}, the oldest for over an hour", "hookfuse status shows behind whom")
    else:
        yield Diagnostic.good("work", text)
    mails = count_mails(connection)
    if mails["failed"]:
        yield Diagnostic.warning(
            "work",
            f"{mails['failed']} mails were given up",
            "hookfuse events --type mail.failed says why; the owners' addresses stand in the registry file",
        )
    lacking = apps_without_secret(connection)
    if lacking:
        named = ", ".join(str(app.app_id) for app in lacking[:_APPS_NAMED]) + (" ..." if lacking[_APPS_NAMED:] else "")
        yield Diagnostic.warning(
            "work",
            f"apps without a secret: {named}; what is queued for them waits",
            "hookfuse apply REGISTRY.toml, or hookfuse app rotate-secret APP",
        )
