"""One way to show things: tables for a person, plain aligned text for a pipe, JSON for a program."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
import msgspec

from console.output.printable import printable, safe_json
from console.output.text_width import padded, text_width

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = [
    "Column",
    "OutputLostError",
    "flush_output",
    "is_terminal",
    "note",
    "note_limit",
    "print_bytes",
    "print_facts",
    "print_json",
    "print_json_rows",
    "print_line",
    "print_shown",
    "print_table",
    "shown_id",
]

_NOTHING = "-"
_REST_OF_UUID = re.compile("(?<=[0-9a-f]{8})(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_GAP = "  "
# A column that can be wrapped is readable from this width on.
_FOLDED_CHARACTERS = 24


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    On a narrow terminal one that `is_whole` is not wrapped, and one that `is_extra` goes to a line below its row.
    """

    title: str
    is_number: bool = False
    is_whole: bool = False
    is_extra: bool = False


class OutputLostError(Exception):
    """What there was to say could not be written; whatever the command was to do is done."""


def flush_output() -> None:
    """Write all that was printed. Raises OutputLostError; BrokenPipeError when nobody reads any more."""
    with _losing_output():
        sys.stdout.flush()


@contextmanager
def _losing_output() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputLostError(error.strerror) from error


def _write(text: str) -> None:
    with _losing_output():
        sys.stdout.write(text)


def is_terminal() -> bool:
    """Return whether a person looks at standard output."""
    return sys.stdout.isatty()


def shown_id(name: str) -> str:
    """Shorten the UUID of an installation, or at the end of its stream, for a person; what is left can be typed."""
    return _REST_OF_UUID.sub("", name) if is_terminal() else name


def print_line(text: str = "") -> None:
    """Print one line, nothing in it escaping to the terminal."""
    _write(printable(text) + "\n")


def print_bytes(content: bytes) -> None:
    """Print what is encoded already, whatever the terminal's encoding."""
    with _losing_output():
        sys.stdout.buffer.write(content)


def print_shown(text: str) -> None:
    """Print lines that were made safe to show already; their colours are the caller's."""
    _write(text + "\n")


def print_json(document: object) -> None:
    """Print one JSON document, indented where a person looks at it."""
    _write(_json_text(document) + "\n")


def print_json_rows(rows: Iterable[object]) -> None:
    """Print one JSON list, row by row, so that a long one needs no memory; in a pipe each row is one line."""
    is_first = True
    for row in rows:
        _write("[\n" if is_first else ",\n")
        _write(_json_text(row))
        is_first = False
    _write("[]\n" if is_first else "\n]\n")


def print_table(
    columns: Sequence[Column], rows: Sequence[Sequence[object]], *, title: str = "", empty: str = ""
) -> None:
    """Print a table under its title; `empty` is what is said when there is no row."""
    if title:
        print_line(title)
    if not rows:
        print_line(empty or "nothing")
        return
    cells = [[_cell(value) for value in row] for row in rows]
    if is_terminal():
        _print_rich(columns, cells)
    else:
        _print_plain(columns, cells)


def note_limit(shown_count: int, limit: int, further: str = "a larger --limit") -> None:
    """Print on standard error that there may be more where as many rows as asked for were shown."""
    if shown_count == limit:
        click.echo(f"hookfuse: that is as many as are shown at once: see {further}", err=True)


def note(text: str) -> None:
    """Print something beside the result, on standard error."""
    click.echo(f"hookfuse: {printable(text)}", err=True)


def print_facts(facts: Mapping[str, object]) -> None:
    """Print names and values, one a line; those without a value are left out."""
    shown = {name: _cell(value) for name, value in facts.items() if value not in (None, "", ())}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        _write(f"{name:<{width}}  {value}\n")


def _json_text(document: object) -> str:
    encoded = msgspec.json.encode(document)
    if is_terminal():
        encoded = msgspec.json.format(encoded, indent=2)
    return safe_json(encoded.decode())


def _cell(value: object) -> str:
    if value is None or value == "":
        return _NOTHING
    if isinstance(value, float):
        return f"{value:.1f}" if value >= 1 else f"{value:.2f}"
    return printable(str(value))


