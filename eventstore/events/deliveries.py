"""Events of deliveries beside their attempts: missed, dead, sent again, given up, recovered."""

from typing import ClassVar

from eventstore.events.event import Event


class DeliveryMissed(Event, frozen=True):
    """A delivery met an installation that is disabled or removed, and is kept."""

    type_name: ClassVar[str] = "delivery.missed"
    delivery_id: str
    event_name: str
    enqueued_at: str
    attempts: int = 0


class DeliveryExhausted(Event, frozen=True):
    """All attempts are used up: the delivery is dead, is kept, and can be sent again."""

    type_name: ClassVar[str] = "delivery.exhausted"
    delivery_id: str
    event_name: str
    attempts: int
    error_class: str
    status_code: int = 0


class DeliveryRequeued(Event, frozen=True):
    """A person sent a dead or missed delivery again, under the same delivery id."""

    type_name: ClassVar[str] = "delivery.requeued"
    delivery_id: str
    event_name: str
    was: str
    by: str
    reason: str = ""


class DeliveryDropped(Event, frozen=True):
    """A person gave a dead or missed delivery up."""

    type_name: ClassVar[str] = "delivery.dropped"
    delivery_id: str
    event_name: str
    was: str
    by: str
    reason: str


class DeliveryExpired(Event, frozen=True):
    """A kept delivery's payload was dropped, as its retention is over: it cannot be sent any more."""

    type_name: ClassVar[str] = "delivery.expired"
    delivery_id: str
    event_name: str
    was: str
    enqueued_at: str


class RecoveryStarted(Event, frozen=True):
    """What was missed is sent now, in order and paced; both ends of the gap are moments of queueing."""

    type_name: ClassVar[str] = "recovery.started"
    installation_id: str
    by: str
    deliveries: int
    first_enqueued_at: str
    last_enqueued_at: str
    without_payload: int = 0


class RecoveryCompleted(Event, frozen=True):
    """Nothing of what was missed waits any more: the gap is closed."""

    type_name: ClassVar[str] = "recovery.completed"
    installation_id: str
