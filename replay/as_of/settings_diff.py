"""What has changed between two forms of an app or an organization. Pure."""

from collections.abc import Mapping

from msgspec import Struct

from eventstore.events.catalogue import AppRegistered, Event, OrganizationRegistered

__all__ = ["FieldChange", "Settings", "app_settings", "changes_between", "organization_settings"]

Settings = Mapping[str, str]


class FieldChange(Struct, frozen=True):
    """One setting before and after; of a secret and of header values only how often they have changed."""

    name: str
    before: str | None
    after: str | None


def app_settings(event: AppRegistered) -> Settings:
    """Return an app's settings as texts; of secret and headers only how often they have changed is known."""
    return _texts(event, AppRegistered)


def organization_settings(event: OrganizationRegistered) -> Settings:
    """Return an organization's settings as texts."""
    return _texts(event, OrganizationRegistered)


def changes_between(before: Settings, after: Settings) -> tuple[FieldChange, ...]:
    """Return what differs; what is on one side only was, or is, not there."""
    return tuple(
        FieldChange(name, before.get(name), after.get(name))
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name)
    )


def _texts(event: Event, state: type[Event]) -> Settings:
    _id, *names = state.__struct_fields__
    return {name: _text(getattr(event, name)) for name in names}


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
