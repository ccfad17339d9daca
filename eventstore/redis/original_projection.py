"""The projection to Redis: the original's buffer and request log, written exactly once."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, cast

from eventstore.common.connection import Connection
from eventstore.common.identifiers import new_id
from eventstore.errors import RejectedError
from eventstore.log.event_log import NO_HASH, last_position, read_events
from eventstore.projections.request_log import KEPT_ROWS
from eventstore.redis.connection import open_redis, redis_explained, shown_url
from eventstore.redis.original_layout import KEPT, KEY_PATTERN, Place, RedisChange, collect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis import Redis
    from redis.client import Pipeline

__all__ = ["MARK_KEY", "Mark", "RedisContents", "RedisProjection", "SqliteDirectory"]

# Where the projection is, beside its data: written in the same MULTI, or neither.
MARK_KEY = "hookfuse:projection"
_BATCH_EVENTS = 500
_SCAN_KEYS = 1000


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the projection has come: the event at `position`, its hash, and whether disabling was frozen there."""

    position: int
    digest: bytes
    is_frozen: bool = False


_BEGINNING = Mark(0, NO_HASH)


@dataclass(frozen=True, slots=True)
class RedisContents:
    """All that stands under the layout's keys, lists newest first; `without_expiry`: keys that would never die."""

    counts: dict[str, dict[str, int]]
    rows: dict[str, tuple[bytes, ...]]
    without_expiry: frozenset[str]


