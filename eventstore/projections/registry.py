"""Who there is: organizations, apps, installations, and what is needed to send to one."""

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from eventstore.errors import NotFoundError
from eventstore.events.catalogue import (
    AppChanged,
    AppRegistered,
    DeliveryRequeued,
    InstallationCreated,
    InstallationDisabled,
    InstallationEnabled,
    InstallationRemoved,
    OrganizationChanged,
    OrganizationRegistered,
)
from eventstore.log.change_signal import draw_attention
from eventstore.log.event_log import Handlers, StoredEvent, one_by_one
from eventstore.projections.app_secrets import AppSecrets, no_secret_text, read_secrets
from eventstore.sqlite.bulk import json_list

__all__ = [
    "HANDLERS",
    "App",
    "Endpoint",
    "Installation",
    "Organization",
    "apps_without_secret",
    "find_app",
    "find_installation",
    "find_installation_of_app",
    "find_organization",
    "read_client_certificates",
    "read_endpoint",
    "read_installations",
    "read_urls_in_use",
    "require_installations",
]


@dataclass(frozen=True, slots=True)
class Organization:
    """A customer of the platform; `owners` are mail addresses."""

    organization_id: int
    slug: str
    name: str
    url: str
    owners: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class App:
    """An integration. `status`: internal (its organization's own) or published; time-outs None = the default."""

    app_id: int
    slug: str
    name: str
    uuid: str
    status: str
    organization_id: int
    webhook_url: str
    events: tuple[str, ...]
    header_names: tuple[str, ...]
    secret_version: int
    headers_version: int
    connect_s: float | None
    read_s: float | None
    total_s: float | None
    client_certificate: str | None = None
    client_key: str | None = None


@dataclass(frozen=True, slots=True)
class Installation:
    """An app in an organization. `state`: active, disabled or removed, since `changed_at`.

    `warned_level`: percent of the way to being disabled of which the owners were told in this episode, 0 = none;
    `hold_until`: until when the endpoint asked for a pause; `probe_failures`: since it was disabled;
    `breaker_closed_position`: the event by which somebody last closed its breaker, 0 = nobody has.
    """

    installation_id: str
    app_id: int
    organization_id: int
    state: str
    changed_at: str
    disabled_position: int | None
    warned_level: int = 0
    breaker_open_until: str | None = None
    breaker_strict_until: str | None = None
    hold_until: str | None = None
    probe_failures: int = 0
    last_probe_at: str | None = None
    breaker_failed_trials: int = 0
    breaker_closed_position: int = 0

    @property
    def is_active(self) -> bool:
        """Whether deliveries are sent."""
        return self.state == "active"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """All that is needed to send to an installation."""

    installation: Installation
    app: App
    secrets: AppSecrets


_ORGANIZATION = "SELECT organization_id, slug, name, url, owners FROM organizations"
_APP = (
    "SELECT app_id, slug, name, uuid, status, organization_id, webhook_url, events, header_names,"
    " secret_version, headers_version, connect_s, read_s, total_s, client_certificate, client_key"
    " FROM apps"
)
_INSTALLATION = (
    "SELECT installation_id, app_id, organization_id, state, changed_at, disabled_position, warned_level,"
    " breaker_open_until, breaker_strict_until, hold_until, probe_failures, last_probe_at, breaker_failed_trials,"
    " breaker_closed_position"
    " FROM installations"
)


