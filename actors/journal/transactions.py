"""What the journal does within one transaction: write what has gathered, or decide."""

from actors.messages import (
    DecisionRequest,
    EnableAfterProbe,
    LiftFreeze,
    RecordDelivery,
    RecordHealth,
    SendProbe,
    UnpackBatches,
)
from eventstore.decisions.decision import Change, Decision
from eventstore.decisions.digest import GatherRequest, gather_mails
from eventstore.decisions.disable import SYSTEM
from eventstore.decisions.outage_watch import lift_freeze, note_health
from eventstore.decisions.probing import enable_after_probe, enqueue_probe
from eventstore.decisions.review import ReviewRequest, review
from eventstore.deliveries.record_attempts import record_deliveries
from eventstore.log.event_log import NewEvent
from eventstore.queue.enqueue import unpack
from eventstore.unit_of_work import Transaction

__all__ = ["decide", "write"]


def write(
    transaction: Transaction,
    group: list[RecordDelivery],
    events: list[NewEvent],
    health: list[RecordHealth],
    packed_batches: list[UnpackBatches],
) -> list[int]:
    """Record outcomes, events and health, unpack batches; return the position of each outcome."""
    positions = record_deliveries(transaction, [message.record for message in group])
    if events:
        transaction.append(*events)
    if health:
        note_health(transaction, [message.change for message in health], health[-1].rule)
    for asked in packed_batches:
        for packed_batch in asked.packed_batches:
            unpack(transaction.connection, packed_batch)
    return positions


def decide(transaction: Transaction, request: DecisionRequest) -> Decision:
    """Decide what is asked for, on what the database holds. Raises NotFoundError, RejectedError."""
    match request:
        case ReviewRequest():
            return review(transaction, request)
        case SendProbe(installation_id):
            enqueue_probe(transaction, installation_id, by=SYSTEM)
            return Decision(Change.PROBE_QUEUED)
        case GatherRequest():
            return gather_mails(transaction, request)
        case EnableAfterProbe(installation_id, probe_enqueued_at, rule):
            return enable_after_probe(transaction, installation_id, rule=rule, probe_enqueued_at=probe_enqueued_at)
        case LiftFreeze(rule, watched_since):
            return lift_freeze(transaction, rule, watched_since=watched_since)
