"""Files that a person writes, read whole: regular or not, they end at a limit, and may begin with a byte order mark."""

import sys
import tomllib
from pathlib import Path
from typing import Any

from eventstore.errors import DocumentError

__all__ = ["STANDARD_INPUT", "input_name", "read_beginning", "read_bounded", "read_toml"]

STANDARD_INPUT = "-"


def read_beginning(path: Path, size_bytes: int) -> bytes:
    """Return at most so many bytes of a file, or of standard input as `-`. Raises DocumentError."""
    try:
        if str(path) == STANDARD_INPUT:
            return sys.stdin.buffer.read(size_bytes)
        with path.open("rb") as file:
            return file.read(size_bytes)
    except (OSError, ValueError) as error:  # a path may hold what no file's name can
        raise DocumentError(f"{input_name(path)}: cannot be read: {getattr(error, 'strerror', error)}") from error


def read_bounded(path: Path, limit_bytes: int) -> bytes:
    """Return all of a file, or of standard input as `-`. Raises DocumentError, also for one over the limit."""
    content = read_beginning(path, limit_bytes + 1)
    if len(content) > limit_bytes:
        raise DocumentError(f"{input_name(path)}: over {limit_bytes:,} bytes, which is the most that is read")
    return content


def read_toml(path: Path, limit_bytes: int) -> dict[str, Any]:
    """Return the table of a TOML file, or of standard input as `-`. Raises DocumentError that names file and place."""
    name = input_name(path)
    content = read_bounded(path, limit_bytes)
    try:
        # Some systems' editors put a byte order mark first.
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DocumentError(f"{name}: not UTF-8 text: {error.reason} at byte {error.start}") from error
    except RecursionError:
        raise DocumentError(f"{name}: not TOML: nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError is one, and so is a number with thousands of digits
        raise DocumentError(f"{name}: not TOML: {error}") from error


def input_name(path: Path) -> str:
    """Return what errors call a file."""
    return "standard input" if str(path) == STANDARD_INPUT else str(path)
