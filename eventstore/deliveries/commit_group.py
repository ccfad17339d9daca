"""What one commit of the journal holds, and how a home carries it out."""

from collections.abc import Sequence
from dataclasses import dataclass

from eventstore.decisions.outage_watch import HealthChange, note_health
from eventstore.deliveries.record_attempts import DeliveryRecord, record_deliveries
from eventstore.log.event_log import NewEvent
from eventstore.policies.outage_rule import OutageRule
from eventstore.queue.enqueue import unpack
from eventstore.unit_of_work import Store

__all__ = ["CommitGroup", "SqliteCommitter"]


@dataclass(frozen=True, slots=True)
class CommitGroup:
    """Outcomes and what else is recorded with them. `rule`: by which health is evaluated, where there is any.

    `packed_batches`: the first sequence numbers of those that are to be made rows of.
    """

    records: Sequence[DeliveryRecord] = ()
    events: Sequence[NewEvent] = ()
    health: Sequence[HealthChange] = ()
    rule: OutageRule | None = None
    packed_batches: Sequence[int] = ()


class SqliteCommitter:
    """Writes to events.db: a group is one transaction, and one fsync."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def commit(self, group: CommitGroup) -> list[int]:
        """Carry a group out, all of it or nothing, and return the position of each outcome."""
        with self._store.transaction() as transaction:
            positions = record_deliveries(transaction, group.records)
            if group.events:
                transaction.append(*group.events)
            if group.health and group.rule is not None:
                note_health(transaction, group.health, group.rule)
            for packed_batch in group.packed_batches:
                unpack(transaction.connection, packed_batch)
        return positions
