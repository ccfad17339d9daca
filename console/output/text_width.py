"""How much room a text takes in a terminal."""

__all__ = ["padded", "text_width"]


def text_width(text: str) -> int:
    """Return how many columns of a terminal a text takes: a letter of Chinese or Japanese takes two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - 40 ms that only such a text pays

    return cell_len(text)


def padded(text: str, width: int, *, is_number: bool) -> str:
    """Return a text with spaces up to a width: behind it, and before a number."""
    missing = " " * (width - text_width(text))
    return missing + text if is_number else text + missing
