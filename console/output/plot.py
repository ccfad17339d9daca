"""The picture of an installation's story: outcomes stacked by day, decisions as marks, made with matplotlib."""

import math
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from importlib.metadata import requires
from importlib.util import find_spec
from typing import TYPE_CHECKING, BinaryIO

from console.output.plot_marks import EPOCH, draw_marks, x_of
from console.output.printable import one_line
from eventstore.errors import ConfigurationError
from eventstore.policies.day_counts import CLASS_TITLES
from replay.timeline.entries import Creation, Disabling, Enabling, Entry, Removal
from replay.timeline.outcome_days import MISSED, OTHER, OutcomeDays

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Picture", "draw", "require_matplotlib"]

_INCHES = (10.0, 4.0)
_DOTS_PER_INCH = 100
# So many bars can be told apart; of a longer story each stands for more days.
_MOST_BARS = 130
_DAYS_A_BAR = (1, 7, 28, 91, 364)


@dataclass(frozen=True, slots=True)
class _Look:
    """How a class is drawn; hatching tells apart in print what colours (Okabe and Ito's) tell apart on a screen.

    Of lines only, as dots make a vector file ten times as large.
    """

    colour: str
    hatch: str = ""


# From the bottom of a bar to its top.
_LOOKS = {
    "success": _Look("#9ad9bf"),
    "server_error": _Look("#b03000"),
    "timeout": _Look("#0072b2", "////"),
    "client_error": _Look("#e69f00", "xxx"),
    "rate_limited": _Look("#f0e442", "|||"),
    "redirect": _Look("#cc79a7", "\\\\\\\\"),
    "protocol": _Look("#56b4e9", "---"),
    "no_answer": _Look("#004466", "..."),
    "fatal": _Look("#000000"),
    OTHER: _Look("#777777", "++"),
    MISSED: _Look("#ffffff", "//"),
}
_TITLES = CLASS_TITLES | {OTHER: "Not sent (guard, own fault)", MISSED: "Missed"}


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn, from a first to a last moment."""

    title: str
    first: datetime
    last: datetime
    entries: Sequence[Entry]
    days: OutcomeDays


def require_matplotlib() -> None:
    """Raise ConfigurationError, which says what to do, when matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise ConfigurationError(
            f"a picture needs matplotlib, which is not installed: {sys.executable} -m pip install '{_requirement()}'"
        )


def _requirement() -> str:
    return next(one.partition(";")[0].strip() for one in requires("hookfuse") or [] if one.startswith("matplotlib"))


