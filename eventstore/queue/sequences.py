"""The numbers that deliveries have in the order of queueing."""

from eventstore.common.connection import Connection

__all__ = ["newest_sequence", "reserve_sequences", "skip_sequences"]


def newest_sequence(connection: Connection) -> int:
    """Return the sequence number of the newest delivery that was ever queued, 0 before the first."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'queue'").fetchone()
    return int(row[0]) if row else 0


def skip_sequences(connection: Connection, up_to_sequence: int) -> None:
    """Skip all sequence numbers up to that one, as deliveries had them that are lost."""
    count = up_to_sequence - newest_sequence(connection)
    if count > 0:
        reserve_sequences(connection, count)


def reserve_sequences(connection: Connection, count: int) -> int:
    """Take sequence numbers from the queue, and return the first of them."""
    row = connection.execute(
        "UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'queue' RETURNING seq", (count,)
    ).fetchone()
    if row is None:
        connection.execute("INSERT INTO sqlite_sequence VALUES ('queue', ?)", (count,))
        return 1
    return int(row[0]) - count + 1
