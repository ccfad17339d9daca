"""Snapshots of an installation's latest outcomes, so that its actor starts from a bounded number of events."""

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from eventstore.common.connection import Connection
from eventstore.common.identifiers import installation_of, installation_stream
from eventstore.log.event_log import StoredEvent
from eventstore.policies.recent_outcomes import LATEST_EVENTS, RecentOutcomes
from eventstore.sqlite.bulk import upsert

__all__ = ["SNAPSHOT_SCHEMA", "read_recent_outcomes", "renew_snapshots"]

# Moves with each change of RecentOutcomes, of what it is folded from, or of how.
SNAPSHOT_SCHEMA = 4
# Reading so many events costs about as much as reading a snapshot; writing one costs as much as 20 of them.
_SNAPSHOT_EVERY = 128

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(RecentOutcomes)


def read_recent_outcomes(connection: Connection, installation_id: str) -> RecentOutcomes:
    """Read an installation's latest outcomes: its snapshot, where it has a sound one, and the events after that.

    The result is that of the events alone.
    """
    stream = installation_stream(installation_id)
    snapshot = _read_snapshot(connection, installation_id, stream)
    rows = connection.execute(
        "SELECT version, type, recorded_at, data FROM events WHERE stream = :stream AND version >"
        " max(:version, (SELECT max(version) FROM events WHERE stream = :stream) - :latest) ORDER BY version",
        {"stream": stream, "version": snapshot.version, "latest": LATEST_EVENTS},
    )
    return snapshot.followed_by(rows)


def renew_snapshots(connection: Connection, stored_events: Sequence[StoredEvent]) -> None:
    """Within the transaction that appended them, renew the snapshot of each installation that is due for one."""
    due = {stored.stream for stored in stored_events if not stored.version % _SNAPSHOT_EVERY}
    for installation_id in filter(None, map(installation_of, sorted(due))):
        _write_snapshot(connection, installation_id)


def _write_snapshot(connection: Connection, installation_id: str) -> None:
    recent = read_recent_outcomes(connection, installation_id)
    data = _encoder.encode(recent)
    (event_hash,) = connection.execute(
        "SELECT hash FROM events WHERE stream = ? AND version = ?",
        (installation_stream(installation_id), recent.version),
    ).fetchone()
    connection.execute(
        upsert("snapshots", "installation_id", ("installation_id", "version", "schema", "checksum", "data")),
        (installation_id, recent.version, SNAPSHOT_SCHEMA, _checksum(event_hash, recent.version, data), data),
    )


def _read_snapshot(connection: Connection, installation_id: str, stream: str) -> RecentOutcomes:
    """Return what a snapshot says; nothing where there is none, or none that is whole and of this very stream."""
    # Of a version that the stream does not have (yet) there is no event, and the join gives nothing.
    row = connection.execute(
        "SELECT snapshots.version, snapshots.checksum, snapshots.data, events.hash FROM snapshots"
        " JOIN events ON events.stream = ? AND events.version = snapshots.version"
        " WHERE installation_id = ? AND snapshots.schema = ?",
        (stream, installation_id, SNAPSHOT_SCHEMA),
    ).fetchone()
    if row is None:
        return RecentOutcomes()
    version, checksum, data, event_hash = row
    if not isinstance(data, bytes) or checksum != _checksum(event_hash, version, data):
        return RecentOutcomes()
    return _decoder.decode(data)


def _checksum(event_hash: bytes, version: int, data: bytes) -> bytes:
    """Tie a snapshot to its event, whose hash no other event of any stream has."""
    return blake2b(b"%b\n%d\n%d\n%b" % (event_hash, SNAPSHOT_SCHEMA, version, data), digest_size=16).digest()
