"""How the tables of the registry follow the events: organizations, apps, and the state of each installation."""

from collections.abc import Sequence

import msgspec

from eventstore.common.connection import Connection
from eventstore.events.catalogue import (
    AppChanged,
    AppRegistered,
    DeliveryRequeued,
    Event,
    InstallationCreated,
    InstallationDisabled,
    InstallationEnabled,
    InstallationRemoved,
    OrganizationChanged,
    OrganizationRegistered,
)
from eventstore.log.change_signal import notify_change
from eventstore.log.event_log import Handlers, StoredEvent, one_by_one
from eventstore.projections.registry import App, Organization
from eventstore.sqlite.bulk import upsert

__all__ = ["HANDLERS"]


def _write_state(connection: Connection, table: str, names: Sequence[str], event: Event) -> None:
    values = [getattr(event, name) for name in names]
    connection.execute(
        upsert(table, names[0], names),
        [_json(value) if isinstance(value, tuple) else value for value in values],
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _notify_change(connection: Connection, _stored: StoredEvent) -> None:
    notify_change(connection)


def _organization(connection: Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, OrganizationRegistered)  # noqa: S101
    _write_state(connection, "organizations", Organization.__struct_fields__, event)
    _notify_change(connection, stored)


def _app(connection: Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, AppRegistered)  # noqa: S101
    _write_state(connection, "apps", App.__struct_fields__, event)
    _notify_change(connection, stored)


def _created(connection: Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, InstallationCreated)  # noqa: S101
    # One that comes back starts from scratch: nothing that was learned about it is left.
    connection.execute("DELETE FROM installations WHERE installation_id = ?", (event.installation_id,))
    connection.execute(
        "INSERT INTO installations (installation_id, app_id, organization_id, state, changed_at)"
        " VALUES (?, ?, ?, 'active', ?)",
        (event.installation_id, event.app_id, event.organization_id, stored.recorded_at),
    )
    _notify_change(connection, stored)


def _set_state(
    connection: Connection,
    stored: StoredEvent,
    installation_id: str,
    state: str,
    disabled_position: int | None = None,
) -> None:
    connection.execute(
        "UPDATE installations SET state = ?, changed_at = ?, disabled_position = ?, warned_level = 0,"
        " breaker_open_until = NULL, breaker_strict_until = NULL, breaker_failed_trials = 0, hold_until = NULL,"
        " probe_failures = 0, last_probe_at = NULL WHERE installation_id = ?",
        (state, stored.recorded_at, disabled_position, installation_id),
    )
    _notify_change(connection, stored)


def _removed(connection: Connection, stored: StoredEvent) -> None:
    assert isinstance(stored.event, InstallationRemoved)  # noqa: S101
    _set_state(connection, stored, stored.event.installation_id, "removed")


def _disabled(connection: Connection, stored: StoredEvent) -> None:
    assert isinstance(stored.event, InstallationDisabled)  # noqa: S101
    _set_state(connection, stored, stored.event.installation_id, "disabled", stored.position)


def _enabled(connection: Connection, stored: StoredEvent) -> None:
    assert isinstance(stored.event, InstallationEnabled)  # noqa: S101
    _set_state(connection, stored, stored.event.installation_id, "active")


HANDLERS: Handlers = one_by_one(
    {
        OrganizationRegistered: _organization,
        OrganizationChanged: _organization,
        AppRegistered: _app,
        AppChanged: _app,
        InstallationCreated: _created,
        InstallationRemoved: _removed,
        InstallationDisabled: _disabled,
        InstallationEnabled: _enabled,
        DeliveryRequeued: _notify_change,
    }
)
