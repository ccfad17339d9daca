"""What a look at the queue has found, and how far it had come."""

from dataclasses import dataclass

__all__ = ["News", "Seen"]


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a look had come: the version of what a person decides, the newest delivery and packed batch.

    The start is before everything: whoever looks from there on sees the whole queue as new.
    """

    version: int = -1
    sequence: int = 0
    packed_batch: int = 0


@dataclass(frozen=True, slots=True)
class News:
    """What is new since a look. `seen`: where the next one goes on.

    `is_changed`: a person decided something, or the whole queue is to be looked at; `installations`: those with
    deliveries that were queued since, or with any where all is to be looked at; `packed_batches`: each one's first
    sequence number, and how many deliveries to each installation it holds, oldest first.
    """

    seen: Seen
    is_changed: bool
    installations: tuple[str, ...]
    packed_batches: tuple[tuple[int, dict[str, int]], ...]
