"""Reading what a person gives: a file, or standard input as `-`."""

from pathlib import Path

from eventstore.common.bounded_file import input_name, read_beginning
from eventstore.deliveries.admission import compact_json_object
from eventstore.errors import DocumentError, RejectedError

__all__ = ["read_json_object", "read_secret_line"]

# As long as the longest header value; a secret is some dozens.
_SECRET_BYTES = 8192


def read_json_object(path: str, limit_bytes: int) -> str:
    """Read one JSON object and give it without white space; `-` = standard input.

    Raises DocumentError that names file, line and column, and RejectedError when it is over the limit.
    """
    name = input_name(Path(path))
    content = read_beginning(Path(path), limit_bytes + 1)
    if len(content) > limit_bytes:
        raise RejectedError(f"{name} has over {limit_bytes} bytes, and [limits] attachment_bytes is {limit_bytes}")
    try:
        return compact_json_object(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DocumentError(f"{name}: not UTF-8 text: {error.reason} at byte {error.start}") from error
    except DocumentError as error:
        raise DocumentError(f"{name}: {error}") from error


def read_secret_line(path: str) -> str:
    """Read a secret without the line end after it; `-` = standard input. Raises DocumentError that shows none of it."""
    name = input_name(Path(path))
    content = read_beginning(Path(path), _SECRET_BYTES + 1)
    if len(content) > _SECRET_BYTES:
        raise DocumentError(f"{name}: over {_SECRET_BYTES} bytes, which is too long for a secret")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        # Not as its cause: the exception holds the bytes.
        raise DocumentError(f"{name}: not UTF-8 text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.strip() or not text.isprintable():
        raise DocumentError(f"{name}: a secret is one line of printable characters")
    return text
