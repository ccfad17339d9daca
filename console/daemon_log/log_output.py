"""Structured logs: JSON lines of the daemon, and the few words of the other commands."""

from __future__ import annotations

import json
import logging
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from console.daemon_log.lean_structlog import structlog
from console.daemon_log.log_file import LogFile
from console.output.printable import one_line
from console.output.queued_stream import queue_standard_error
from eventstore.common.clock import time_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from structlog.typing import EventDict, Processor

    from eventstore.home.folder import Home
    from eventstore.settings.sections import LogSettings

__all__ = ["configure_command_logging", "configure_daemon_logging", "queue_copies"]

_log = structlog.get_logger("hookfuse.daemon")

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_LEVEL_OF_METHOD = {"warn": "warning", "exception": "error", "fatal": "critical", "msg": "info"}
_METHODS = ("debug", "info", "warning", "warn", "error", "critical", "exception", "fatal", "msg")
_SHOWN_LEVELS = {"warning", "error", "critical"}
_STYLES = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[1;31m"}
_FIELD_CHARACTERS = 200

_encoder = msgspec.json.Encoder(enc_hook=repr)
# Locals are left out: they may hold secrets.
_describe_exception = structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=30)


def configure_daemon_logging(home: Home, log: LogSettings, *, is_terminal: bool, worker: int | None = None) -> LogFile:
    """Send structlog and stdlib logging to the home's log file, and then warnings and errors to standard error.

    A line has `event`, `level`, `timestamp` (UTC) and `logger`, then the fields; an exception is data under
    `exception`. Call it before the first line is logged, and close() what it gives as the last action.
    `is_terminal`: a person looks at standard error, so that levels are coloured. `worker`: which of several
    processes this is; each line says so then.
    """
    file = LogFile(home.log, rotate_bytes=log.rotate_bytes, keep_files=log.keep_files, complain=_complain)
    level = _LEVELS[log.level]
    arrange: tuple[Processor, ...] = (_arrange,)
    if worker is not None:
        arrange = (partial(_name_worker, worker=worker), *arrange)
    write = partial(_write_line, file, is_coloured=is_terminal)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *arrange, _as_argument],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=partial(_Logger, write),
        cache_logger_on_first_use=True,
    )
    _join_stdlib(file, level, arrange, write)
    return file


def queue_copies() -> Callable[[], int]:
    """Put a queue before standard error, so that no thread of a daemon waits for who reads it.

    Returns what says how many lines were dropped so far; that they were is logged when it is over.
    """
    stream = queue_standard_error()
    if stream is None:
        return lambda: 0
    stream.on_dropped = _note_dropped
    return lambda: stream.dropped_lines


def _note_dropped(count: int) -> None:
    # Not above the level of what goes to standard error too: there it has been said already.
    _log.info("stderr_lines_dropped", count=count, done="the log has them")


def configure_command_logging() -> None:
    """Send warnings and errors to standard error, in words, and nothing to standard output."""
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _arrange, _as_argument],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=partial(_Logger, _show_line),
        cache_logger_on_first_use=False,
    )


class _Logger:
    """Ends the chain: hands the line that the processors have made to `write`, whatever its level."""

    def __init__(self, write: Callable[[EventDict], None], name: str = "hookfuse") -> None:
        self.name = name
        self.__dict__.update(dict.fromkeys(_METHODS, write))


def _name_worker(_logger: Any, _method_name: str, event_dict: EventDict, *, worker: int) -> EventDict:
    return {"worker": worker, **event_dict}


def _arrange(logger: Any, method_name: str, event_dict: EventDict) -> EventDict:
    """Put first what every line has, and make data of an exception."""
    line = {
        "event": event_dict.pop("event", ""),
        "level": _LEVEL_OF_METHOD.get(method_name, method_name),
        "timestamp": time_text(datetime.fromtimestamp(time.time(), UTC)),
        "logger": logger.name,
    }
    exc_info = event_dict.pop("exc_info", None)
    line.update(event_dict)
    if exc_info:
        line["exception"] = _exception(exc_info)
    return line


def _exception(exc_info: Any) -> object:
    if isinstance(exc_info, BaseException):
        exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
    elif not isinstance(exc_info, tuple):
        exc_info = sys.exc_info()
    return _describe_exception(exc_info) if exc_info[1] is not None else None


def _as_argument(_logger: Any, _method_name: str, line: EventDict) -> tuple[tuple[EventDict], dict[str, Any]]:
    """Return the line as structlog's positional argument, and not as keywords."""
    return (line,), {}


def _write_line(file: LogFile, line: EventDict, *, is_coloured: bool) -> None:
    # First the file: what a person is shown is a copy, which may be dropped.
    file.write(_encode(line))
    if line["level"] in _SHOWN_LEVELS:
        _write_stderr(_short_line(line, is_coloured=is_coloured))


def _show_line(line: EventDict) -> None:
    _write_stderr(_short_line(line, is_coloured=False))


def _encode(line: object) -> bytes:
    try:
        return _encoder.encode(line) + b"\n"
    except Exception:  # noqa: BLE001 - whatever was logged, the line is written and the caller lives on
        return json.dumps(line, default=repr, skipkeys=True).encode(errors="backslashreplace") + b"\n"


def _short_line(line: Mapping[str, Any], *, is_coloured: bool) -> str:
    level = line["level"]
    shown_level = f"{_STYLES.get(level, '')}{level}\x1b[0m" if is_coloured else level
    fields = [
        f"{name}={one_line(_shown(value), _FIELD_CHARACTERS)}"
        for name, value in line.items()
        if name not in ("event", "level", "timestamp", "logger", "exception")
    ]
    fields += [f"exception={_last_exception(line['exception'])}"] if line.get("exception") else []
    return " ".join([line["timestamp"][11:19], shown_level, one_line(str(line["event"]), _FIELD_CHARACTERS), *fields])


def _last_exception(exception: Any) -> str:
    stack = exception[0]
    frame = stack["frames"][-1] if stack["frames"] else {"filename": "?", "lineno": 0}
    return one_line(
        f"{stack['exc_type']}: {stack['exc_value']} ({frame['filename']}:{frame['lineno']})", _FIELD_CHARACTERS
    )


def _complain(text: str) -> None:
    _write_stderr(f"hookfuse: {text}")


def _write_stderr(text: str) -> None:
    with suppress(OSError, ValueError, AttributeError):  # closed, full or none: that is no reason to stop
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


class _StdlibHandler(logging.Handler):
    """Lets the lines of libraries (pykka, urllib3) join those of structlog."""

    def __init__(self, file: LogFile, processors: tuple[Processor, ...], write: Callable[[EventDict], None]) -> None:
        super().__init__()
        self._file = file
        self._processors = processors
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; what fails in doing so is lost and nothing else."""
        try:
            line: Any = {"event": record.getMessage(), "exc_info": record.exc_info}
            for processor in self._processors:
                line = processor(record, record.levelname.lower(), line)
            self._write(line)
        except Exception:  # noqa: BLE001 - a library's broken log call is not to stop the daemon
            self._file.lost_lines += 1


def _join_stdlib(
    file: LogFile, level: int, processors: tuple[Processor, ...], write: Callable[[EventDict], None]
) -> None:
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    root.addHandler(_StdlibHandler(file, processors, write))
    root.setLevel(level)
    logging.captureWarnings(capture=True)


def _shown(value: object) -> str:
    """Return a value as `hookfuse logs` shows it: text as it is, all else as JSON."""
    return value if isinstance(value, str) else _encode(value).decode().rstrip("\n")
