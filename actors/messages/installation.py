"""What an installation is told."""

from dataclasses import dataclass

from eventstore.deliveries.record_attempts import DeliveryRecord
from eventstore.errors import Lack
from eventstore.queue.delivery import QueuedDelivery

__all__ = ["Deliver", "NoteRecorded", "Postpone", "Refresh"]


@dataclass(frozen=True, slots=True)
class Deliver:
    """To an installation: make the next attempt at this delivery."""

    delivery: QueuedDelivery


@dataclass(frozen=True, slots=True)
class Refresh:
    """To an installation: what it asked for is decided, or the registry has changed; read that, and go on."""


@dataclass(frozen=True, slots=True)
class NoteRecorded:
    """To an installation: the record is on disk at `position`; 0 = it was not counted, None = it can't be recorded."""

    record: DeliveryRecord
    position: int | None


@dataclass(frozen=True, slots=True)
class Postpone:
    """To an installation: this attempt could not be made, as this machine was short of something; no outcome."""

    delivery: QueuedDelivery
    lack: Lack
