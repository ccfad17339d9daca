"""Under which conditions a figure is taken."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Conditions"]


@dataclass(frozen=True, slots=True)
class Conditions:
    """Where, with how many processes, and whether only to see that the harness works.

    `folder` is on the disk of the checkout: in memory an fsync would cost nothing.
    """

    folder: Path
    processes: int = 2
    is_quick: bool = False

    def pick(self, full: int, quick: int) -> int:
        """Return the full size, or the one with which the harness is tried out."""
        return quick if self.is_quick else full

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Return a folder that is gone afterwards."""
        path = Path(tempfile.mkdtemp(prefix="run-", dir=self.folder))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
