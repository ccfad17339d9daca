"""What the journal decides within one transaction."""

from actors.messages import (
    DecisionRequest,
    EnableAfterProbe,
    LiftFreeze,
    SendProbe,
)
from eventstore.decisions.decision import Change, Decision
from eventstore.decisions.digest import GatherRequest, gather_mails
from eventstore.decisions.disable import SYSTEM
from eventstore.decisions.outage_watch import lift_freeze
from eventstore.decisions.probing import enable_after_probe, enqueue_probe
from eventstore.decisions.review import ReviewRequest, review
from eventstore.unit_of_work import Transaction

__all__ = ["decide"]


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
