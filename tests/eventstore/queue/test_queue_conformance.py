"""What holds for every way into the queue: the local producer's, and a Redis stream's. One suite, run on each."""

import json
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Protocol

import pytest
from redis import Redis

from eventstore.common.clock import ManualClock
from eventstore.common.identifiers import new_id
from eventstore.decisions.disable import DisableRequest, disable
from eventstore.deliveries.producer import Producer
from eventstore.deliveries.record_attempts import DeliveryRecord, record_deliveries
from eventstore.errors import DocumentError, NotFoundError, RejectedError
from eventstore.events.catalogue import DeliverySucceeded
from eventstore.home.folder import Home
from eventstore.policies.policy import BALANCED
from eventstore.queue.claim import claim
from eventstore.queue.delivery import NewDelivery, QueuedDelivery
from eventstore.queue.queries import read_deliveries
from eventstore.redis.stream_depth import StreamDepth, read_stream_depth
from eventstore.redis.stream_intake import IntakeRule, StreamIntake
from eventstore.settings.sections import QueueSettings
from eventstore.settings.values import Secret
from eventstore.unit_of_work import Store
from tests.eventstore.facts import INSTALLATION_ID, register, succeeded
from tests.redis_server import RedisServer

STREAM = "hookfuse:deliveries"
FIELDS = ("installation", "event", "data", "actor", "ordering_key", "idempotency_key", "delivery")


class Way(Protocol):
    """A way in. `put` hands a delivery over; `arrive` is when what was handed over has to be in the queue."""

    def put(self, **fields: Any) -> None: ...
    def arrive(self) -> None: ...


class LocalWay:
    def __init__(self, home: Home, clock: ManualClock) -> None:
        self._producer = Producer(home, clock)

    def put(self, **fields: Any) -> None:
        self._producer.send([NewDelivery(**fields)])

    def arrive(self) -> None:
        pass

    def close(self) -> None:
        self._producer.close()


class StreamWay:
    def __init__(self, home: Home, clock: ManualClock, server: RedisServer) -> None:
        self._client = server.client()
        self._home, self._clock, self._server = home, clock, server

    def put(self, **fields: Any) -> None:
        names = {"installation_id": "installation", "event_name": "event", "delivery_id": "delivery"}
        self._client.xadd(STREAM, {names.get(name, name): value for name, value in fields.items()})

    def arrive(self) -> None:
        intake = StreamIntake(Producer(self._home, self._clock), rule(self._server))
        while intake.take_in():
            pass
        intake.close()

    def close(self) -> None:
        self._client.close()


def rule(server: RedisServer, consumer: str = "home-1", **settings: Any) -> IntakeRule:
    return IntakeRule(server.url, STREAM, "hookfuse", consumer, **settings)


@pytest.fixture(params=["local", "stream"])
def way(request: pytest.FixtureRequest, home: Home, clock: ManualClock, store: Store, redis: Redis) -> Iterator[Way]:
    register(store)
    way = LocalWay(home, clock) if request.param == "local" else StreamWay(home, clock, _server(request))
    yield way
    way.close()


def _server(request: pytest.FixtureRequest) -> RedisServer:
    server = request.getfixturevalue("server")
    assert isinstance(server, RedisServer)
    return server


def put(way: Way, data: str = '{"n":1}', **fields: Any) -> None:
    way.put(installation_id=INSTALLATION_ID, event_name="issue.created", data=data, **fields)


def queued(store: Store) -> tuple[QueuedDelivery, ...]:
    return read_deliveries(store.connection, limit=-1)


def test_what_is_put_is_in_the_queue_as_it_was_put(way: Way, store: Store) -> None:
    put(way, '{ "b": 1.10 }', actor='{"type":"user","id":"7","name":"Ada"}', ordering_key="incident:3")
    way.arrive()

    (delivery,) = queued(store)
    assert (delivery.event_name, delivery.data, delivery.ordering_key) == ("issue.created", '{"b":1.10}', "incident:3")
    assert json.loads(delivery.actor or "") == {"type": "user", "id": "7", "name": "Ada"}
    assert (delivery.state, delivery.attempts) == ("waiting", 0)


def test_the_queue_keeps_the_order_of_putting(way: Way, store: Store) -> None:
    for number in range(30):
        put(way, f'{{"n":{number}}}')
    way.arrive()

    assert [json.loads(delivery.data)["n"] for delivery in queued(store)] == list(range(30))


def test_the_same_idempotency_key_queues_once(way: Way, store: Store) -> None:
    put(way, '{"n":1}', idempotency_key="issue-81")
    put(way, '{"n":2}', idempotency_key="issue-81")
    way.arrive()
    put(way, '{"n":3}', idempotency_key="issue-81")
    way.arrive()

    assert [delivery.data for delivery in queued(store)] == ['{"n":1}']


