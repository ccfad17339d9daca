"""On what a decision rests, as the database holds it at that moment."""

import sqlite3
from datetime import datetime

from eventstore.common.clock import parse_time
from eventstore.events.catalogue import AttemptEvent, DisableEvidence, FailureRecord
from eventstore.log.event_log import last_position, read_events
from eventstore.policies.day_counts import window_start
from eventstore.policies.evaluation import Evaluation, evaluate
from eventstore.policies.policy import Policy
from eventstore.policies.remediation import suggest_remediation
from eventstore.projections.broken_state_buffer import read_days
from eventstore.unit_of_work import Transaction

__all__ = ["evidence_of", "read_verdict"]

_EXCERPT_CHARACTERS = 200


def read_verdict(connection: sqlite3.Connection, installation_id: str, policy: Policy, now: datetime) -> Evaluation:
    """Return what a policy says of an installation by what the database holds."""
    days = read_days(connection, installation_id, window_start(now, policy.window_days))
    return evaluate(policy, days, now.date())


def evidence_of(
    transaction: Transaction, policy: Policy, evaluation: Evaluation, *, rule: str, explanation: str
) -> DisableEvidence:
    """Return what an event needs to prove a decision: policy, counts a day, first and last failure, what would help."""
    # What fails now has failed since the last day with a success; a failure of before is another story.
    last_success = max((day.day for day in evaluation.days if day.success), default="")
    since = [day for day in evaluation.days if day.day > last_success and day.first_failure] or evaluation.days
    positions = [position for day in since for position in (day.first_failure, day.last_failure) if position]
    return DisableEvidence(
        policy=evaluation.policy,
        policy_version=evaluation.policy_version,
        rule=rule,
        explanation=explanation,
        days=tuple(day.record() for day in evaluation.days),
        up_to_position=last_position(transaction.connection),
        first_failure=_failure(transaction, min(positions)) if positions else None,
        last_failure=_failure(transaction, max(positions)) if positions else None,
        remediation=suggest_remediation(
            policy, evaluation.days, rule, parse_time(transaction.recorded_at).date()
        ).sentence,
    )


def _failure(transaction: Transaction, position: int) -> FailureRecord | None:
    found = read_events(transaction.connection, after_position=position - 1, up_to_position=position)
    for stored in found:
        if isinstance(event := stored.event, AttemptEvent):
            excerpt = (event.response_body or event.detail)[:_EXCERPT_CHARACTERS]
            return FailureRecord(position, stored.recorded_at, event.status_code, event.error_class, excerpt)
    return None
