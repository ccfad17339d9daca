"""Deliveries of the queue, each with what holds it back, as `deliveries` has them."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Literal

from msgspec import Struct

from eventstore.common.clock import time_text
from eventstore.common.connection import Connection
from eventstore.errors import NotFoundError
from eventstore.projections.registry import Installation, find_installation
from eventstore.queue.delivery import QueuedDelivery
from eventstore.queue.queries import waits_behind
from eventstore.views.breaker import breaker_of, pause_of

__all__ = ["DeliveryView", "Hold", "view_deliveries"]


class Hold(Struct, frozen=True):
    """What holds a delivery that would be due: its breaker or a pause until a moment, or its key behind a delivery.

    `until` None = there is no moment: a half-open breaker lets one at a time through.
    """

    by: Literal["breaker", "pause", "key"]
    until: str | None


class DeliveryView(Struct, frozen=True):
    """A delivery of the queue; `hold`: what holds it beyond the moment at which it is due, None = nothing."""

    delivery: QueuedDelivery
    hold: Hold | None


def view_deliveries(connection: Connection, found: Sequence[QueuedDelivery], now: datetime) -> tuple[DeliveryView, ...]:
    """Return deliveries that were read in the same transaction, each with what holds it back."""
    active: dict[str, Installation] = {}
    for installation_id in {one.installation_id for one in found}:
        with suppress(NotFoundError):  # the queue may hold what the registry does not know (any more)
            installation = find_installation(connection, installation_id)
            active |= {installation_id: installation} if installation.is_active else {}
    return tuple(DeliveryView(one, _hold(connection, one, active.get(one.installation_id), now)) for one in found)


def _hold(
    connection: Connection, delivery: QueuedDelivery, installation: Installation | None, now: datetime
) -> Hold | None:
    if delivery.state != "waiting" or delivery.is_probe:
        return None
    behind = waits_behind(connection, delivery) if delivery.ordering_key else None
    if behind is not None:
        return Hold("key", behind)
    if installation is None:
        return None
    breaker, pause = breaker_of(installation, now), pause_of(installation, now)
    open_until = breaker.open_until if breaker.state == "open" else None
    longest = max(open_until or "", pause or "")
    if longest:
        return Hold("breaker" if longest == open_until else "pause", longest) if longest > delivery.due_at else None
    is_half_open = breaker.state == "half_open" and delivery.due_at <= time_text(now)
    return Hold("breaker", None) if is_half_open else None
