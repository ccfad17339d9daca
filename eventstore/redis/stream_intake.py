"""Taking in what producers put into a Redis stream: into the local queue first, acknowledged when it was attempted."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from eventstore.deliveries.admission import admit, require_admissible
from eventstore.deliveries.producer import Producer
from eventstore.errors import DocumentError, NotFoundError, RedisAwayError, RejectedError
from eventstore.queue.delivery import NewDelivery
from eventstore.queue.enqueue import prepare
from eventstore.redis.connection import open_redis, redis_explained, shown_url
from eventstore.redis.stream_depth import dead_stream_of
from eventstore.redis.stream_entry import delivery_of
from eventstore.unit_of_work import Transaction

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["IntakeRule", "StreamIntake"]

Entry = tuple[bytes, dict[bytes, bytes]]

# What is kept of a poison entry's fields, in bytes each.
_POISON_FIELD_BYTES = 65_536
_DEAD_ENTRIES_MAX = 100_000
_CHUNK = 1000
# More than this many taken in and not attempted yet: others may have the rest, or it waits in Redis.
_HELD_MAX = 100_000


@dataclass(frozen=True, slots=True)
class IntakeRule:
    """Where to read and how; times are seconds. `consumer` names this home in the group."""

    url: str
    stream: str
    group: str
    consumer: str
    is_shared: bool = False
    adopt_after_s: float = 60.0
    timeout_s: float = 5.0
    batch_entries: int = 200


class StreamIntake:
    """Reads a consumer group of a stream into the queue of a home; used by one thread at a time.

    An entry stays pending in Redis until the outcome of its first attempt (or that it was missed) is committed here:
    when this home is lost before, another one takes it over. Methods raise RedisAwayError; what is in the queue by
    then stays there, and an entry that is read again is known by its key.
    """

    def __init__(self, producer: Producer, rule: IntakeRule) -> None:
        self._producer = producer
        self._rule = rule
        self._client: Redis = open_redis(rule.url, timeout_s=rule.timeout_s, setting="[queue] url")
        self._is_joined = False

    @property
    def dead_stream(self) -> str:
        """The stream that poison entries are put into, with the reason."""
        return dead_stream_of(self._rule.stream)

    def close(self) -> None:
        """Close both connections."""
        self._client.close()
        self._producer.close()

    def join(self) -> int:
        """Make the group where it is missing, and take in again what this home had read and not acknowledged.

        Gives how many. Raises RejectedError when a daemon on another home reads the group, which is not to be shared.
        """
        from redis.exceptions import ResponseError  # noqa: PLC0415 - see open_redis

        rule = self._rule
        with redis_explained(rule.url):
            try:
                self._client.xgroup_create(rule.stream, rule.group, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise
            self._refuse_others()
            self._client.xgroup_createconsumer(rule.stream, rule.group, rule.consumer)
            count, after = 0, b"0"
            while entries := self._read(after):
                count += self._keep(entries)
                after = entries[-1][0]
        self._is_joined = True
        return count

    def take_in(self, *, block_s: float = 0.0) -> int:
        """Read new entries into the queue, and return how many there were; waits up to `block_s` for the first."""
        read_again = 0 if self._is_joined else self.join()
        if self._count_held() >= _HELD_MAX:
            return read_again
        with self._asking():
            return read_again + self._keep(self._read(b">", block_s))

    def acknowledge(self) -> int:
        """Acknowledge, in Redis, what was attempted here; return how many."""
        rule, connection = self._rule, self._producer.store.connection
        rows = connection.execute(
            "SELECT entry_id FROM stream_entries LEFT JOIN queue USING (delivery_id) WHERE stream = ?"
            " AND (queue.sequence IS NULL OR queue.attempts > 0 OR queue.state != 'waiting') LIMIT ?",
            (rule.stream, _CHUNK),
        )
        entry_ids = [row[0] for row in rows]
        if entry_ids:
            self._let_go(entry_ids)
        return len(entry_ids)

    def adopt(self) -> int:
        """Take over what a reader that is gone had read, and keep what is ours; return how many."""
        if not self._is_joined:
            return 0
        rule = self._rule
        idle_ms = int(rule.adopt_after_s * 1000)
        with self._asking():
            self._show_alive()
            count, start = 0, b"0-0"
            while True:
                answer = self._client.xautoclaim(
                    rule.stream, rule.group, rule.consumer, idle_ms, start, count=rule.batch_entries
                )
                start, entries = answer[0], answer[1]
                count += self._keep([entry for entry in entries if entry[1] is not None])
                if start == b"0-0":
                    return count

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            with redis_explained(self._rule.url):
                yield
        except RedisAwayError as error:
            if "NOGROUP" in str(error):  # it was flushed: what is in the queue here is not lost with it
                self._is_joined = False
            raise

    def _refuse_others(self) -> None:
        rule = self._rule
        if rule.is_shared:
            return
        consumers = self._client.xinfo_consumers(rule.stream, rule.group)
        others = [
            one["name"].decode(errors="replace")
            for one in consumers
            if one["name"] != rule.consumer.encode() and one["idle"] < rule.adopt_after_s * 1000
        ]
        if others:
            raise RejectedError(
                f"the group {rule.group!r} of {rule.stream!r} at {shown_url(rule.url)} is read by a daemon on another"
                f" home ({others[0][:60]}): stop that one, or set [queue] shared = true in both (docs/redis.md)"
            )

    def _read(self, after: bytes, block_s: float = 0.0) -> list[Entry]:
        rule = self._rule
        answer = self._client.xreadgroup(
            rule.group,
            rule.consumer,
            {rule.stream: after},
            count=rule.batch_entries,
            block=int(block_s * 1000) if block_s else None,
        )
        streams = cast("list[tuple[bytes, list[Entry]]]", answer or [])
        # An entry that was deleted meanwhile is pending without its fields: there is nothing to send.
        return [(entry_id, fields or {}) for _, entries in streams for entry_id, fields in entries]

    def _keep(self, entries: Sequence[Entry]) -> int:
        """Put entries into the queue with one fsync; those that can't be sent go to the dead stream."""
        checked: dict[str, NewDelivery] = {}
        poison: dict[bytes, str] = {}
        for entry_id, fields in entries:
            try:
                checked[entry_id.decode()] = self._producer.check(delivery_of(entry_id.decode(), fields))
            except (DocumentError, RejectedError) as error:
                poison[entry_id] = str(error)
        if checked:
            with self._producer.store.transaction() as transaction:
                poison |= self._enqueue(transaction, checked)
            self._producer.home.doorbell.notify()
        for entry in entries:
            if entry[0] in poison:
                self._bury(entry, poison[entry[0]])
        return len(entries)

    def _enqueue(self, transaction: Transaction, checked: Mapping[str, NewDelivery]) -> dict[bytes, str]:
        """Queue what may come in, one entry apart from another, and return why the others may not."""
        good: dict[str, NewDelivery] = {}
        poison: dict[bytes, str] = {}
        for entry_id, delivery in checked.items():
            try:
                require_admissible(transaction.connection, [delivery])
                good[entry_id] = delivery
            except (NotFoundError, RejectedError) as error:
                poison[entry_id.encode()] = str(error)
        delivery_ids = admit(transaction, prepare(list(good.values()), in_packed_batches=False))
        transaction.connection.executemany(
            "INSERT INTO stream_entries (stream, entry_id, delivery_id) VALUES (?, ?, ?)"
            " ON CONFLICT (stream, entry_id) DO NOTHING",
            (
                (self._rule.stream, entry_id, delivery_id)
                for entry_id, delivery_id in zip(good, delivery_ids, strict=True)
            ),
        )
        return poison

    def _bury(self, entry: Entry, reason: str) -> None:
        entry_id, fields = entry
        kept = {name[:_POISON_FIELD_BYTES]: value[:_POISON_FIELD_BYTES] for name, value in fields.items()}
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.xadd(
                self.dead_stream,
                {**kept, "dead_reason": reason, "dead_entry": entry_id},  # type: ignore[dict-item]
                maxlen=_DEAD_ENTRIES_MAX,
                approximate=True,
            )
            pipeline.xack(self._rule.stream, self._rule.group, entry_id)
            pipeline.xdel(self._rule.stream, entry_id)
            pipeline.execute()

    def _let_go(self, entry_ids: Sequence[str]) -> None:
        # First there: when this process dies in between, it is done again, and does nothing.
        rule = self._rule
        with redis_explained(rule.url), self._client.pipeline(transaction=True) as pipeline:
            pipeline.xack(rule.stream, rule.group, *entry_ids)
            pipeline.xdel(rule.stream, *entry_ids)
            pipeline.execute()
        with self._producer.store.transaction() as transaction:
            transaction.connection.executemany(
                "DELETE FROM stream_entries WHERE stream = ? AND entry_id = ?",
                ((rule.stream, entry_id) for entry_id in entry_ids),
            )

    def _count_held(self) -> int:
        (count,) = self._producer.store.connection.execute(
            "SELECT count(*) FROM stream_entries WHERE stream = ?", (self._rule.stream,)
        ).fetchone()
        return int(count)

    def _show_alive(self) -> None:
        """Refresh what waits here for long, behind an open breaker say, so that no reader takes it for abandoned."""
        rule, after = self._rule, "-"
        while pending := self._client.xpending_range(rule.stream, rule.group, after, "+", _CHUNK, rule.consumer):
            entry_ids = [cast("bytes", one["message_id"]).decode() for one in pending]
            self._client.xclaim(rule.stream, rule.group, rule.consumer, 0, tuple(entry_ids), justid=True)  # type: ignore[arg-type]
            after = f"({entry_ids[-1]}"
