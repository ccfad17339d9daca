"""The table of a timeline."""

import textwrap
from collections.abc import Iterator, Sequence
from datetime import timedelta

from console.output.tables import Column, is_terminal, print_table
from console.output.timeline_text import Line, entry_lines
from eventstore.common.clock import parse_time
from replay.timeline.entries import Entry

__all__ = ["print_story"]

_COLUMNS = (Column("from", is_whole=True), Column("for", is_whole=True), Column("what", is_whole=True), Column("told"))
# In a pipe nothing folds what is told.
_TOLD_CHARACTERS = 72
# A story that is over within so long is told by the second.
_SHORT = timedelta(days=2)


def print_story(entries: Sequence[Entry], *, title: str = "", empty: str = "nothing happened") -> None:
    """Print entries as a table."""
    print_table(_COLUMNS, [*_rows(entries)], title=title, empty=empty)


def _rows(entries: Sequence[Entry]) -> Iterator[tuple[str, ...]]:
    moments = sorted(parse_time(at) for entry in entries for at in (entry.first_at, entry.last_at))
    is_exact = bool(moments) and moments[-1] - moments[0] < _SHORT
    for entry in entries:
        for line in entry_lines(entry, is_exact=is_exact):
            yield from _folded(line)


def _folded(line: Line) -> Iterator[tuple[str, ...]]:
    told = [line.told] if is_terminal() else textwrap.wrap(line.told, _TOLD_CHARACTERS, break_long_words=False)
    for number, text in enumerate(told or [""]):
        # A space, as for nothing at all a table has a sign.
        cells = (" ", " ", " ") if number else (line.when or " ", line.lasted or " ", line.what or " ")
        yield (*cells, text or " ")
