"""How long the payloads of deliveries are kept that were missed or are dead."""

from eventstore.common.identifiers import installation_stream
from eventstore.events.catalogue import DeliveryExpired
from eventstore.log.event_log import NewEvent
from eventstore.queue.kept import expire, read_expiring
from eventstore.unit_of_work import Transaction

__all__ = ["expire_payloads"]


def expire_payloads(transaction: Transaction, *, older_than: str, limit: int = 500) -> int:
    """Drop the payloads of missed and dead deliveries queued before a moment, the oldest first; return how many.

    The deliveries stay listed, until a person drops them. What waits keeps its payload, however old it is.
    """
    expiring = read_expiring(transaction.connection, older_than=older_than, limit=limit)
    expired = [delivery for delivery in expiring if expire(transaction.connection, delivery)]
    transaction.append(
        *(
            NewEvent(
                installation_stream(delivery.installation_id),
                DeliveryExpired(delivery.delivery_id, delivery.event_name, delivery.state, delivery.enqueued_at),
            )
            for delivery in expired
        )
    )
    return len(expired)
