"""What Redis holds, beside what the events add up to."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from eventstore.errors import RejectedError
from eventstore.log.event_log import StoredEvent, read_events
from eventstore.projections.request_log import KEPT_ROWS
from eventstore.redis.original_layout import RedisChange, collect
from eventstore.redis.original_projection import Mark, RedisContents, RedisProjection, SqliteDirectory

__all__ = ["RedisDifference", "compare_redis"]

_BATCH_EVENTS = 2000
# A daemon goes on writing meanwhile: so often it is followed, until both are of one moment.
_ROUNDS = 20
# What is about to expire may be gone on one side already.
_EXPIRY_SLACK = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class RedisDifference:
    """One value that the events do not bear out; None = it is not there. `field` is empty for a whole list."""

    key: str
    field: str
    live: str | None
    rebuilt: str | None


@dataclass(slots=True)
class _Expected:
    """The state that events in a row add up to; memory follows the keys, not the events."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    rows: dict[str, list[bytes]] = field(default_factory=dict)
    expires_at: dict[str, datetime] = field(default_factory=dict)
    position: int = 0
    is_frozen: bool = False

    def follow(self, change: RedisChange, position: int) -> None:
        """Take in what some more events change."""
        for key in change.deleted:
            self.counts.pop(key, None)
        for key, fields in change.counts.items():
            mine = self.counts.setdefault(key, {})
            for name, count in fields.items():
                mine[name] = mine.get(name, 0) + count
        for key, rows in change.rows.items():
            self.rows[key] = (self.rows.get(key, []) + rows)[-KEPT_ROWS:]
        self.expires_at |= change.expires_at
        self.position, self.is_frozen = position, change.is_frozen


def compare_redis(
    connection: sqlite3.Connection,
    projection: RedisProjection,
    now: datetime,
    advance: Callable[[int], None] = lambda _count: None,
) -> tuple[RedisDifference, ...]:
    """Compare every key of the layout with a fold of the events, as of the moment that Redis is at; empty = all agree.

    Raises RedisAwayError; RejectedError when Redis is at another log's event, is being emptied, or moves on too fast.
    """
    expected = _Expected()
    for _ in range(_ROUNDS):
        mark = projection.known_mark(connection)
        _fold(connection, expected, mark, advance)
        contents = projection.contents()
        if projection.known_mark(connection) == mark:
            return tuple(_differences(contents, expected, now))
    raise RejectedError("Redis is written to so fast that no moment could be compared: try again when it is quieter")


def _fold(connection: sqlite3.Connection, expected: _Expected, mark: Mark, advance: Callable[[int], None]) -> None:
    directory = SqliteDirectory(connection)
    while expected.position < mark.position:
        wanted = min(_BATCH_EVENTS, mark.position - expected.position)
        events: Sequence[StoredEvent] = tuple(read_events(connection, after_position=expected.position, limit=wanted))
        if not events:
            return
        expected.follow(collect(events, directory, is_frozen=expected.is_frozen), events[-1].position)
        advance(len(events))


def _differences(contents: RedisContents, expected: _Expected, now: datetime) -> list[RedisDifference]:
    dying = {key for key, moment in expected.expires_at.items() if moment < now + _EXPIRY_SLACK}
    found: list[RedisDifference] = []
    for key in sorted((contents.counts.keys() | expected.counts.keys()) - dying):
        live, rebuilt = contents.counts.get(key, {}), expected.counts.get(key, {})
        found += [
            RedisDifference(key, name, _count_text(live.get(name)), _count_text(rebuilt.get(name)))
            for name in sorted(live.keys() | rebuilt.keys())
            if live.get(name, 0) != rebuilt.get(name, 0)
        ]
    for key in sorted((contents.rows.keys() | expected.rows.keys()) - dying):
        found += _row_differences(key, contents.rows.get(key, ()), expected.rows.get(key, [])[::-1])
    found += [
        RedisDifference(key, "time to live", "none", "30 days")
        for key in sorted(contents.without_expiry - dying)
        if key in expected.expires_at
    ]
    return found


def _row_differences(key: str, live: Sequence[bytes], rebuilt: Sequence[bytes]) -> list[RedisDifference]:
    if len(live) != len(rebuilt):
        return [RedisDifference(key, "", f"{len(live)} rows", f"{len(rebuilt)} rows")]
    return [
        RedisDifference(key, f"row {number}", _row_text(one), _row_text(other))
        for number, (one, other) in enumerate(zip(live, rebuilt, strict=True))
        if one != other
    ]


def _count_text(count: int | None) -> str | None:
    return None if count is None else str(count)


def _row_text(row: bytes) -> str:
    """Return what tells a row from others; bodies are long."""
    try:
        fields = msgspec.json.decode(row, type=dict[str, object])
    except msgspec.MsgspecError:
        return row[:60].decode(errors="replace")
    return f"{fields.get('date')} {fields.get('response_code')}"
