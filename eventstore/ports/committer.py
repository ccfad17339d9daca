"""What the journal asks of a store: the commit that everything else waits for."""

from typing import Protocol

from eventstore.deliveries.commit_group import CommitGroup

__all__ = ["Committer"]


class Committer(Protocol):
    """Makes what has gathered durable. One thread uses it at a time."""

    def commit(self, group: CommitGroup) -> list[int]:
        """Carry a group out, all of it or nothing, and return the position of each outcome in the log.

        It returns when all of it is on disk. 0 = the queue no longer waits for this attempt, as it was recorded before
        or a person took the delivery out: it is not counted again. Raises DatabaseError where it cannot be written.
        """
