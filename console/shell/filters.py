"""What a person asks for, checked: an unknown name is not found, and a period that ends before it begins is refused."""

import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import click

from console.output.times import moment
from console.shell.options import LARGEST
from eventstore.common.clock import time_text
from eventstore.common.event_name import parse_event_name
from eventstore.errors import NotFoundError, RejectedError
from eventstore.projections.registry import (
    App,
    Organization,
    apps_with_slug,
    find_app,
    find_organization,
    organizations_with_slug,
)
from eventstore.views.names import is_event_known, is_stream_known

__all__ = [
    "ERROR_CLASSES",
    "app_option",
    "event_option",
    "find_named_app",
    "find_named_organization",
    "organization_option",
    "period",
    "period_options",
    "require_error_class",
    "require_event_name",
    "require_stream",
]

Command = TypeVar("Command", bound=Callable[..., Any])

# Those that the original knows (docs/original.md, section 5); one of them may be asked for before it has ever come.
_ORIGINAL_EVENTS = {
    "issue": ("created", "resolved", "ignored", "assigned", "unresolved"),
    "error": ("created",),
    "comment": ("created", "updated", "deleted"),
    "event_alert": ("triggered",),
    "external_issue": ("created", "linked"),
    "installation": ("created", "deleted"),
    "select_options": ("requested",),
    "metric_alert": ("open", "resolved", "critical", "warning"),
    "alert_rule_action": ("requested", "error"),
}
# Those of webhook.ErrorClass, which this room does not know; a test compares them.
ERROR_CLASSES = (
    "redirect",
    "client_error",
    "gone",
    "rate_limited",
    "server_error",
    "unavailable",
    "dns",
    "connect",
    "tls",
    "connect_timeout",
    "read_timeout",
    "deadline",
    "protocol",
    "blocked",
    "internal",
    "damaged",
)

app_option = click.option("--app", metavar="ID|SLUG", help="Only of this app.")
organization_option = click.option("--organization", metavar="ID|SLUG", help="Only of this organization.")
event_option = click.option(
    "--event", "event_name", metavar="NAME", help="Only of this event, such as metric_alert.critical."
)


def period_options(command: Command) -> Command:
    """Return a command --since and --until."""
    command = click.option("--until", metavar="TIME", help="Not after, in the same forms.")(command)
    return click.option("--since", metavar="TIME", help="Not before: 2025-02-01T10:00 (UTC), or 2h or 3d ago.")(command)


def period(since: str | None, until: str | None, now: datetime) -> tuple[datetime | None, datetime | None]:
    """Read both ends of a period. Raises RejectedError where one is not a time, or nothing can lie between them."""
    start, end = moment(since, now), moment(until, now)
    if start is not None and end is not None and start > end:
        raise RejectedError(f"--since {_short(start)} is after --until {_short(end)}: swap them")
    if start is not None and end is None and start > now:
        raise RejectedError(f"--since {_short(start)} lies in the future: nothing is recorded of it yet")
    return start, end


def _short(at: datetime) -> str:
    return time_text(at)[:19] + "Z"


def find_named_app(connection: sqlite3.Connection, text: str) -> App:
    """Return the app that a number or a slug names. Raises NotFoundError; RejectedError where several have the slug."""
    if (number := _number(text)) is not None:
        return find_app(connection, number)
    return find_app(connection, _only_one("app", text, apps_with_slug(connection, text)))


def find_named_organization(connection: sqlite3.Connection, text: str) -> Organization:
    """Return the organization that a number or a slug names. Raises NotFoundError, RejectedError."""
    if (number := _number(text)) is not None:
        return find_organization(connection, number)
    return find_organization(connection, _only_one("organization", text, organizations_with_slug(connection, text)))


def require_error_class(name: str) -> str:
    """Return the name back. Raises NotFoundError where no failure has that class."""
    if name not in ERROR_CLASSES:
        raise NotFoundError(f"error class {name[:60]!r} is not known; there are: {', '.join(ERROR_CLASSES)}")
    return name


def require_stream(connection: sqlite3.Connection, name: str) -> str:
    """Return the name back. Raises NotFoundError where nothing was ever recorded in that stream."""
    if not is_stream_known(connection, name):
        raise NotFoundError(f"stream {name[:80]!r} is not known: it is installation-UUID, app-ID or organization-ID")
    return name


def _number(text: str) -> int | None:
    return min(int(text), LARGEST) if text.isascii() and text.isdigit() and len(text) < 100 else None


def _only_one(kind: str, text: str, found: tuple[int, ...]) -> int:
    if not text.strip():
        raise RejectedError(f"--{kind} is empty: give a number or a slug")
    if not found:
        raise NotFoundError(f"{kind} {text[:60]!r} is not known: see `hookfuse installations`")
    if len(found) > 1:
        raise RejectedError(f"several {kind}s have the slug {text!r}: {', '.join(map(str, found))}; give the number")
    return found[0]


def require_event_name(connection: sqlite3.Connection, name: str) -> str:
    """Return the name back. Raises RejectedError where it is none; NotFoundError where nothing has that name here."""
    resource, action = parse_event_name(name)
    if action not in _ORIGINAL_EVENTS.get(resource, ()) and not is_event_known(connection, name):
        raise NotFoundError(f"event {name} is not known: no request, waiting delivery or app has it")
    return name
