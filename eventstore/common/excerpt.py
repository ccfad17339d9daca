"""Texts from outside, shortened by what they take as they are stored: bytes of JSON. Pure."""

from collections.abc import Mapping

import msgspec

__all__ = ["shorten", "shorten_all", "stored_bytes"]

_encode = msgspec.json.Encoder().encode


def stored_bytes(text: str) -> int:
    """Return how many bytes a text takes in stored JSON: a control character takes six, a quote two."""
    return len(_encode(text)) - 2


def shorten(text: str, limit_bytes: int) -> str:
    """Return as much of a text's beginning as takes no more than so many bytes when it is stored."""
    if stored_bytes(text) <= limit_bytes:
        return text
    fits, too_long = 0, min(len(text), limit_bytes + 1)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if stored_bytes(text[:middle]) <= limit_bytes:
            fits = middle
        else:
            too_long = middle
    return text[:fits]


def shorten_all(texts: Mapping[str, str], limit_bytes: int) -> dict[str, str]:
    """Shorten texts that may take so many bytes together: short ones are left whole, the others get equal parts."""
    shortened = dict(texts)
    left_bytes = max(0, limit_bytes)
    by_size = sorted(texts, key=lambda name: stored_bytes(texts[name]))
    for number, name in enumerate(by_size):
        shortened[name] = shorten(texts[name], left_bytes // (len(by_size) - number))
        left_bytes -= stored_bytes(shortened[name])
    return shortened
