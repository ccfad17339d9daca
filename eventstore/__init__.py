"""Facts and what follows from them: events, log, projections, policies, the local queue.

What is named here is for producers, in any process on the machine; the other rooms use the modules.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventstore.deliveries.producer import Producer, send_incident_alert_notification
    from eventstore.errors import EventStoreError
    from eventstore.home.folder import Home
    from eventstore.queue.delivery import NewDelivery

__all__ = ["EventStoreError", "Home", "NewDelivery", "Producer", "send_incident_alert_notification"]

_HOMES = {
    "EventStoreError": "eventstore.errors",
    "Home": "eventstore.home.folder",
    "NewDelivery": "eventstore.queue.delivery",
    "Producer": "eventstore.deliveries.producer",
    "send_incident_alert_notification": "eventstore.deliveries.producer",
}


def __getattr__(name: str) -> object:
    """Import what is asked for (PEP 562): a command that needs one room need not wait for the producer's."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
