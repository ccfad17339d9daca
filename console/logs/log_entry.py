"""One line of the log as a value: what it is about, and all its fields."""

from collections.abc import Mapping

import msgspec

__all__ = ["LogEntry", "read_entry", "read_fields"]

_TOO_DEEP = RecursionError


class LogEntry(msgspec.Struct, frozen=True, gc=False):
    """The fields of a line that are looked for or counted; one that the line does not have is empty or None."""

    event: str = ""
    level: str = ""
    timestamp: str = ""
    installation_id: str | None = None
    delivery_id: str | None = None
    event_name: str | None = None
    attempt: int | None = None
    position: int | None = None
    outcome: str | None = None
    status_code: int | None = None
    error_class: str | None = None
    duration_ms: float | None = None


_entries = msgspec.json.Decoder(LogEntry)
_objects = msgspec.json.Decoder(dict[str, object])


def read_entry(line: bytes) -> LogEntry | None:
    """Read a line, None = it is broken: no JSON object in UTF-8, or with a field of another type than the log's."""
    try:
        if not line.isascii():  # what is passed over is not looked at by the decoder
            line.decode()
        return _entries.decode(line)
    except (msgspec.MsgspecError, ValueError, _TOO_DEEP):
        return None


def read_fields(line: bytes) -> Mapping[str, object] | None:
    """Read all fields of a line that read_entry could read; None where they cannot be read after all."""
    try:
        return _objects.decode(line)
    except (msgspec.MsgspecError, ValueError, _TOO_DEEP):
        return None
