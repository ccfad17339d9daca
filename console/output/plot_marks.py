"""Decisions as marks in a picture: vertical lines, and labels as far as there is room."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from eventstore.common.clock import parse_time
from replay.timeline.entries import AppChange, Disabling, Enabling, Entry, Removal, Warnings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["EPOCH", "draw_marks", "x_of"]

# From where matplotlib counts.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# More marks than these would stand before the bars like a fence: they only reach down a little.
_MOST_LINES = 30
_LABEL_ROWS = 3


@dataclass(frozen=True, slots=True)
class _Mark:
    x: float
    label: str
    colour: str
    rank: int


def x_of(at: datetime | str) -> float:
    """Return a moment as matplotlib counts: in days, as UTC."""
    return ((parse_time(at) if isinstance(at, str) else at) - EPOCH) / timedelta(days=1)


def draw_marks(axes: "Axes", entries: Iterable[Entry], first: datetime, last: datetime) -> None:
    """Draw decisions as vertical lines; a label that finds no room is left out, those of decisions last."""
    marks = list(_marks(entries, first))
    days = max((last - first) / timedelta(days=1), 1.0)
    days_a_character = days / 165  # as wide as the picture is
    taken: list[list[tuple[float, float]]] = [[] for _ in range(_LABEL_ROWS)]
    for mark in sorted(marks, key=lambda one: one.rank):
        at = mark.x - x_of(first)
        width = (len(mark.label) + 2) * days_a_character
        is_left = at + width > days
        place = (at - width, at) if is_left else (at, at + width)
        row = next((number for number, others in enumerate(taken) if not _overlaps(place, others)), None)
        if row is not None:
            taken[row].append(place)
        _draw_mark(axes, mark, row, bottom=0.0 if len(marks) <= _MOST_LINES else 0.94, is_left=is_left)


def _overlaps(place: tuple[float, float], others: Iterable[tuple[float, float]]) -> bool:
    return any(place[0] < other[1] and other[0] < place[1] for other in others)


def _draw_mark(axes: "Axes", mark: _Mark, row: int | None, *, bottom: float, is_left: bool) -> None:
    top = 1.0 if row is None else 1.03 + 0.07 * row
    across = axes.get_xaxis_transform()
    (line,) = axes.plot(
        [mark.x, mark.x], [bottom, top], transform=across, color=mark.colour, linewidth=1.1, clip_on=False, zorder=3
    )
    line.set_gid(f"mark-{mark.label.replace(' ', '-')}-{mark.x:.2f}")
    if row is not None:
        axes.text(
            mark.x,
            top,
            f"{mark.label} " if is_left else f" {mark.label}",
            transform=across,
            color=mark.colour,
            fontsize=8,
            ha="right" if is_left else "left",
            va="center",
            parse_math=False,
        )


def _marks(entries: Iterable[Entry], first: datetime) -> Iterator[_Mark]:
    for entry in entries:
        x = x_of(entry.first_at)
        for label, colour, rank in _labels(entry):
            if x >= x_of(first):
                yield _Mark(x, label + (f" x{entry.count}" if entry.count > 1 else ""), colour, rank)


def _labels(entry: Entry) -> list[tuple[str, str, int]]:
    """Return what is written at an entry's mark, its colour, and its rank among those that want room."""
    match entry:
        case Disabling():
            return [("disabled", "#b03000", 0)]
        case Enabling():
            return [("enabled", "#00795a", 0)]
        case Removal():
            return [("removed", "#b03000", 0)]
        case Warnings():
            return [(f"warned {entry.level}%", "#a86f00", 1)]
        case AppChange():
            names = {"webhook_url": "new URL", "secret_version": "new secret"}
            return [(names[one.name], "#444444", 2) for one in entry.changes if one.name in names]
        case _:
            return []