def draw(picture: Picture, file: BinaryIO, file_format: str) -> None:
    """Write a picture as svg or png; needs no display, and leaves nothing changed behind."""
    with _plain_matplotlib():
        from matplotlib.figure import Figure  # noqa: PLC0415 - half a second that only who wants a picture pays

        figure = Figure(figsize=_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
        _draw(picture, figure)
        metadata = {"Date": None} if file_format == "svg" else {}
        figure.savefig(file, format=file_format, metadata=metadata)


@contextmanager
def _plain_matplotlib() -> Iterator[None]:
    """Reset matplotlib within the block, so that it draws the same whatever settings of a person's it finds."""
    backend = os.environ.pop("MPLBACKEND", None)  # one that it does not know fails its import
    try:
        from matplotlib import style  # noqa: PLC0415 - as above

        # Text as text, so that it can be searched; the same ids, so that the same story is the same file.
        with style.context(["default", {"svg.fonttype": "none", "svg.hashsalt": "hookfuse", "hatch.linewidth": 0.6}]):
            yield
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


def _draw(picture: Picture, figure: "Figure") -> None:
    axes = figure.add_subplot()
    step = _days_a_bar(picture)
    _draw_spans(axes, picture)
    _draw_bars(axes, picture, step)
    draw_marks(axes, picture.entries, picture.first, picture.last)
    _finish(axes, figure, picture, step)


def _days_a_bar(picture: Picture) -> int:
    return next((step for step in _DAYS_A_BAR if _days(picture) <= step * _MOST_BARS), _DAYS_A_BAR[-1])


def _days(picture: Picture) -> int:
    """Count the UTC days that are drawn; midnight belongs to the day that ends."""
    return (max(picture.first, picture.last - timedelta(microseconds=1)).date() - picture.first.date()).days + 1


def _draw_bars(axes: "Axes", picture: Picture, step: int) -> None:
    bars = _bars(picture, step)
    for name, look in _LOOKS.items():
        heights = {start: counts[name] for start, counts in bars.items() if counts[name]}
        if not heights:
            continue
        below = [sum(bars[start][other] for other in _below(name)) for start in heights]
        drawn = axes.bar(
            [_x_of_day(start) for start in heights],
            list(heights.values()),
            width=step * 0.86,
            bottom=below,
            align="edge",
            color=look.colour,
            edgecolor="#333333",
            linewidth=0.4,
            hatch=look.hatch or None,
            label=_TITLES[name],
            zorder=2,
        )
        for bar, start in zip(drawn, heights, strict=True):
            bar.set_gid(f"bar-{name}-{start}")


def _bars(picture: Picture, step: int) -> dict[date, Counter[str]]:
    """Add up the days of each bar; what was imported of days before the story is not of it."""
    bars: dict[date, Counter[str]] = {}
    first = picture.first.date()
    for name, counts in picture.days.days.items():
        passed = (date.fromisoformat(name) - first).days
        if passed >= 0:
            start = first + timedelta(days=passed - passed % step)
            bars.setdefault(start, Counter()).update(counts)
    return dict(sorted(bars.items()))


def _below(name: str) -> list[str]:
    names = list(_LOOKS)
    return names[: names.index(name)]


def _x_of_day(day: date) -> float:
    return float((day - EPOCH.date()).days)


def _draw_spans(axes: "Axes", picture: Picture) -> None:
    """Shade when nothing was sent, and when the breaker was open."""
    first, last = x_of(picture.first), x_of(picture.last)
    opened = [(x_of(span.first_at), x_of(span.last_at) if span.last_at else last) for span in picture.days.open_spans]
    for name, spans, colour, alpha in (
        ("disabled", _disabled_spans(picture.entries, last), "#bdbdbd", 0.5),
        ("breaker open", opened, "#e69f00", 0.22),
    ):
        shown = [(max(start, first), min(end, last)) for start, end in spans if end > first]
        for number, (start, end) in enumerate(shown):
            span = axes.axvspan(start, end, color=colour, alpha=alpha, linewidth=0, zorder=0)
            span.set_gid(f"{name.replace(' ', '-')}-{number}")
            span.set_label(name if number == 0 else "")


def _disabled_spans(entries: Iterable[Entry], last: float) -> Iterator[tuple[float, float]]:
    since: float | None = None
    for entry in entries:
        if isinstance(entry, Disabling | Removal):
            since = x_of(entry.first_at) if since is None else since
        elif isinstance(entry, Enabling | Creation) and since is not None:
            yield since, x_of(entry.first_at)
            since = None
    if since is not None:
        yield since, last


def _finish(axes: "Axes", figure: "Figure", picture: Picture, step: int) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415 - as above
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter  # noqa: PLC0415

    # Whole bars: the first and the last day too.
    first = _x_of_day(picture.first.date())
    axes.set_xlim(first, first + math.ceil(_days(picture) / step) * step)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.grid(axis="y", color="#dddddd", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylabel("a day" if step == 1 else "a week" if step == 7 else f"in {step} days")
    if not axes.has_data() or not any(picture.days.days.values()):
        axes.text(0.5, 0.5, "no traffic", transform=axes.transAxes, ha="center", color="#777777")
    figure.suptitle(one_line(picture.title, 120), x=0.01, ha="left", fontsize=10, parse_math=False)
    handles, names = axes.get_legend_handles_labels()
    if names:
        figure.legend(handles, names, loc="outside lower center", ncols=6, fontsize=8, frameon=False)
