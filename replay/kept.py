"""What an installation's queue kept at a moment: its missed and dead deliveries, as the events tell it."""

import sqlite3
from dataclasses import dataclass, field

from eventstore.events import (
    DeliveryDropped,
    DeliveryExhausted,
    DeliveryExpired,
    DeliveryMissed,
    DeliveryRequeued,
    Event,
    RecoveryStarted,
)

__all__ = ["KeptDeliveries", "KeptDelivery"]


@dataclass(slots=True)
class KeptDelivery:
    """`state`: missed or dead, or waiting: it was missed, and is being recovered.

    When a dead one was queued is not known.
    """

    event_name: str
    state: str
    enqueued_at: str = ""
    is_expired: bool = False


@dataclass(slots=True)
class KeptDeliveries:
    """Follows the events of one installation. What else waited is not known: queueing leaves no event."""

    deliveries: dict[str, KeptDelivery] = field(default_factory=dict)

    def follow(self, event: Event) -> None:
        """Take in one more event."""
        match event:
            case DeliveryRequeued() | DeliveryDropped():
                self.forget(event.delivery_id)
            case DeliveryMissed():
                self.deliveries[event.delivery_id] = KeptDelivery(event.event_name, "missed", event.enqueued_at)
            case DeliveryExhausted():
                self.deliveries[event.delivery_id] = KeptDelivery(event.event_name, "dead")
            case DeliveryExpired():
                if event.delivery_id in self.deliveries:
                    self.deliveries[event.delivery_id].is_expired = True
            case RecoveryStarted():
                self._recover()
            case _:
                pass

    def forget(self, delivery_id: str) -> None:
        """Take in that a delivery is kept no more, as it was delivered."""
        self.deliveries.pop(delivery_id, None)

    def _recover(self) -> None:
        for kept in self.deliveries.values():
            if kept.state == "missed" and not kept.is_expired:
                kept.state = "waiting"

    def write(self, connection: sqlite3.Connection, installation_id: str) -> None:
        """Bring the table of the queue to what was kept; of payloads nothing is known."""
        connection.execute("DELETE FROM queue")
        connection.executemany(
            "INSERT INTO queue (delivery_id, installation_id, event_name, ordering_key, state, enqueued_at, due_at,"
            " is_recovery, is_expired, data) VALUES (?, ?, ?, '', ?, ?, '', ?, ?, '{}')",
            (
                (
                    delivery_id,
                    installation_id,
                    kept.event_name,
                    kept.state,
                    kept.enqueued_at,
                    kept.state == "waiting",
                    kept.is_expired,
                )
                for delivery_id, kept in self.deliveries.items()
            ),
        )
