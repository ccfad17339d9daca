"""The singular or the plural of a word, as a count asks for it."""

__all__ = ["counted", "grouped", "noun"]


def noun(count: int, one: str, many: str = "") -> str:
    """Return the word for so many: `one`, or `many`, which is `one` with an s where it is left out."""
    return one if count == 1 else many or f"{one}s"


def counted(count: int, one: str, many: str = "") -> str:
    """Return the number and the word for it."""
    return f"{count} {noun(count, one, many)}"


def grouped(count: int, one: str, many: str = "") -> str:
    """Return the number, its thousands grouped by commas, and the word for it."""
    return f"{count:,} {noun(count, one, many)}"
