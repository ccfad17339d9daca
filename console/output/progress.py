"""A progress bar for what takes over a second."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["SlowProgress"]

_PATIENCE_S = 1.0


class SlowProgress:
    """Counts quietly; a bar is shown on standard error once it takes long, and only to a person."""

    def __init__(self, what: str, total: int | None, seconds: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._total = total
        self._seconds = seconds
        self._started_s = seconds()
        self._done = 0
        self._bar: tuple[Progress, TaskID] | None = None
        self._is_over = False

    def advance(self, count: int) -> None:
        """Record that so much more is done."""
        self._done += count
        if self._bar is not None:
            self._bar[0].update(self._bar[1], completed=self._done)
        elif not self._is_over and self._seconds() - self._started_s > _PATIENCE_S and sys.stderr.isatty():
            self._bar = self._shown()

    def stop(self) -> None:
        """Take the bar away for good, such as before the first line of a result."""
        self._is_over = True
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None

    def _shown(self) -> "tuple[Progress, TaskID]":
        from rich.console import Console  # noqa: PLC0415 - 60 ms that most batches need not pay
        from rich.progress import Progress  # noqa: PLC0415

        bar = Progress(console=Console(stderr=True), transient=True)
        bar.start()
        return bar, bar.add_task(self._what, total=self._total, completed=self._done)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _class: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.stop()
