"""Facts and what follows from them: events, log, projections, policies, the local queue.

What is named here is for producers, in any process on the machine; the other rooms use the modules.
"""

from eventstore.deliveries.producer import Producer, send_incident_alert_notification
from eventstore.errors import EventStoreError
from eventstore.home.folder import Home
from eventstore.queue.delivery import NewDelivery

__all__ = ["EventStoreError", "Home", "NewDelivery", "Producer", "send_incident_alert_notification"]