def find_organization(connection: sqlite3.Connection, organization_id: int) -> Organization:
    """Read one organization. Raises NotFoundError."""
    row = connection.execute(f"{_ORGANIZATION} WHERE organization_id = ?", (organization_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"organization {organization_id} is not known: see `hookfuse apply`")
    _, slug, name, url, owners = row
    return Organization(_, slug, name, url, _texts(owners))


def find_app(connection: sqlite3.Connection, app_id: int) -> App:
    """Read one app. Raises NotFoundError."""
    row = connection.execute(f"{_APP} WHERE app_id = ?", (app_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"app {app_id} is not known: see `hookfuse apply`")
    fields = dict(zip(App.__slots__, row, strict=True))
    return App(**fields | {name: _texts(fields[name]) for name in ("events", "header_names")})


def organizations_with_slug(connection: sqlite3.Connection, slug: str) -> tuple[int, ...]:
    """Give the ids of the organizations that are called so."""
    rows = connection.execute("SELECT organization_id FROM organizations WHERE slug = ? ORDER BY 1", (slug,))
    return tuple(row[0] for row in rows)


def apps_with_slug(connection: sqlite3.Connection, slug: str) -> tuple[int, ...]:
    """Give the ids of the apps that are called so."""
    return tuple(row[0] for row in connection.execute("SELECT app_id FROM apps WHERE slug = ? ORDER BY 1", (slug,)))


def find_installation(connection: sqlite3.Connection, installation_id: str) -> Installation:
    """Read one installation. Raises NotFoundError."""
    row = connection.execute(f"{_INSTALLATION} WHERE installation_id = ?", (installation_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"installation {installation_id} is not known: see `hookfuse installations`")
    return Installation(*row)


def require_installations(connection: sqlite3.Connection, installation_ids: Collection[str]) -> None:
    """Raise NotFoundError when one of them is not known, or is removed."""
    row = connection.execute(
        "SELECT value, (SELECT state FROM installations WHERE installation_id = value) FROM json_each(?)"
        " WHERE NOT EXISTS (SELECT 1 FROM installations WHERE installation_id = value AND state != 'removed') LIMIT 1",
        (json_list(installation_ids),),
    ).fetchone()
    if row is None:
        return
    installation_id, state = row
    if state is None:
        raise NotFoundError(f"installation {installation_id} is not known: see `hookfuse installations`")
    raise NotFoundError(f"installation {installation_id} is removed")


def find_installation_of_app(connection: sqlite3.Connection, app_id: int, organization_id: int) -> Installation | None:
    """Read the installation of an app in an organization that is not removed, None when there is none."""
    row = connection.execute(
        f"{_INSTALLATION} WHERE app_id = ? AND organization_id = ? AND state != 'removed'",
        (app_id, organization_id),
    ).fetchone()
    return Installation(*row) if row else None


def read_installations(connection: sqlite3.Connection) -> tuple[Installation, ...]:
    """Read all installations that are not removed, by app and organization."""
    rows = connection.execute(f"{_INSTALLATION} WHERE state != 'removed' ORDER BY app_id, organization_id")
    return tuple(Installation(*row) for row in rows)


def read_client_certificates(connection: sqlite3.Connection) -> tuple[tuple[str, str, str | None], ...]:
    """Return slug, certificate and key of each app that says by a certificate who we are, by slug."""
    rows = connection.execute(
        "SELECT slug, client_certificate, client_key FROM apps WHERE client_certificate IS NOT NULL ORDER BY slug"
    )
    return tuple(rows)


def read_urls_in_use(connection: sqlite3.Connection) -> tuple[tuple[str, str], ...]:
    """Return slug and URL of each app with an active installation, by slug."""
    rows = connection.execute(
        "SELECT DISTINCT slug, webhook_url FROM apps JOIN installations USING (app_id) WHERE state = 'active'"
        " ORDER BY slug, webhook_url"
    )
    return tuple(rows)


def read_endpoint(connection: sqlite3.Connection, installation_id: str) -> Endpoint:
    """Read what is needed to send to an installation. Raises NotFoundError."""
    installation = find_installation(connection, installation_id)
    app = find_app(connection, installation.app_id)
    secrets = read_secrets(connection, app.app_id)
    if secrets is None:
        raise NotFoundError(no_secret_text(app.app_id))
    return Endpoint(installation, app, secrets)


def installations_starting_with(connection: sqlite3.Connection, prefix: str, *, limit: int) -> tuple[str, ...]:
    """Name the installations, removed ones too, whose lower-case id starts with a text; at most `limit` of them."""
    rows = connection.execute(
        "SELECT installation_id FROM installations WHERE substr(installation_id, 1, ?) = ? LIMIT ?",
        (len(prefix), prefix, limit),
    )
    return tuple(row[0] for row in rows)


def apps_without_secret(connection: sqlite3.Connection) -> tuple[App, ...]:
    """Read the apps that have an installation and no secret, as after an import: nothing can be sent to them."""
    rows = connection.execute(
        "SELECT DISTINCT app_id FROM installations WHERE state != 'removed'"
        " AND app_id NOT IN (SELECT app_id FROM secrets) ORDER BY app_id"
    ).fetchall()
    return tuple(find_app(connection, app_id) for (app_id,) in rows)


def _texts(stored: str) -> tuple[str, ...]:
    return msgspec.json.decode(stored, type=tuple[str, ...])


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _draw_attention(connection: sqlite3.Connection, _stored: StoredEvent) -> None:
    draw_attention(connection)


def _organization(connection: sqlite3.Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, OrganizationRegistered)  # noqa: S101
    connection.execute(
        "INSERT OR REPLACE INTO organizations VALUES (?, ?, ?, ?, ?)",
        (event.organization_id, event.slug, event.name, event.url, _json(event.owners)),
    )
    _draw_attention(connection, stored)


def _app(connection: sqlite3.Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, AppRegistered)  # noqa: S101
    connection.execute(
        "INSERT OR REPLACE INTO apps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            event.app_id,
            event.slug,
            event.name,
            event.uuid,
            event.status,
            event.organization_id,
            event.webhook_url,
            _json(event.events),
            _json(event.header_names),
            event.secret_version,
            event.headers_version,
            event.connect_s,
            event.read_s,
            event.total_s,
            event.client_certificate,
            event.client_key,
        ),
    )
    _draw_attention(connection, stored)


def _created(connection: sqlite3.Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, InstallationCreated)  # noqa: S101
    connection.execute(
        "INSERT OR REPLACE INTO installations (installation_id, app_id, organization_id, state, changed_at)"
        " VALUES (?, ?, ?, 'active', ?)",
        (event.installation_id, event.app_id, event.organization_id, stored.recorded_at),
    )
    _draw_attention(connection, stored)


def _set_state(
    connection: sqlite3.Connection,
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
    _draw_attention(connection, stored)


def _removed(connection: sqlite3.Connection, stored: StoredEvent) -> None:
    assert isinstance(stored.event, InstallationRemoved)  # noqa: S101
    _set_state(connection, stored, stored.event.installation_id, "removed")


def _disabled(connection: sqlite3.Connection, stored: StoredEvent) -> None:
    assert isinstance(stored.event, InstallationDisabled)  # noqa: S101
    _set_state(connection, stored, stored.event.installation_id, "disabled", stored.position)


def _enabled(connection: sqlite3.Connection, stored: StoredEvent) -> None:
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
        DeliveryRequeued: _draw_attention,
    }
)
