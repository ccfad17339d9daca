from collections.abc import Callable

import pytest

from eventstore.errors import NotFoundError, RejectedError
from eventstore.events import DeliveryDropped, DeliveryRequeued, InstallationRemoved
from eventstore.identifiers import installation_stream
from eventstore.log import NewEvent, read_events
from eventstore.queue_view import read_deliveries
from eventstore.second_chance import drop_kept, resend_kept
from eventstore.store import Store
from eventstore.work_queue import NewDelivery, QueuedDelivery, enqueue, mark_dead, mark_missed
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
        resend_kept(transaction, [dead, missed], by="person:ada", reason="mended")

    assert [(one.state, one.attempts) for one in queue(kept)] == [("waiting", 0)] * 3
    assert [stored.event for stored in read_events(kept.connection)][-2:] == [
        DeliveryRequeued(missed, "issue.created", "missed", "person:ada", "mended"),
        DeliveryRequeued(dead, "issue.created", "dead", "person:ada", "mended"),
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
def test_one_that_waits_or_is_unknown_stops_all(kept: Store, decide: Callable[..., None]) -> None:
    before = queue(kept)
    for refused, error in ((ids(kept)[2], RejectedError), ("unknown", NotFoundError)):
        with pytest.raises(error), kept.transaction() as transaction:
            decide(transaction, [ids(kept)[0], refused], by="person:ada", reason="x")

    assert queue(kept) == before


def test_nothing_is_sent_again_to_an_installation_that_is_removed(kept: Store) -> None:
    with kept.transaction() as transaction:
        transaction.append(NewEvent(installation_stream(INSTALLATION_ID), InstallationRemoved(INSTALLATION_ID)))
    with pytest.raises(RejectedError, match="is removed"), kept.transaction() as transaction:
        resend_kept(transaction, ids(kept)[:1], by="person:ada")
