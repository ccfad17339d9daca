"""What is looked for in the bytes of an answer's head, beside what the parser makes of them. Pure."""

from __future__ import annotations

from typing import Final

HEAD_END: Final = b"\r\n\r\n"


def head_end(tail: bytes, data: bytes, at: int) -> int:
    """Return where in `data` the head ends that goes on at `at`, `tail` being its last bytes; -1 = not yet."""
    across = (tail + data[at : at + len(HEAD_END) - 1]).find(HEAD_END) if tail else -1
    if across >= 0:
        return at + across + len(HEAD_END) - len(tail)
    found = data.find(HEAD_END, at)
    return found + len(HEAD_END) if found >= 0 else -1


def retry_after_lines(head_start: bytes) -> list[tuple[str, str]]:
    """Return the first whole Retry-After line of a head that can't be parsed, as a header; empty = there is none."""
    for line in head_start.split(b"\n")[1:-1]:
        name, colon, value = line.partition(b":")
        if colon and name.strip(b" \t").lower() == b"retry-after":
            return [("Retry-After", value.strip(b" \t\r").decode("latin-1"))]
    return []
