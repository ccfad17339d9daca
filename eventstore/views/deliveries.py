"""Deliveries of the queue, each with what holds it back, as `deliveries` has them."""

import sqlite3
from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from eventstore.common.clock import time_text
from eventstore.queue.delivery import QueuedDelivery
from eventstore.queue.queries import Hold, hold_of_delivery

__all__ = ["DeliveryView", "view_deliveries"]


class DeliveryView(Struct, frozen=True):
    """A delivery of the queue; `hold`: what holds it beyond the moment at which it is due, None = nothing."""

    delivery: QueuedDelivery
    hold: Hold | None


def view_deliveries(
    connection: sqlite3.Connection, found: Iterable[QueuedDelivery], now: datetime
) -> tuple[DeliveryView, ...]:
    """Return deliveries that were read in the same transaction, each with what holds it back."""
    moment = time_text(now)
    return tuple(DeliveryView(one, hold_of_delivery(connection, one, moment)) for one in found)
