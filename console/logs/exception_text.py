"""An exception of the log, which is data there, as lines such as Python prints."""

from collections.abc import Iterator

from console.output.printable import one_line

__all__ = ["exception_lines"]

_CHARACTERS = 300
# The daemon writes at most 30 frames for each exception of a chain.
_MOST_LINES = 200
# Groups within groups: what is deeper is rubbish, or of no help.
_DEEPEST = 5


def exception_lines(exception: object) -> list[str]:
    """Return the lines to show below the line that has an exception; what has another form is shown as it is."""
    lines = list(_chain(exception, 0)) if exception is not None else []
    more = len(lines) - _MOST_LINES
    return [*lines[:_MOST_LINES], f"... and {more} more lines"] if more > 0 else lines


def _chain(stacks: object, depth: int) -> Iterator[str]:
    if not isinstance(stacks, list) or depth > _DEEPEST:
        yield one_line(str(stacks), _CHARACTERS)
        return
    for index, stack in enumerate(stacks):
        link = ""
        if index and isinstance(stack, dict):
            link = "caused by " if stack.get("is_cause") else "raised while handling "
        yield from _stack(stack, link, depth)


def _stack(stack: object, link: str, depth: int) -> Iterator[str]:
    if not isinstance(stack, dict):
        yield one_line(str(stack), _CHARACTERS)
        return
    yield one_line(f"{link}{stack.get('exc_type', '?')}: {stack.get('exc_value', '')}", _CHARACTERS)
    for frame in _items(stack, "frames"):
        if isinstance(frame, dict):
            where = f"{frame.get('filename', '?')}:{frame.get('lineno', '?')} in {frame.get('name', '?')}"
            yield "  " + one_line(where, _CHARACTERS)
    for inner in _items(stack, "exceptions"):
        yield from ("  | " + line for line in _chain(inner, depth + 1))


def _items(stack: dict[str, object], name: str) -> list[object]:
    items = stack.get(name)
    return items if isinstance(items, list) else []
