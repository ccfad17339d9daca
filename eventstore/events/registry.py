"""Events of the registry: organizations, apps and installations, as a person's file has them."""

from typing import Any, ClassVar

from msgspec import Struct

from eventstore.events.event import Event


class OrganizationRegistered(Event, frozen=True):
    """An organization became known; `owners` are the mail addresses told of a disabling."""

    type_name: ClassVar[str] = "organization.registered"
    organization_id: int
    slug: str
    name: str
    url: str
    owners: tuple[str, ...]


class OrganizationChanged(OrganizationRegistered, frozen=True):
    """An organization's whole new state; `changed` names the fields that are new."""

    type_name: ClassVar[str] = "organization.changed"
    changed: tuple[str, ...] = ()


class AppSettings(Struct, frozen=True, kw_only=True):
    """What an app may leave out: its entry in the registry file, its events, its row and what shows it all have these.

    `events`: the names that it is sent, empty = all. Time-outs are seconds, None = the default. The client certificate
    is the path of a file, and so is its key, None = it is in the same file.
    """

    events: tuple[str, ...] = ()
    connect_s: float | None = None
    read_s: float | None = None
    total_s: float | None = None
    client_certificate: str | None = None
    client_key: str | None = None


def app_settings(app: AppSettings) -> dict[str, Any]:
    """Return the settings of an entry or an event by name, for the other one."""
    return {name: getattr(app, name) for name in AppSettings.__struct_fields__}


class AppRegistered(Event, AppSettings, frozen=True):
    """An app became known.

    Secret and custom header values are not here: they stand in the `secrets` table, and
    `secret_version` and `headers_version` count their changes.
    """

    type_name: ClassVar[str] = "app.registered"
    app_id: int
    slug: str
    name: str
    uuid: str
    status: str
    organization_id: int
    webhook_url: str
    header_names: tuple[str, ...] = ()
    secret_version: int = 1
    headers_version: int = 1


class AppChanged(AppRegistered, frozen=True):
    """An app's whole new state; `changed` names the fields that are new."""

    type_name: ClassVar[str] = "app.changed"
    changed: tuple[str, ...] = ()


class InstallationCreated(Event, frozen=True):
    """An organization installed an app."""

    type_name: ClassVar[str] = "installation.created"
    installation_id: str
    app_id: int
    organization_id: int


class InstallationRemoved(Event, frozen=True):
    """An installation is no longer wanted; nothing more is sent to it."""

    type_name: ClassVar[str] = "installation.removed"
    installation_id: str
    reason: str = ""