def test_what_was_delivered_is_not_queued_again_by_its_key(way: Way, store: Store) -> None:
    put(way, idempotency_key="issue-81")
    way.arrive()
    deliver(store)
    put(way, idempotency_key="issue-81")
    way.arrive()

    assert queued(store) == ()


def test_of_one_ordering_key_only_the_first_may_go(way: Way, store: Store) -> None:
    for number in range(3):
        put(way, f'{{"n":{number}}}', ordering_key="incident:3")
    way.arrive()

    claimed = claim(store.connection, {INSTALLATION_ID: 10}, due_at="~")[INSTALLATION_ID].deliveries
    assert [delivery.data for delivery in claimed] == ['{"n":0}']


def test_what_is_put_for_a_disabled_installation_is_taken(way: Way, store: Store) -> None:
    with store.transaction() as transaction:
        disable(transaction, DisableRequest(INSTALLATION_ID, "person:ada", "broken", BALANCED))
    put(way)
    way.arrive()

    assert len(queued(store)) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"data": "not json"},
        {"data": "[1]"},
        {"event_name": "Issue Created"},
        {"installation_id": new_id()},
        {"ordering_key": "k" * 300},
        {"data": '{"x":"' + "y" * 1_100_000 + '"}'},
    ],
    ids=["no JSON", "no object", "no event name", "unknown installation", "long key", "too large"],
)
def test_what_can_not_be_sent_does_not_get_in_and_does_not_hold_up_the_next(
    way: Way, store: Store, fields: dict[str, str]
) -> None:
    values = {"installation_id": INSTALLATION_ID, "event_name": "issue.created", "data": "{}"} | fields
    with suppress(DocumentError, RejectedError, NotFoundError):  # the local way says so at once
        way.put(**values)
    put(way)
    way.arrive()

    assert [delivery.data for delivery in queued(store)] == ['{"n":1}']


# --- the stream alone ---


def deliver(store: Store) -> None:
    """Record a success of everything that waits."""
    with store.transaction() as transaction:
        for delivery in queued(store):
            event = succeeded(delivery_id=delivery.delivery_id)
            assert isinstance(event, DeliverySucceeded)
            record_deliveries(transaction, [DeliveryRecord(delivery, event)])


@pytest.fixture
def intake(home: Home, clock: ManualClock, store: Store, redis: Redis, server: RedisServer) -> Iterator[StreamIntake]:
    register(store)
    intake = StreamIntake(Producer(home, clock), rule(server))
    yield intake
    intake.close()


def add(redis: Redis, **fields: Any) -> bytes:
    entry = {"installation": INSTALLATION_ID, "event": "issue.created", "data": "{}"} | fields
    entry_id = redis.xadd(STREAM, {name: value for name, value in entry.items() if value is not None})
    assert isinstance(entry_id, bytes)
    return entry_id


def take_all(intake: StreamIntake) -> None:
    while intake.take_in():
        pass


def pending(redis: Redis) -> int:
    found: Any = redis.xpending(STREAM, "hookfuse")
    return int(found["pending"])


def test_an_entry_is_acknowledged_only_when_its_outcome_is_committed(
    intake: StreamIntake, redis: Redis, store: Store
) -> None:
    add(redis)
    take_all(intake)
    before = (intake.acknowledge(), pending(redis))
    deliver(store)
    after = (intake.acknowledge(), pending(redis), redis.xlen(STREAM))

    assert before == (0, 1)
    assert after == (1, 0, 0)
    assert store.connection.execute("SELECT count(*) FROM stream_entries").fetchone() == (0,)


def test_what_was_read_by_a_daemon_that_was_killed_is_read_again_and_queued_once(
    intake: StreamIntake, redis: Redis, store: Store, home: Home, server: RedisServer
) -> None:
    add(redis)
    take_all(intake)
    add(redis)
    redis.xreadgroup("hookfuse", "home-1", {STREAM: ">"})  # read, and killed before it was queued
    again = StreamIntake(Producer(home), rule(server))
    take_all(again)
    again.close()

    assert len(queued(store)) == 2


def test_the_delivery_id_is_the_producer_s_and_queues_once(intake: StreamIntake, redis: Redis, store: Store) -> None:
    delivery_id = str(uuid.uuid4())
    add(redis, delivery=delivery_id)
    add(redis, delivery=delivery_id)
    take_all(intake)
    first = [delivery.delivery_id for delivery in queued(store)]
    deliver(store)
    intake.acknowledge()
    add(redis, delivery=delivery_id)
    take_all(intake)

    assert first == [delivery_id]
    assert queued(store) == ()
    assert intake.acknowledge() == 1
    assert pending(redis) == 0


