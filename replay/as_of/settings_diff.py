"""What has changed between two forms of an app or an organization. Pure."""

from collections.abc import Mapping

from msgspec import Struct

from eventstore.events.catalogue import AppRegistered, OrganizationRegistered

__all__ = ["FieldChange", "Settings", "app_settings", "changes_between", "organization_settings"]

Settings = Mapping[str, str]


class FieldChange(Struct, frozen=True):
    """One setting before and after; of a secret and of header values only how often they have changed."""

    name: str
    before: str | None
    after: str | None


def app_settings(event: AppRegistered) -> Settings:
    """Give an app's settings as texts; of secret and headers only how often they have changed is known."""
    names = ("slug", "name", "uuid", "status", "organization_id", "webhook_url", "events", "header_names")
    timeouts = ("connect_s", "read_s", "total_s")
    versions = ("secret_version", "headers_version")
    return {name: _text(getattr(event, name)) for name in (*names, *timeouts, *versions)}


def organization_settings(event: OrganizationRegistered) -> Settings:
    """Give an organization's settings as texts."""
    return {name: _text(getattr(event, name)) for name in ("slug", "name", "url", "owners")}


def changes_between(before: Settings, after: Settings) -> tuple[FieldChange, ...]:
    """Name what differs; what is on one side only was, or is, not there."""
    return tuple(
        FieldChange(name, before.get(name), after.get(name))
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name)
    )


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
