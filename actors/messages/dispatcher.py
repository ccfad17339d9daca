"""What the dispatcher is told, and what it replies."""

from dataclasses import dataclass

__all__ = ["BatchesUnpacked", "HoldBack", "Load", "PauseClaiming", "Poll", "Release", "ReportLoad"]


@dataclass(frozen=True, slots=True)
class Poll:
    """To the dispatcher: look for new deliveries, for those that have become due, and for changes."""


@dataclass(frozen=True, slots=True)
class PauseClaiming:
    """To the dispatcher: hand nothing more out."""


@dataclass(frozen=True, slots=True)
class ReportLoad:
    """To the dispatcher, as an ask: look around and reply a Load."""


@dataclass(frozen=True, slots=True)
class Load:
    """The dispatcher's reply: deliveries that are handed out and not settled, and actors that live.

    `unpacking_batches`: those whose deliveries come next.
    """

    held_deliveries: int
    live_installations: int
    unpacking_batches: int = 0

    @property
    def is_busy(self) -> bool:
        """Return whether something is handed out, or about to be."""
        return bool(self.held_deliveries or self.unpacking_batches)


@dataclass(frozen=True, slots=True)
class Release:
    """To the dispatcher: what was handed out is recorded. `retry_at` None = it waits for nothing more.

    `is_answered` False: it does not answer, and gets one delivery at a time; `has_key`: it has an ordering key, and
    the next one of that key may go; `hold_until`: nothing more is to be handed out to the installation before.
    `is_postponed`: nothing could be recorded, so that the queue still calls it due; it rests until `retry_at`.
    """

    installation_id: str
    sequence: int
    retry_at: str | None
    is_answered: bool
    is_postponed: bool = False
    has_key: bool = False
    hold_until: str | None = None


@dataclass(frozen=True, slots=True)
class HoldBack:
    """To the dispatcher: the installation's gate is closed until then, None = it is open. Its latest word counts."""

    installation_id: str
    until: str | None


@dataclass(frozen=True, slots=True)
class BatchesUnpacked:
    """To the dispatcher: the deliveries of these packed batches are in the queue."""

    packed_batches: tuple[int, ...]
