"""Events as JSON and as one line."""

import msgspec

from console.output.times import short_time
from eventstore.events.catalogue import AttemptEvent, Event, FailureRecord
from eventstore.log.event_log import StoredEvent

__all__ = ["event_document", "event_summary", "failure_text", "full_fields"]

# Who the event is about stands in the stream already; excerpts and evidence are for --json and `show`.
_NOT_IN_SUMMARY = {
    "installation_id",
    "request_headers",
    "request_body",
    "response_body",
    "request_id",
    "message_id",
    "evidence",
}

# An attempt's stream stands for these.
_KNOWN_OF_ATTEMPT = {"app_id", "organization_id", "webhook_url"}


def full_fields(value: object) -> object:
    """Return an event, or a value within one, as plain data with the defaults that its stored form leaves out."""
    if isinstance(value, msgspec.Struct):
        return {name: full_fields(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple):
        return [full_fields(item) for item in value]
    return value


def event_document(stored: StoredEvent) -> dict[str, object]:
    """Return a stored event as `events --json` shows it."""
    return {
        "position": stored.position,
        "stream": stored.stream,
        "version": stored.version,
        "type": stored.type,
        "recorded_at": stored.recorded_at,
        "data": full_fields(stored.event),
    }


def event_summary(event: Event) -> str:
    """Return what an event holds as `name=value` pairs, without what is empty."""
    hidden = _NOT_IN_SUMMARY | (_KNOWN_OF_ATTEMPT if isinstance(event, AttemptEvent) else set())
    fields = ((name, getattr(event, name)) for name in event.__struct_fields__ if name not in hidden)
    return " ".join(f"{name}={_value(value)}" for name, value in fields if value not in (None, "", (), 0, {}))


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(_value(item) for item in value)
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, dict):
        return ",".join(f"{name}:{_value(item)}" for name, item in value.items())
    text = str(value)
    return f'"{text}"' if " " in text else text


def failure_text(failure: FailureRecord | None) -> str:
    """Return a failed attempt on one line."""
    if failure is None:
        return ""
    said = f": {failure.excerpt}" if failure.excerpt else ""
    # A protocol error without a status: there may have been an answer, that could not be read. Its excerpt says which.
    nothing = "no status," if failure.error_class == "protocol" else "no answer,"
    answer = failure.status_code or nothing
    return f"event {failure.position}, {short_time(failure.at)}: {answer} {failure.error_class}{said}"
