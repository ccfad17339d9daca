"""The deliveries of the queue: as a producer hands them over, and as the queue holds them."""

from dataclasses import dataclass

import msgspec

from eventstore.queue.checksum import payload_checksum

__all__ = ["PROBE_DUE_AT", "QUEUE_COLUMNS", "NewDelivery", "QueuedDelivery", "error_text"]


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """What a producer hands over. `data` and `actor` are compact JSON; an empty `ordering_key` = no order.

    `delivery_id`: a UUID that the producer has made, None = it is made here.
    """

    installation_id: str
    event_name: str
    data: str
    actor: str | None = None
    ordering_key: str = ""
    idempotency_key: str | None = None
    delivery_id: str | None = None


class QueuedDelivery(msgspec.Struct, frozen=True):
    """A row of the queue. `attempts` are those already made; `actor` None = the platform itself.

    `is_probe`: a test delivery, which is sent whatever the installation's state; `is_recovery`: it was missed, and
    is sent again; `is_expired`: its payload is gone; `checksum`: that of what was queued, None = it had none then.
    """

    sequence: int
    delivery_id: str
    installation_id: str
    event_name: str
    ordering_key: str
    state: str
    attempts: int
    enqueued_at: str
    due_at: str
    last_error: str
    actor: str | None
    data: str
    is_probe: bool = False
    is_recovery: bool = False
    is_expired: bool = False
    checksum: int | None = None

    @property
    def is_intact(self) -> bool:
        """Return whether its payload is what was queued, as far as is known: what is not is never sent."""
        return self.checksum is None or self.checksum == payload_checksum(
            delivery_id=self.delivery_id,
            installation_id=self.installation_id,
            event_name=self.event_name,
            ordering_key=self.ordering_key,
            enqueued_at=self.enqueued_at,
            actor=self.actor,
            data=self.data,
            is_probe=self.is_probe,
        )


# When test deliveries are due: before every moment at which anything else can be.
PROBE_DUE_AT = "0001-01-01T00:00:00.000000Z"

QUEUE_COLUMNS = (
    "sequence, delivery_id, installation_id, event_name, ordering_key, state, attempts,"
    " enqueued_at, due_at, last_error, actor, data, is_probe, is_recovery, is_expired, checksum"
)


def error_text(status_code: int, error_class: str) -> str:
    """Return what a row says of its last failure: a status code and a class, or the class alone."""
    return f"{status_code} {error_class}" if status_code else error_class