def test_poison_goes_to_the_dead_stream_with_its_reason(intake: StreamIntake, redis: Redis, store: Store) -> None:
    bad = [
        add(redis, data="not json"),
        add(redis, installation="no-uuid"),
        add(redis, event=None),
        add(redis, colour="red"),
        add(redis, data=b"\xff\xfe"),
        add(redis, installation=new_id()),
        add(redis, delivery=str(uuid.uuid4()), idempotency_key="both"),
    ]
    add(redis)
    take_all(intake)

    dead: Any = redis.xrange(intake.dead_stream)
    assert [fields[b"dead_entry"] for _, fields in dead] == bad
    reasons = [fields[b"dead_reason"].decode() for _, fields in dead]
    assert "not JSON: line 1, column 1" in reasons[0]
    assert reasons[1:5] == [
        "'no-uuid' is not a UUID",
        "the field 'event' is missing",
        f"there is no field 'colour'; there are: {', '.join(sorted(FIELDS))}",
        "the field 'data' is not UTF-8 text",
    ]
    assert (len(queued(store)), pending(redis)) == (1, 1)


def test_a_stream_that_was_flushed_loses_nothing_that_was_taken_in(
    intake: StreamIntake, redis: Redis, store: Store
) -> None:
    add(redis)
    take_all(intake)
    redis.flushdb()
    with pytest.raises(Exception, match="NOGROUP"):
        intake.take_in()
    add(redis)
    take_all(intake)
    deliver(store)

    assert intake.acknowledge() == 2
    assert (pending(redis), redis.xlen(STREAM)) == (0, 0)


def test_a_second_home_is_refused_unless_the_stream_is_shared(
    intake: StreamIntake, redis: Redis, home: Home, clock: ManualClock, server: RedisServer
) -> None:
    intake.take_in()
    other = StreamIntake(Producer(home, clock), rule(server, "home-2"))
    with pytest.raises(Exception, match="a daemon on another home"):
        other.take_in()
    other.close()
    shared = StreamIntake(Producer(home, clock), rule(server, "home-3", is_shared=True))
    add(redis)

    assert shared.take_in() + shared.take_in() == 1
    shared.close()


def test_what_a_dead_daemon_held_is_taken_over_and_what_a_live_one_holds_is_not(
    intake: StreamIntake, redis: Redis, store: Store
) -> None:
    intake.take_in()
    held = add(redis)
    take_all(intake)
    add(redis)
    redis.xreadgroup("hookfuse", "home-dead", {STREAM: ">"})
    # As if a minute had passed since both were read; only one of the readers is there to say that it lives.
    for consumer in ("home-1", "home-dead"):
        entries: Any = redis.xpending_range(STREAM, "hookfuse", "-", "+", 10, consumer)
        ids = [one["message_id"] for one in entries]
        redis.xclaim(STREAM, "hookfuse", consumer, 0, ids, idle=70_000, justid=True)
    intake.adopt()

    found: Any = redis.xpending_range(STREAM, "hookfuse", "-", "+", 10)
    assert {one["consumer"] for one in found} == {b"home-1"}
    assert all(one["time_since_delivered"] < 60_000 for one in found)
    assert len(queued(store)) == 2
    assert held in {one["message_id"] for one in found}


def depth(url: str, **settings: Any) -> StreamDepth:
    found = read_stream_depth(QueueSettings(url=Secret(url), stream=STREAM, **settings), timeout_s=1.0)
    assert found is not None
    return found


def test_what_is_in_the_stream_is_unread_or_pending_until_it_was_attempted(
    intake: StreamIntake, redis: Redis, store: Store, server: RedisServer
) -> None:
    add(redis)
    before_any_reader = depth(server.url)
    take_all(intake)
    add(redis)
    add(redis, data="not json")
    add(redis)
    redis.xreadgroup("hookfuse", "home-dead", {STREAM: ">"}, count=1)
    held = depth(server.url)
    take_all(intake)
    deliver(store)
    intake.acknowledge()

    assert (before_any_reader.unread, before_any_reader.pending, before_any_reader.dead) == (1, 0, 0)
    assert (held.unread, held.pending, held.dead) == (2, 2, 0)
    assert (depth(server.url).unread, depth(server.url).dead) == (0, 1)


def test_a_stream_s_server_that_is_away_is_said_and_shows_no_password() -> None:
    found = depth("redis://ann:hidden@127.0.0.1:1/0")

    assert "away: Redis at redis://127.0.0.1:1/0: ConnectionError" in found.text
    assert "hidden" not in f"{found}"


def test_without_a_stream_there_is_no_depth() -> None:
    assert read_stream_depth(QueueSettings(), timeout_s=1.0) is None
