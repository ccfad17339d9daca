"""Making text from outside safe to show: nothing in it can move the cursor or pass for something else."""

import re

__all__ = ["one_line", "printable", "safe_json"]

# What JSON text may hold unescaped and a terminal may obey, or a reader be misled by: the C1 controls, DEL, and
# the marks that change direction or are not seen (Unicode categories Cc, Cf and the line separators).
_UNSAFE_IN_JSON = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    r"""Write every character that is not printable as its escape, such as \x1b or \n."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def one_line(text: str, characters: int = 2000) -> str:
    """Return a text on one printable line, shortened where it is longer."""
    shown = printable(" ".join(text.split()))
    return shown if len(shown) <= characters else shown[: characters - 1] + "…"


def safe_json(document: str) -> str:
    """Escape within JSON text what a terminal would obey; the document means the same."""
    is_plain = document.isascii() and "\x7f" not in document  # the usual case, and a hundred times faster
    return document if is_plain else _UNSAFE_IN_JSON.sub(_escape, document)


def _escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
