"""Registry, attempts and other facts, as tests need them."""

from pathlib import Path
from typing import Any

from eventstore.common.clock import ManualClock
from eventstore.common.identifiers import app_stream, installation_stream, organization_stream
from eventstore.events.catalogue import (
    AppRegistered,
    AttemptEvent,
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryTimedOut,
    InstallationCreated,
    OrganizationRegistered,
)
from eventstore.log.event_log import NewEvent, StoredEvent
from eventstore.unit_of_work import Store

INSTALLATION_ID = "7c1f0a52-3d0e-4f2c-9a55-0f3f6f2a1b10"
OTHER_INSTALLATION_ID = "8d2f0a52-3d0e-4f2c-9a55-0f3f6f2a1b10"
OWNERS = ("ada@acme.example", "bob@acme.example")
URL = "https://pager.example/hook"


def register(
    store: Store,
    *,
    installation_id: str = INSTALLATION_ID,
    app_id: int = 42,
    organization_id: int = 17,
    status: str = "internal",
    owners: tuple[str, ...] = OWNERS,
) -> None:
    """Make one organization, one app and its installation known."""
    organization = OrganizationRegistered(organization_id, "acme", "Acme", "https://acme.example", owners)
    app = AppRegistered(app_id, "pager", "Pager", f"uuid-{app_id}", status, organization_id, URL)
    with store.transaction() as transaction:
        transaction.append(
            NewEvent(organization_stream(organization_id), organization),
            NewEvent(app_stream(app_id), app),
            NewEvent(
                installation_stream(installation_id), InstallationCreated(installation_id, app_id, organization_id)
            ),
        )


def attempt(event_class: type[AttemptEvent], **fields: Any) -> AttemptEvent:
    """Make the event of one attempt."""
    values: dict[str, Any] = {
        "delivery_id": "d-1",
        "event_name": "metric_alert.critical",
        "app_id": 42,
        "organization_id": 17,
        "attempt": 1,
        "webhook_url": URL,
    }
    return event_class(**values | fields)


def succeeded(**fields: Any) -> AttemptEvent:
    return attempt(DeliverySucceeded, **{"status_code": 200} | fields)


def failed(error_class: str = "server_error", status_code: int = 500, **fields: Any) -> AttemptEvent:
    return attempt(DeliveryFailed, error_class=error_class, status_code=status_code, **fields)


def timed_out(error_class: str = "read_timeout", **fields: Any) -> AttemptEvent:
    return attempt(DeliveryTimedOut, error_class=error_class, **fields)


def record(store: Store, *events: AttemptEvent, installation_id: str = INSTALLATION_ID) -> list[StoredEvent]:
    """Append the outcomes of attempts to one installation."""
    with store.transaction() as transaction:
        return transaction.append(*(NewEvent(installation_stream(installation_id), event) for event in events))


def break_by_balanced(store: Store, clock: ManualClock, installation_id: str = INSTALLATION_ID) -> None:
    """Record twelve failures over three days, which is broken by `balanced`; the clock stays on the third."""
    for day in range(3):
        record(store, *[failed()] * 4, installation_id=installation_id)
        if day < 2:
            clock.advance(days=1)


def path_of(store: Store) -> Path:
    """Return the file of a store."""
    return Path(store.connection.execute("PRAGMA database_list").fetchone()[2])


def rows_of(path: Path, statement: str) -> list[tuple[Any, ...]]:
    """Read what is on disk, by a connection of its own."""
    import sqlite3

    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()
