"""A line of the log as a person sees it, and as a program gets it: nothing in it escaping to the terminal."""

from collections.abc import Iterator, Mapping

import msgspec

from console.logs.exception_text import exception_lines
from console.logs.log_entry import LogEntry, read_fields
from console.output.printable import one_line, safe_json

__all__ = ["json_line", "other_fields", "raw_text", "shown_line"]

_NOTHING = "-"
_GAP = "  "
_VALUE_CHARACTERS = 500

_TIME_WIDTH, _LEVEL_WIDTH, _EVENT_WIDTH = 23, 8, 21
# In this order, with the width that nearly all of each have: installation, delivery, event name, attempt, outcome,
# status, duration, error class. What a line has beside them comes after.
_WIDTHS = (36, 36, 22, 3, 9, 3, 10, 12)
_STATUS, _DURATION = 5, 6
_BEGINNING_WIDTH = 8

_IN_COLUMNS = {"event", "level", "timestamp", "exception"} | {
    "installation_id",
    "delivery_id",
    "event_name",
    "attempt",
    "outcome",
    "status_code",
    "duration_ms",
    "error_class",
}


def shown_line(line: bytes, entry: LogEntry | None, *, is_short: bool) -> str:
    """Return a line for a person, without its line feed; an exception is on lines of its own below it.

    `is_short`: of the installation's id only as much as can be typed.
    """
    fields = None if entry is None else read_fields(line)
    if entry is None or fields is None:
        return "broken".rjust(_TIME_WIDTH) + _GAP + raw_text(line)
    parts = [
        _text(entry.timestamp[:_TIME_WIDTH].replace("T", " ")).ljust(_TIME_WIDTH),
        _text(entry.level).ljust(_LEVEL_WIDTH),
        _text(entry.event).ljust(_EVENT_WIDTH),
        *_columns(entry, is_short=is_short),
        *_others(fields),
    ]
    return "\n    ".join([_GAP.join(parts).rstrip(), *exception_lines(fields.get("exception"))])


def json_line(line: bytes, entry: LogEntry | None) -> bytes:
    """Return a line as one JSON object on one line; of a broken one, an object that says so."""
    if entry is None:
        return msgspec.json.encode({"broken_line": raw_text(line)})
    if line.isascii() and b"\x7f" not in line and b"\r" not in line:
        return line
    # A bare carriage return can stand between two values only, where a space means the same.
    return safe_json(line.decode().replace("\r", " ").strip()).encode()


def other_fields(fields: Mapping[str, object]) -> str:
    """Return the fields of a line that stand in no column."""
    return _GAP.join(_others(fields))


def raw_text(line: bytes) -> str:
    """Return what there is of a broken line as printable text."""
    return one_line(line.decode(errors="backslashreplace"), _VALUE_CHARACTERS)


def _text(text: str | None, characters: int = _VALUE_CHARACTERS) -> str:
    if not text:
        return _NOTHING
    is_plain = len(text) <= characters and text.isprintable()  # nearly always, and ten times faster
    return text if is_plain else one_line(text, characters)


def _columns(entry: LogEntry, *, is_short: bool) -> Iterator[str]:
    installation = entry.installation_id
    texts = [
        _text(installation[:_BEGINNING_WIDTH] if installation and is_short else installation),
        _text(entry.delivery_id),
        _text(entry.event_name),
        _NOTHING if entry.attempt is None else f"#{entry.attempt}",
        _text(entry.outcome),
        _NOTHING if entry.status_code is None else str(entry.status_code),
        _NOTHING if entry.duration_ms is None else _duration(entry.duration_ms),
        _text(entry.error_class),
    ]
    while texts and texts[-1] == _NOTHING:
        texts.pop()
    for index, text in enumerate(texts):
        width = _BEGINNING_WIDTH if is_short and index == 0 else _WIDTHS[index]
        yield text.rjust(width) if index in (_STATUS, _DURATION) else text.ljust(width)


def _duration(duration_ms: float) -> str:
    return f"{duration_ms:.1f} ms" if abs(duration_ms) < 1e9 else f"{duration_ms:.3g} ms"


def _others(fields: Mapping[str, object]) -> Iterator[str]:
    for name, value in fields.items():
        if name in _IN_COLUMNS or value is None:
            continue
        if name == "logger" and str(value).startswith("hookfuse"):
            continue  # of the daemon's own loggers the event says enough
        yield f"{_text(name, 100)}={_value(value)}"


def _value(value: object) -> str:
    if isinstance(value, str):
        text = _text(value) if value else ""
        return text if text and " " not in text else f'"{text}"'
    if isinstance(value, bool | int | float):
        return str(value).lower()
    return one_line(msgspec.json.encode(value).decode(), _VALUE_CHARACTERS)
