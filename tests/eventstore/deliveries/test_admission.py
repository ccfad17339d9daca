"""The door into the queue: its checks are made within the transaction by which a delivery comes in."""

import pytest

from eventstore.common.identifiers import installation_stream
from eventstore.deliveries.admission import admit, checked_delivery
from eventstore.errors import NotFoundError, RejectedError
from eventstore.events.catalogue import InstallationRemoved
from eventstore.log.event_log import NewEvent
from eventstore.queue.delivery import NewDelivery
from eventstore.queue.enqueue import prepare
from eventstore.queue.queries import read_deliveries
from eventstore.unit_of_work import Store
from tests.eventstore.facts import INSTALLATION_ID, OTHER_INSTALLATION_ID, register

DELIVERY_ID = "00000000-0000-4000-8000-000000000001"


def new(installation_id: str = INSTALLATION_ID, delivery_id: str | None = None) -> NewDelivery:
    return NewDelivery(installation_id, "issue.created", "{}", delivery_id=delivery_id)


def queue(store: Store, *deliveries: NewDelivery) -> list[str]:
    with store.transaction() as transaction:
        return admit(transaction, prepare(deliveries))


def test_what_was_checked_before_its_installation_was_removed_does_not_come_in(store: Store) -> None:
    register(store)
    batch = prepare([checked_delivery(new(), 100)])
    with store.transaction() as transaction:
        transaction.append(NewEvent(installation_stream(INSTALLATION_ID), InstallationRemoved(INSTALLATION_ID)))

    with pytest.raises(NotFoundError, match="is removed"), store.transaction() as transaction:
        admit(transaction, batch)
    assert read_deliveries(store.connection) == ()


def test_the_id_of_another_installation_s_delivery_is_refused_and_nothing_comes_in(store: Store) -> None:
    register(store)
    register(store, installation_id=OTHER_INSTALLATION_ID, app_id=43)
    queue(store, new(delivery_id=DELIVERY_ID))

    with pytest.raises(RejectedError, match=f"delivery {DELIVERY_ID} belongs to installation {INSTALLATION_ID}"):
        queue(store, new(OTHER_INSTALLATION_ID), new(OTHER_INSTALLATION_ID, DELIVERY_ID))
    assert [one.delivery_id for one in read_deliveries(store.connection)] == [DELIVERY_ID]
