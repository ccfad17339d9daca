from collections.abc import Callable

import pytest

from eventstore.common.identifiers import installation_stream
from eventstore.decisions.probing import enqueue_probe
from eventstore.deliveries.resend import drop_kept, resend_kept
from eventstore.errors import NotFoundError, RejectedError
from eventstore.events.catalogue import DeliveryDropped, DeliveryRequeued, InstallationRemoved
from eventstore.log.change_signal import change_version
from eventstore.log.event_log import NewEvent, read_events
from eventstore.queue.acknowledge import mark_dead, mark_missed, mark_retry
from eventstore.queue.claim import claim
from eventstore.queue.delivery import NewDelivery, QueuedDelivery
from eventstore.queue.enqueue import enqueue
from eventstore.queue.queries import read_deliveries
from eventstore.unit_of_work import Store
from tests.eventstore.facts import INSTALLATION_ID, register


@pytest.fixture
def kept(store: Store) -> Store:
    """Keep a missed and a dead delivery, and let a third one wait."""
    register(store)
    new = [NewDelivery(INSTALLATION_ID, "issue.created", "{}") for _ in range(3)]
    with store.transaction() as transaction:
        enqueue(transaction.connection, new, enqueued_at=transaction.recorded_at)
        missed, dead, _ = queue(store)
        mark_missed(transaction.connection, missed)
        mark_dead(transaction.connection, dead, last_error="500 server_error")
    return store


def queue(store: Store) -> tuple[QueuedDelivery, ...]:
    return read_deliveries(store.connection)


def ids(store: Store) -> list[str]:
    return [delivery.delivery_id for delivery in queue(store)]


def test_missed_and_dead_ones_are_sent_again_in_the_order_of_queueing(kept: Store) -> None:
    missed, dead, _ = ids(kept)
    with kept.transaction() as transaction:
        resend_kept(transaction, [dead, missed], by="person:ada", reason="fixed")

    assert [(one.state, one.attempts) for one in queue(kept)] == [("waiting", 0)] * 3
    assert [stored.event for stored in read_events(kept.connection)][-2:] == [
        DeliveryRequeued(missed, "issue.created", "missed", "person:ada", "fixed"),
        DeliveryRequeued(dead, "issue.created", "dead", "person:ada", "fixed"),
    ]


def test_what_is_sent_again_by_hand_is_no_recovery(kept: Store) -> None:
    with kept.transaction() as transaction:
        resend_kept(transaction, ids(kept)[:2], by="person:ada")

    assert not any(one.is_recovery for one in queue(kept))


def test_kept_ones_are_dropped(kept: Store) -> None:
    missed, dead, waiting = ids(kept)
    with kept.transaction() as transaction:
        drop_kept(transaction, [missed, dead], by="person:ada", reason="stale")

    assert ids(kept) == [waiting]
    assert [type(stored.event) for stored in read_events(kept.connection)][-2:] == [DeliveryDropped] * 2


@pytest.mark.parametrize("decide", [drop_kept, resend_kept])
def test_a_test_delivery_or_one_that_is_unknown_stops_all(kept: Store, decide: Callable[..., None]) -> None:
    with kept.transaction() as transaction:
        probe_id = enqueue_probe(transaction, INSTALLATION_ID, by="person:ada")
    before = queue(kept)
    for refused, error in ((probe_id, RejectedError), ("unknown", NotFoundError)):
        with pytest.raises(error), kept.transaction() as transaction:
            decide(transaction, [ids(kept)[0], refused], by="person:ada", reason="x")

    assert queue(kept) == before


def test_one_that_waits_for_a_retry_is_due_at_once_with_the_attempts_that_were_made(kept: Store) -> None:
    waiting = queue(kept)[2]
    with kept.transaction() as transaction:
        mark_retry(transaction.connection, waiting, due_at="2036-01-01T00:00:00.000000Z", last_error="500 server_error")
        resend_kept(transaction, [waiting.delivery_id], by="person:ada")
        now = transaction.recorded_at

    assert (queue(kept)[2].due_at, queue(kept)[2].attempts) == (now, 1)
    assert [stored.event for stored in read_events(kept.connection)][-1] == DeliveryRequeued(
        waiting.delivery_id, "issue.created", "waiting", "person:ada", ""
    )


def test_one_that_waits_is_dropped_and_the_next_of_its_key_may_go(store: Store) -> None:
    register(store)
    new = [NewDelivery(INSTALLATION_ID, "issue.created", "{}", ordering_key="incident") for _ in range(2)]
    with store.transaction() as transaction:
        first, second = enqueue(transaction.connection, new, enqueued_at=transaction.recorded_at)
        attention = change_version(transaction.connection)
        drop_kept(transaction, [first], by="person:ada", reason="stale")
        now = transaction.recorded_at

    claimed = claim(store.connection, {INSTALLATION_ID: 8}, due_at=now)[INSTALLATION_ID]
    assert [one.delivery_id for one in claimed.deliveries] == [second]
    assert change_version(store.connection) > attention


@pytest.mark.parametrize("decide", [drop_kept, resend_kept])
def test_one_that_lies_in_a_packed_batch_is_laid_out_first(store: Store, decide: Callable[..., None]) -> None:
    register(store)
    new = [NewDelivery(INSTALLATION_ID, "issue.created", "{}") for _ in range(64)]
    with store.transaction() as transaction:
        known = enqueue(transaction.connection, new, enqueued_at=transaction.recorded_at, in_packed_batches=True)
    with store.transaction() as transaction:
        decide(transaction, [known[10]], by="person:ada", reason="x")

    left = 63 if decide is drop_kept else 64
    assert store.connection.execute("SELECT count(*) FROM queue").fetchone() == (left,)
    assert (known[10] in ids(store)) is (decide is resend_kept)


def test_nothing_is_sent_again_to_an_installation_that_is_removed(kept: Store) -> None:
    with kept.transaction() as transaction:
        transaction.append(NewEvent(installation_stream(INSTALLATION_ID), InstallationRemoved(INSTALLATION_ID)))
    with pytest.raises(RejectedError, match="is removed"), kept.transaction() as transaction:
        resend_kept(transaction, ids(kept)[:1], by="person:ada")
