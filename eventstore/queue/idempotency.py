"""Idempotency keys: the same key of an installation is queued once, and answered with the id of the first time."""

from zlib import crc32

from eventstore.common.connection import Connection
from eventstore.errors import DamagedFileError

__all__ = ["damaged_keys", "first_id", "forget_damaged_keys", "forget_idempotency_keys"]


def first_id(connection: Connection, installation_id: str, key: str, delivery_id: str, enqueued_at: str) -> str | None:
    """Return the delivery that a key was given before; None = there was none, and from now on it is `delivery_id`.

    Raises DamagedFileError when that id is not what was stored: the key was used, but nobody knows by which delivery.
    """
    row = connection.execute(
        "SELECT delivery_id, checksum FROM idempotency_keys WHERE installation_id = ? AND idempotency_key = ?",
        (installation_id, key),
    ).fetchone()
    if row is None:
        connection.execute(
            "INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, ?)",
            (installation_id, key, delivery_id, enqueued_at, _checksum(*_bytes(installation_id, key, delivery_id))),
        )
        return None
    known, checksum = row
    if not _fits(checksum, *_bytes(installation_id, key, known)):
        raise DamagedFileError(
            f"what is stored of the idempotency key {key!r} of installation {installation_id} is damaged: look whether"
            " its delivery has arrived, then delete the key with `hookfuse forget-damaged`"
        )
    return str(known)


def damaged_keys(connection: Connection) -> list[tuple[bytes, bytes]]:
    """Return installation and key of all that are not what was stored; damaged texts may not be UTF-8."""
    rows = connection.execute(
        "SELECT CAST(installation_id AS BLOB), CAST(idempotency_key AS BLOB), CAST(delivery_id AS BLOB), checksum"
        " FROM idempotency_keys WHERE checksum IS NOT NULL ORDER BY enqueued_at"
    )
    return [
        (installation_id, key)
        for installation_id, key, known, checksum in rows
        if not _fits(checksum, installation_id, key, known)
    ]


def forget_damaged_keys(connection: Connection) -> int:
    """Delete the keys that are not what was stored, and return how many."""
    keys = damaged_keys(connection)
    connection.executemany(
        "DELETE FROM idempotency_keys WHERE CAST(installation_id AS BLOB) = ? AND CAST(idempotency_key AS BLOB) = ?",
        keys,
    )
    return len(keys)


def forget_idempotency_keys(connection: Connection, *, older_than: str, limit: int = 1000) -> int:
    """Drop the keys of before a moment, at most `limit` of them, and return how many."""
    return connection.execute(
        "DELETE FROM idempotency_keys WHERE (installation_id, idempotency_key) IN"
        " (SELECT installation_id, idempotency_key FROM idempotency_keys WHERE enqueued_at < ? LIMIT ?)",
        (older_than, limit),
    ).rowcount


def _checksum(installation_id: bytes, key: bytes, delivery_id: bytes) -> int:
    """CRC-32, as of a payload; not of the moment, which may be put right (eventstore/wall_clock)."""
    return crc32(b"\n".join((installation_id, key, delivery_id)))


def _bytes(*texts: str) -> tuple[bytes, ...]:
    return tuple(text.encode() for text in texts)


def _fits(checksum: int | None, installation_id: bytes, key: bytes, delivery_id: bytes) -> bool:
    """Return whether a row is what was stored, as far as is known: one of before there were checksums has none."""
    return checksum is None or checksum == _checksum(installation_id, key, delivery_id)