class SqliteDirectory:
    """Looks places up in the registry; each once, as it is made for one batch."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._kinds: dict[int, bool] = {}
        self._places: dict[str, Place | None] = {}

    def is_internal(self, app_id: int) -> bool:
        """Return whether an app is of status internal."""
        if app_id not in self._kinds:
            row = self._connection.execute("SELECT status FROM apps WHERE app_id = ?", (app_id,)).fetchone()
            self._kinds[app_id] = row is not None and row[0] == "internal"
        return self._kinds[app_id]

    def place_of(self, installation_id: str) -> Place | None:
        """Return where an installation belongs, None when it is not known."""
        if installation_id not in self._places:
            row = self._connection.execute(
                "SELECT app_id, organization_id FROM installations WHERE installation_id = ?", (installation_id,)
            ).fetchone()
            self._places[installation_id] = None if row is None else Place(row[0], row[1], self.is_internal(row[0]))
        return self._places[installation_id]


class RedisProjection:
    """Follows the events into a Redis; several processes may, as each batch is written by one of them only.

    Its mark is read, watched, and written with the data in one MULTI. When an answer is lost, the mark tells whether
    the data was written. Methods raise RedisAwayError; then nothing is known, and the next call finds out.
    """

    def __init__(self, url: str, *, timeout_s: float = 5.0, batch_events: int = _BATCH_EVENTS) -> None:
        self.url = url
        self._batch_events = batch_events
        self._client: Redis = open_redis(url, timeout_s=timeout_s)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def lag(self, connection: Connection) -> int:
        """Count the events that are not in Redis yet."""
        with redis_explained(self.url):
            mark = _mark(self._client)
        if mark is None or not _is_known(connection, mark):
            return last_position(connection)
        return last_position(connection) - mark.position

    def known_mark(self, connection: Connection) -> Mark:
        """Return how far it has come. Raises RejectedError where that is not an event of this log."""
        with redis_explained(self.url):
            return self._known_mark(connection, self._client)

    def contents(self) -> RedisContents:
        """Read every key of this layout."""
        counts: dict[str, dict[str, int]] = {}
        rows: dict[str, tuple[bytes, ...]] = {}
        without_expiry = set()
        with redis_explained(self.url):
            for name in self._client.scan_iter(match=KEY_PATTERN, count=_SCAN_KEYS):
                key = bytes(name).decode(errors="backslashreplace")
                kind = self._client.type(name)
                if kind == b"hash":
                    fields = cast("dict[bytes, bytes]", self._client.hgetall(name))
                    counts[key] = {field.decode(errors="replace"): _number(value) for field, value in fields.items()}
                elif kind == b"list":
                    rows[key] = tuple(cast("list[bytes]", self._client.lrange(name, 0, -1)))
                if self._client.ttl(name) == -1:
                    without_expiry.add(key)
        return RedisContents(counts, rows, frozenset(without_expiry))

    def catch_up(self, connection: Connection, now: datetime) -> int:
        """Write the next batch of events, and return how many; 0 = there was none.

        `now` is the moment that is believed, from which it follows how long each key lives.
        A Redis that was flushed is filled again from the first event. Raises RejectedError when it holds such keys
        that this log did not write: they may be the original's, and are not to be mixed with ours.
        """
        from redis.exceptions import WatchError  # noqa: PLC0415 - see open_redis

        with redis_explained(self.url), self._client.pipeline(transaction=True) as pipeline:
            _watch_mark(pipeline)
            mark = self._known_mark(connection, pipeline)
            events = tuple(read_events(connection, after_position=mark.position, limit=self._batch_events))
            if not events:
                return 0
            change = collect(events, SqliteDirectory(connection), is_frozen=mark.is_frozen)
            position = events[-1].position
            pipeline.multi()
            _write(pipeline, change, now)
            _set_mark(pipeline, Mark(position, _digest_at(connection, position), change.is_frozen))
            try:
                pipeline.execute()
            except WatchError:
                # Another process was quicker, or the answer was lost: the mark tells how far it got.
                return 1
        return len(events)

    def clear(self) -> None:
        """Delete every key of this layout, also those of another program: what follows begins at the first event.

        While it is at it the mark says so, and nobody writes. Broken off, it is to be done again. Raises
        RejectedError when another process has begun to do the same.
        """
        token = new_id().encode()
        with redis_explained(self.url):
            with self._client.pipeline(transaction=True) as pipeline:
                pipeline.delete(MARK_KEY)
                pipeline.hset(MARK_KEY, "clearing", token)
                pipeline.execute()
            while keys := list(islice(self._client.scan_iter(match=KEY_PATTERN, count=_SCAN_KEYS), _SCAN_KEYS)):
                self._as_clearing(token, partial(_unlink, keys))
            self._as_clearing(token, lambda pipeline: _set_mark(pipeline, _BEGINNING))

    def _as_clearing(self, token: bytes, change: "Callable[[Pipeline], object]") -> None:
        """Change something as long as it is this process that clears."""
        with self._client.pipeline(transaction=True) as pipeline:
            _watch_mark(pipeline)
            if pipeline.hget(MARK_KEY, "clearing") != token:
                raise RejectedError(
                    f"another process is rebuilding the keys in Redis at {shown_url(self.url)}: let it end"
                )
            pipeline.multi()
            change(pipeline)
            pipeline.execute()

    def _known_mark(self, connection: Connection, client: "Redis | Pipeline") -> Mark:
        mark = _mark(client)
        if mark is not None and _is_known(connection, mark):
            return mark
        where, fix = f"Redis at {shown_url(self.url)}", "`hookfuse replay rebuild --to redis` rebuilds its keys"
        if mark is not None:
            raise RejectedError(f"{where} is at event {mark.position} of another log: {fix}")
        if self._client.exists(MARK_KEY):
            raise RejectedError(f"{where} is being emptied, or that was broken off: {fix}")
        if next(iter(self._client.scan_iter(match=KEY_PATTERN, count=_SCAN_KEYS)), None) is not None:
            raise RejectedError(
                f"{where} has keys of this layout that hookfuse did not write: import their counts"
                f" (`hookfuse events import --counts`), then {fix}"
            )
        return _BEGINNING


def _number(value: bytes) -> int:
    """Read a count; what a person has put there that is none differs from every count."""
    try:
        return int(value)
    except ValueError:
        return -1


def _watch_mark(pipeline: "Pipeline") -> None:
    pipeline.watch(MARK_KEY)  # type: ignore[no-untyped-call]


def _unlink(keys: "Sequence[bytes]", pipeline: "Pipeline") -> None:
    pipeline.unlink(*keys)


def _mark(client: "Redis | Pipeline") -> Mark | None:
    found = cast("dict[bytes, bytes]", client.hgetall(MARK_KEY))
    try:
        return Mark(int(found[b"position"]), bytes.fromhex(found[b"hash"].decode()), found[b"is_frozen"] == b"1")
    except (KeyError, ValueError):
        return None


def _set_mark(pipeline: "Pipeline", mark: Mark) -> None:
    pipeline.delete(MARK_KEY)
    pipeline.hset(
        MARK_KEY,
        mapping={"position": mark.position, "hash": mark.digest.hex(), "is_frozen": int(mark.is_frozen)},
    )


def _is_known(connection: Connection, mark: Mark) -> bool:
    """Return whether a mark is of this log: of another one, or of a later state of this one, its hash is not here."""
    return mark == _BEGINNING or _digest_at(connection, mark.position) == mark.digest


def _digest_at(connection: Connection, position: int) -> bytes:
    row = connection.execute("SELECT hash FROM events WHERE position = ?", (position,)).fetchone()
    return bytes(row[0]) if row else b""


def _write(pipeline: "Pipeline", change: RedisChange, now: datetime) -> None:
    if change.deleted:
        pipeline.delete(*sorted(change.deleted))
    # What was recorded by a clock that is ahead lives no longer for it.
    left_s = {key: int((min(moment, now + KEPT) - now).total_seconds()) for key, moment in change.expires_at.items()}
    alive = {key for key, seconds in left_s.items() if seconds > 0}
    for key in sorted(alive):
        for name, count in change.counts.get(key, {}).items():
            pipeline.hincrby(key, name, count)
        if rows := change.rows.get(key):
            pipeline.lpush(key, *rows)
            pipeline.ltrim(key, 0, KEPT_ROWS - 1)
        # By how long it lives, not until when: Redis' clock may be another, or wrong.
        pipeline.expire(key, left_s[key])
