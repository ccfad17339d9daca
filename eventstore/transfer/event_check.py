"""Whether an event that comes from outside can have happened: what its type alone does not say. Pure."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Literal

from msgspec import Struct
from msgspec.structs import fields

from eventstore.common.clock import parse_time
from eventstore.common.endpoint_url import URL_BYTES
from eventstore.common.excerpt import stored_bytes
from eventstore.common.identifiers import (
    FLEET_STREAM,
    HOME_STREAM,
    MAIL_STREAM,
    app_stream,
    import_stream,
    installation_of,
    installation_stream,
    organization_stream,
    parse_uuid,
)
from eventstore.errors import RejectedError
from eventstore.events.catalogue import (
    AppRegistered,
    AuditRecorded,
    DisablingFrozen,
    DisablingThawed,
    Event,
    InstallationCountsImported,
    MailDigested,
    MailFailed,
    MailSent,
    OrganizationRegistered,
    app_settings,
)
from eventstore.policies.day_counts import IMPORTED_CLASSES
from eventstore.registry.document import AppEntry, OrganizationEntry, app_faults, organization_faults

__all__ = ["LARGEST_COUNT", "event_fault", "moment_fault"]

# Before hookfuse, and before any system that it takes over from.
_EARLIEST = "2000-01-01"
# The other machine's clock may be ahead of this one's, and a day is what the buffer can bear.
_AHEAD = timedelta(days=1)
# Longer than any wait that a configuration allows: what is held back until then would never be sent.
_LONGEST_WAIT = timedelta(days=366)

_LARGEST = 2**63 - 1  # what SQLite holds as an integer
# Far above any day, and far below what would overflow when days of several imports are added up.
LARGEST_COUNT = 10**12
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_APP_STREAM = re.compile(r"app-[1-9]\d{0,18}", re.ASCII)
_URL = re.compile(r"https?://[^\x00-\x20\x7f-\x9f\u2028\u2029]+", re.IGNORECASE)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

# Fields that hold moments: those until which something waits, and all.
_WAITS = {"retry_at", "hold_until", "until", "strict_until"}
_MOMENTS = _WAITS | {"enqueued_at", "first_enqueued_at", "last_enqueued_at", "at"}
_TEXTS = _MOMENTS | {"day"}

# Types of fields of which every value is as good as another.
_ANY_VALUE = (str, str | None, float, float | None, bool, tuple[str, ...], dict[str, str])


def moment_fault(text: str, now: datetime) -> str:
    """Return what is wrong with the moment at which an event is said to have been recorded; empty = nothing."""
    if not _is_moment(text):
        return f"recorded_at: {text[:60]!r} is not a time such as 2025-02-01T10:00:00.123456Z"
    if text < _EARLIEST:
        return f"recorded_at: {text} is before {_EARLIEST}"
    if parse_time(text) > now + _AHEAD:
        return f"recorded_at: {text} lies in the future"
    return ""


def event_fault(stream: str, event: Event, recorded_at: str) -> str:
    """Return why an event cannot have been recorded in a stream at a moment; empty = it can."""
    return next(_faults(stream, event, recorded_at), "")


def _faults(stream: str, event: Event, recorded_at: str) -> Iterator[str]:
    yield from _value_faults(event, recorded_at)
    yield from _stream_faults(stream, event)
    if isinstance(event, OrganizationRegistered):
        entry = OrganizationEntry(event.organization_id, event.slug, event.name, event.url, event.owners)
        yield from organization_faults(entry)
        yield from _url_faults("url", event.url)
    elif isinstance(event, AppRegistered):
        yield from _app_faults(event)
    elif isinstance(event, InstallationCountsImported) and _largest_count(event) > LARGEST_COUNT:
        yield f"a count is above {LARGEST_COUNT:,}"


def _largest_count(event: InstallationCountsImported) -> int:
    return max(int(getattr(event, name)) for name in IMPORTED_CLASSES)


def _app_faults(event: AppRegistered) -> list[str]:
    statuses: dict[str, Literal["internal", "published"]] = {"internal": "internal", "published": "published"}
    if event.status not in statuses:
        return ["status is neither internal nor published"]
    entry = AppEntry(
        id=event.app_id,
        slug=event.slug,
        name=event.name,
        organization=event.organization_id,
        webhook_url=event.webhook_url,
        status=statuses[event.status],
        uuid=event.uuid,
        **app_settings(event),
    )
    return app_faults(entry) + _url_faults("webhook_url", event.webhook_url)


def _url_faults(name: str, url: str) -> list[str]:
    """Return why a URL was never taken; those of before may be others than the parser of endpoint_url.py takes now."""
    is_url = stored_bytes(url) <= URL_BYTES and _URL.fullmatch(url) is not None
    return [] if is_url else [f"{name} is not an http or https URL"]


def _stream_faults(stream: str, event: Event) -> Iterator[str]:
    if isinstance(event, AuditRecorded) and (stream == HOME_STREAM or _APP_STREAM.fullmatch(stream)):
        return
    if isinstance(event, MailFailed) and _is_import_stream(stream):
        return
    if isinstance(event, MailSent | MailFailed) and stream == MAIL_STREAM:
        return
    wanted = _stream_of(stream, event)
    if wanted is None:
        yield f"{event.type_name} belongs in the stream of an installation, named by a UUID in its usual spelling"
    elif wanted != stream:
        yield f"{event.type_name} belongs in the stream {wanted}"


def _stream_of(stream: str, event: Event) -> str | None:
    if isinstance(event, OrganizationRegistered):
        return organization_stream(event.organization_id)
    if isinstance(event, AppRegistered):
        return app_stream(event.app_id)
    if isinstance(event, DisablingFrozen | DisablingThawed):
        return FLEET_STREAM
    if isinstance(event, MailDigested):
        return MAIL_STREAM
    installation_id = str(getattr(event, "installation_id", installation_of(stream)))
    return installation_stream(installation_id) if _is_uuid(installation_id) else None


def _is_import_stream(stream: str) -> bool:
    import_id = stream.removeprefix(import_stream(""))
    return stream == import_stream(import_id) and _is_uuid(import_id)


@lru_cache(1024)
def _is_uuid(text: str) -> bool:
    try:
        return parse_uuid(text) == text
    except RejectedError:
        return False


def _value_faults(value: Struct, recorded_at: str, path: str = "") -> Iterator[str]:
    for name in _looked_at(type(value)):
        found = getattr(value, name)
        if isinstance(found, int):
            if not 0 <= found <= _LARGEST:
                yield f"{path}{name} is not between 0 and {_LARGEST}"
        elif isinstance(found, str):
            fault = _text_fault(name, found, recorded_at)
            if fault:
                yield f"{path}{name} {fault}"
        for part in found if isinstance(found, tuple) else (found,):
            if isinstance(part, Struct):
                yield from _value_faults(part, recorded_at, f"{path}{name}.")


@cache
def _looked_at(struct: type[Struct]) -> tuple[str, ...]:
    """Return the names of the fields that a value of their type alone does not make right."""
    return tuple(one.name for one in fields(struct) if one.type not in _ANY_VALUE or one.name in _TEXTS)


def _text_fault(name: str, text: str, recorded_at: str) -> str:
    if name == "day" and not _is_day(text):
        return f"is not a day such as 2025-02-01: {text[:60]!r}"
    if name in _MOMENTS and not _is_moment(text):
        return f"is not a time such as 2025-02-01T10:00:00.123456Z: {text[:60]!r}"
    if name in _WAITS and parse_time(text) > parse_time(recorded_at) + _LONGEST_WAIT:
        return f"is over {_LONGEST_WAIT.days} days after the event: {text}"
    return ""


def _is_moment(text: str) -> bool:
    return _MOMENT.fullmatch(text) is not None and _is_in_the_calendar(text)


def _is_day(text: str) -> bool:
    return _DAY.fullmatch(text) is not None and _is_in_the_calendar(text)


def _is_in_the_calendar(text: str) -> bool:
    try:
        parse_time(text)
    except ValueError:
        return False
    return True
