"""Organizations, apps and installations, and what is needed to send to one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from msgspec import structs

from eventstore.common.connection import Connection
from eventstore.errors import NotFoundError
from eventstore.events.catalogue import (
    AppRegistered,
    OrganizationRegistered,
)
from eventstore.projections.app_secrets import AppSecrets, no_secret_text, read_secrets
from eventstore.sqlite.bulk import json_list

__all__ = [
    "App",
    "Endpoint",
    "Installation",
    "Organization",
    "app_slugs",
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


# A row holds what the latest event says: of a customer of the platform, and of an integration.
Organization = OrganizationRegistered
App = AppRegistered
# What of them is a list, and is kept as JSON.
_LISTS = {one.name for state in (Organization, App) for one in structs.fields(state) if one.type == tuple[str, ...]}
_decode_texts = msgspec.json.Decoder(tuple[str, ...]).decode
_State = TypeVar("_State", Organization, App)


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
        """Return whether deliveries are sent."""
        return self.state == "active"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """All that is needed to send to an installation."""

    installation: Installation
    app: App
    secrets: AppSecrets


_ORGANIZATION = f"SELECT {', '.join(Organization.__struct_fields__)} FROM organizations"  # noqa: S608 - names of columns
_APP = f"SELECT {', '.join(App.__struct_fields__)} FROM apps"  # noqa: S608 - as above
_INSTALLATION = (
    "SELECT installation_id, app_id, organization_id, state, changed_at, disabled_position, warned_level,"
    " breaker_open_until, breaker_strict_until, hold_until, probe_failures, last_probe_at, breaker_failed_trials,"
    " breaker_closed_position"
    " FROM installations"
)


def find_organization(connection: Connection, organization_id: int) -> Organization:
    """Read one organization. Raises NotFoundError."""
    row = connection.execute(f"{_ORGANIZATION} WHERE organization_id = ?", (organization_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"organization {organization_id} is not known: see `hookfuse apply`")
    return _state(Organization, row)


def find_app(connection: Connection, app_id: int) -> App:
    """Read one app. Raises NotFoundError."""
    row = connection.execute(f"{_APP} WHERE app_id = ?", (app_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"app {app_id} is not known: see `hookfuse apply`")
    return _state(App, row)


def organizations_with_slug(connection: Connection, slug: str) -> tuple[int, ...]:
    """Return the ids of the organizations that are called so."""
    rows = connection.execute("SELECT organization_id FROM organizations WHERE slug = ? ORDER BY 1", (slug,))
    return tuple(row[0] for row in rows)


def apps_with_slug(connection: Connection, slug: str) -> tuple[int, ...]:
    """Return the ids of the apps that are called so."""
    return tuple(row[0] for row in connection.execute("SELECT app_id FROM apps WHERE slug = ? ORDER BY 1", (slug,)))


def find_installation(connection: Connection, installation_id: str) -> Installation:
    """Read one installation. Raises NotFoundError."""
    row = connection.execute(f"{_INSTALLATION} WHERE installation_id = ?", (installation_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"installation {installation_id} is not known: see `hookfuse installations`")
    return Installation(*row)


def require_installations(connection: Connection, installation_ids: Collection[str]) -> None:
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


def find_installation_of_app(connection: Connection, app_id: int, organization_id: int) -> Installation | None:
    """Read the installation of an app in an organization that is not removed, None when there is none."""
    row = connection.execute(
        f"{_INSTALLATION} WHERE app_id = ? AND organization_id = ? AND state != 'removed'",
        (app_id, organization_id),
    ).fetchone()
    return Installation(*row) if row else None


def read_installations(connection: Connection) -> tuple[Installation, ...]:
    """Read all installations that are not removed, by app and organization."""
    rows = connection.execute(f"{_INSTALLATION} WHERE state != 'removed' ORDER BY app_id, organization_id")
    return tuple(Installation(*row) for row in rows)


def read_client_certificates(connection: Connection) -> tuple[tuple[str, str, str | None], ...]:
    """Return slug, certificate and key of each app that says by a certificate who we are, by slug."""
    rows = connection.execute(
        "SELECT slug, client_certificate, client_key FROM apps WHERE client_certificate IS NOT NULL ORDER BY slug"
    )
    return tuple(rows)


def read_urls_in_use(connection: Connection) -> tuple[tuple[str, str], ...]:
    """Return slug and URL of each app with an active installation, by slug."""
    rows = connection.execute(
        "SELECT DISTINCT slug, webhook_url FROM apps JOIN installations USING (app_id) WHERE state = 'active'"
        " ORDER BY slug, webhook_url"
    )
    return tuple(rows)


def read_endpoint(connection: Connection, installation_id: str) -> Endpoint:
    """Read what is needed to send to an installation. Raises NotFoundError."""
    installation = find_installation(connection, installation_id)
    app = find_app(connection, installation.app_id)
    secrets = read_secrets(connection, app.app_id)
    if secrets is None:
        raise NotFoundError(no_secret_text(app.app_id))
    return Endpoint(installation, app, secrets)


def app_slugs(connection: Connection) -> dict[int, str]:
    """Return the slug of each app, by its id."""
    return dict(connection.execute("SELECT app_id, slug FROM apps").fetchall())


def installations_starting_with(connection: Connection, prefix: str, *, limit: int) -> tuple[str, ...]:
    """Return the ids, removed ones too, that start with a text in lower case; at most `limit` of them."""
    rows = connection.execute(
        "SELECT installation_id FROM installations WHERE substr(installation_id, 1, ?) = ? LIMIT ?",
        (len(prefix), prefix, limit),
    )
    return tuple(row[0] for row in rows)


def apps_without_secret(connection: Connection) -> tuple[App, ...]:
    """Read the apps that have an installation and no secret, as after an import: nothing can be sent to them."""
    rows = connection.execute(
        f"{_APP} WHERE app_id NOT IN (SELECT app_id FROM secrets)"  # noqa: S608 - names of this module
        " AND app_id IN (SELECT app_id FROM installations WHERE state != 'removed') ORDER BY app_id"
    )
    return tuple(_state(App, row) for row in rows)


def _state(state: type[_State], row: Sequence[Any]) -> _State:
    """Return the row of an organization or an app as the event that it holds."""
    fields = zip(state.__struct_fields__, row, strict=True)
    values: dict[str, Any] = {name: _decode_texts(value) if name in _LISTS else value for name, value in fields}
    return state(**values)