def _print_plain(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> None:
    lines = [[column.title for column in columns], *cells]
    widths = [max(text_width(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        texts = (
            padded(text, width, is_number=column.is_number)
            for column, width, text in zip(columns, widths, line, strict=True)
        )
        _write(_GAP.join(texts).rstrip() + "\n")


def _print_rich(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> None:
    # rich takes 60 ms to import: only a person at a terminal waits for it.
    from rich.console import Console  # noqa: PLC0415

    console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
    shown = _fitting(columns, cells, console.width)
    if shown is None:
        _print_records(columns, cells)
    elif len(shown) == len(columns):
        console.print(_rich_table(columns, cells, shown))
    else:
        _print_in_two_lines(console, columns, cells, shown)


def _rich_table(
    columns: Sequence[Column],
    cells: Sequence[Sequence[str]],
    shown: Sequence[int],
    widths: Sequence[int] = (),
    *,
    is_headed: bool = True,
) -> "Table":
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, padding=(0, len(_GAP), 0, 0), pad_edge=False, header_style="bold", show_header=is_headed)
    for place, index in enumerate(shown):
        column = columns[index]
        table.add_column(
            Text(column.title),
            justify="right" if column.is_number else "left",
            no_wrap=_is_rigid(column),
            overflow="fold",
            width=widths[place] if widths else None,
        )
    for line in cells:
        table.add_row(*(Text(line[index], style=_STYLES.get(line[index], "")) for index in shown))
    return table


def _print_in_two_lines(
    console: "Console", columns: Sequence[Column], cells: Sequence[Sequence[str]], shown: Sequence[int]
) -> None:
    """Put what does not fit beside the others on a line of its own under each row: nothing is left out."""
    from rich.padding import Padding  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415

    widths = _widths(columns, cells, shown, console.width)
    rest = [index for index in range(len(columns)) if index not in shown]
    console.print(_rich_table(columns, [], shown, widths))
    for line in cells:
        console.print(_rich_table(columns, [line], shown, widths, is_headed=False))
        told = "  ".join(f"{columns[index].title}: {line[index]}" for index in rest if line[index] != _NOTHING)
        if told:
            console.print(Padding(Text(told, style="dim", overflow="fold"), (0, 0, 0, len(_GAP))))


def _print_records(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> None:
    """Print each row as names and values, one below the other, where no table fits."""
    for number, line in enumerate(cells):
        if number:
            print_line()
        print_facts({column.title: text for column, text in zip(columns, line, strict=True) if text != _NOTHING})


def _widths(
    columns: Sequence[Column], cells: Sequence[Sequence[str]], shown: Sequence[int], width: int
) -> tuple[int, ...]:
    """Return each column its width: the rigid ones theirs, and the others equal parts of what is left."""
    widest = {
        index: max(text_width(text) for text in (columns[index].title, *(line[index] for line in cells)))
        for index in shown
    }
    folded = [index for index in shown if not _is_rigid(columns[index])]
    left = width - len(_GAP) * len(shown) - sum(widest[index] for index in shown if index not in folded)
    for place, index in enumerate(folded):
        widest[index] = min(widest[index], max(1, left // (len(folded) - place)))
        left -= widest[index]
    return tuple(widest[index] for index in shown)


def _fitting(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Choose the columns that fit beside each other, extra ones going first from the right; None = not even so."""
    needed = [_least_width(column, [line[index] for line in cells]) for index, column in enumerate(columns)]
    shown = list(range(len(columns)))
    for index in reversed(range(len(columns))):
        if sum(needed[one] + len(_GAP) for one in shown) <= width:
            break
        if columns[index].is_extra:
            shown.remove(index)
    return shown if sum(needed[one] + len(_GAP) for one in shown) - len(_GAP) <= width else None


def _least_width(column: Column, texts: Sequence[str]) -> int:
    widest = max(text_width(text) for text in (column.title, *texts))
    return widest if _is_rigid(column) else min(widest, _FOLDED_CHARACTERS)


def _is_rigid(column: Column) -> bool:
    return column.is_number or column.is_whole


_STYLES = {
    "active": "green",
    "delivered": "green",
    "disabled": "bold red",
    "enabled": "bold green",
    "warned": "bold yellow",
    "failing": "red",
    "flaky": "yellow",
    "quiet": "dim",
    "dead": "red",
    "missed": "yellow",
    "removed": "dim",
    _NOTHING: "dim",
}
