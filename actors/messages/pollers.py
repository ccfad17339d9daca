"""What those are told that look for what is new: mailer, projector, intake, metrics."""

from dataclasses import dataclass

__all__ = ["CatchUp", "CheckOutbox", "CountEvents", "Ingest"]


@dataclass(frozen=True, slots=True)
class CheckOutbox:
    """To the mailer: hand over the next mail that is due. As an ask: say whether there was one."""


@dataclass(frozen=True, slots=True)
class CatchUp:
    """To the projector: bring Redis up to the events. As an ask: say whether there was something to write."""


@dataclass(frozen=True, slots=True)
class Ingest:
    """To the intake: take in what is new in the stream. As an ask: say whether there was something to do."""


@dataclass(frozen=True, slots=True)
class CountEvents:
    """To the metrics_actor: count what was recorded meanwhile. As an ask: say whether there was something."""
