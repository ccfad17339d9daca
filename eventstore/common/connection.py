"""A connection to a store, as far as what runs on any store needs it: for SQLite it is `sqlite3.Connection` itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

__all__ = ["Connection", "Cursor"]


class Cursor(Protocol):
    """The rows of a statement, as tuples."""

    @property
    def rowcount(self) -> int:
        """Return how many rows the statement has written."""

    def fetchone(self) -> Any:
        """Return the next row, None when there is none."""

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """Runs statements within the transaction that is under way, or each in one of its own."""

    @property
    def in_transaction(self) -> bool:
        """Return whether a transaction is under way."""

    def rollback(self) -> None:
        """End the transaction that is under way without what was done in it."""

    def execute(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = (), /) -> Cursor:
        """Run a statement. `parameters`: those that it marks by `?` in order, or by `:name`."""

    def executemany(self, sql: str, parameters: Iterable[Sequence[object]], /) -> Cursor:
        """Run a statement once for each row of parameters."""
