"""Who is at work, and since when it fails: no projection, as it begins empty with each daemon; all workers share it."""

from collections.abc import Iterable
from dataclasses import dataclass

from eventstore.common.connection import Connection

__all__ = ["AtWork", "count_at_work", "forget_at_work", "note_at_work", "read_at_work", "who_is_at_work"]


@dataclass(frozen=True, slots=True)
class AtWork:
    """An installation that something is sent to; the registry may not know it (any more)."""

    installation_id: str
    failing_since: str | None
    organization_id: int | None
    webhook_url: str | None


def note_at_work(connection: Connection, installation_id: str, failing_since: str | None) -> None:
    """Note that an installation has begun to fail, or (None) works; a further failure begins nothing again."""
    connection.execute(
        "INSERT INTO at_work VALUES (?, ?) ON CONFLICT (installation_id) DO UPDATE SET failing_since = CASE"
        " WHEN excluded.failing_since IS NULL THEN NULL ELSE coalesce(at_work.failing_since, excluded.failing_since)"
        " END",
        (installation_id, failing_since),
    )


def forget_at_work(connection: Connection, installation_ids: Iterable[str]) -> None:
    """Note that installations are at work no more."""
    connection.executemany("DELETE FROM at_work WHERE installation_id = ?", [(one,) for one in installation_ids])


def who_is_at_work(connection: Connection) -> tuple[str, ...]:
    """Return the installations that are at work."""
    return tuple(row[0] for row in connection.execute("SELECT installation_id FROM at_work"))


def read_at_work(connection: Connection) -> tuple[AtWork, ...]:
    """Return the installations that are at work, with what others may have in common with them."""
    rows = connection.execute(
        "SELECT installation_id, failing_since, installations.organization_id, webhook_url FROM at_work"
        " LEFT JOIN installations USING (installation_id) LEFT JOIN apps USING (app_id)"
    )
    return tuple(AtWork(*row) for row in rows)


def count_at_work(connection: Connection, *, begun_after: str, begun_before: str) -> tuple[int, int, int]:
    """Count who is at work, who of them fails, and who has begun to between two moments."""
    at_work, failing, begun = connection.execute(
        "SELECT count(*), count(failing_since), count(*) FILTER (WHERE failing_since > ? AND failing_since < ?)"
        " FROM at_work",
        (begun_after, begun_before),
    ).fetchone()
    return at_work, failing, begun
