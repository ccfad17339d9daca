import pytest

from eventstore.common.clock import ManualClock, time_text
from eventstore.deliveries.resend import drop_kept, resend_kept
from eventstore.deliveries.retention import expire_payloads
from eventstore.errors import RejectedError
from eventstore.events.catalogue import DeliveryDropped, DeliveryExpired, Event
from eventstore.log.event_log import read_events
from eventstore.queue.acknowledge import mark_dead, mark_missed
from eventstore.queue.delivery import NewDelivery, QueuedDelivery
from eventstore.queue.enqueue import enqueue
from eventstore.queue.kept import count_expired, kept_deliveries, requeue
from eventstore.queue.queries import read_deliveries
from eventstore.unit_of_work import Store
from tests.eventstore.facts import INSTALLATION_ID, register

AT = "2025-02-03T12:00:00.000000Z"


@pytest.fixture
def kept(store: Store, clock: ManualClock) -> Store:
    """Keep a missed, a dead and a waiting delivery, and a younger missed one, a day later."""
    register(store)
    put(store, "missed", "dead", "waiting")
    clock.advance(days=1)
    put(store, "missed")
    return store


def put(store: Store, *states: str) -> None:
    with store.transaction() as transaction:
        connection = transaction.connection
        new = [NewDelivery(INSTALLATION_ID, "issue.created", '{"n":1}', '{"type":"user"}') for _ in states]
        enqueue(connection, new, enqueued_at=transaction.recorded_at)
        for delivery, state in zip(queue(store)[-len(states) :], states, strict=True):
            if state == "missed":
                mark_missed(connection, delivery)
            elif state == "dead":
                mark_dead(connection, delivery, last_error="500 server_error")


def queue(store: Store) -> tuple[QueuedDelivery, ...]:
    return read_deliveries(store.connection, limit=-1)


def expire(store: Store, older_than: str | None = None, limit: int = 500) -> int:
    with store.transaction() as transaction:
        return expire_payloads(transaction, older_than=older_than or transaction.recorded_at, limit=limit)


def events(store: Store, kind: type[Event]) -> list[Event]:
    return [stored.event for stored in read_events(store.connection) if isinstance(stored.event, kind)]


def test_missed_and_dead_ones_of_before_a_moment_lose_their_payload_and_nothing_else(kept: Store) -> None:
    before = queue(kept)

    assert expire(kept) == 2
    missed, dead, *others = queue(kept)
    assert [(one.data, one.actor, one.is_expired) for one in (missed, dead)] == [("{}", None, 1)] * 2
    assert (dead.state, dead.attempts, dead.last_error) == ("dead", 1, "500 server_error")
    assert others == list(before[2:])


def test_each_expiry_is_an_event(kept: Store) -> None:
    missed, dead, *_ = queue(kept)
    expire(kept)

    assert events(kept, DeliveryExpired) == [
        DeliveryExpired(missed.delivery_id, "issue.created", "missed", AT),
        DeliveryExpired(dead.delivery_id, "issue.created", "dead", AT),
    ]


def test_nothing_expires_twice_or_at_the_moment_itself(kept: Store) -> None:
    assert expire(kept, AT) == 0
    assert [expire(kept), expire(kept)] == [2, 0]
    assert len(events(kept, DeliveryExpired)) == 2


def test_what_waits_keeps_its_payload_however_old_it_is(kept: Store, clock: ManualClock) -> None:
    clock.advance(days=1000)

    assert expire(kept) == 3
    assert [one.state for one in queue(kept) if not one.is_expired] == ["waiting"]


def test_no_more_than_the_limit_expire_at_once_the_oldest_first(kept: Store, clock: ManualClock) -> None:
    clock.advance(days=1)

    assert expire(kept, limit=1) == 1
    assert [bool(one.is_expired) for one in queue(kept)] == [True, False, False, False]
    assert [expire(kept, limit=1) for _ in range(3)] == [1, 1, 0]


def test_an_empty_queue_has_nothing_to_expire(store: Store) -> None:
    assert expire(store) == 0


def test_what_has_no_payload_is_not_sent_again_and_nothing_beside_it(kept: Store) -> None:
    expire(kept)
    missed, dead, _, young = queue(kept)
    with pytest.raises(RejectedError, match=f"{dead.delivery_id} no longer has a payload"), kept.transaction() as one:
        resend_kept(one, [young.delivery_id, dead.delivery_id], by="person:ada")

    assert [one.state for one in queue(kept)] == ["missed", "dead", "waiting", "missed"]
    assert not requeue(kept.connection, missed, due_at=AT)


def test_what_has_no_payload_is_dropped(kept: Store) -> None:
    expire(kept)
    _, dead, *_ = queue(kept)
    with kept.transaction() as transaction:
        drop_kept(transaction, [dead.delivery_id], by="person:ada", reason="stale")

    assert events(kept, DeliveryDropped) == [
        DeliveryDropped(dead.delivery_id, "issue.created", "dead", "person:ada", "stale")
    ]
    assert time_text(kept.clock.now()) > AT


def test_what_has_no_payload_is_listed_only_where_it_is_asked_for(kept: Store) -> None:
    expire(kept)

    def listed(*, is_with_expired: bool) -> int:
        found = kept_deliveries(
            kept.connection,
            INSTALLATION_ID,
            ["dead", "missed"],
            after_sequence=0,
            limit=10,
            is_with_expired=is_with_expired,
        )
        return len(found)

    assert (listed(is_with_expired=False), listed(is_with_expired=True)) == (1, 3)
    assert count_expired(kept.connection, INSTALLATION_ID, ["dead"]) == 1
    assert count_expired(kept.connection, INSTALLATION_ID, ["dead", "missed"]) == 2
