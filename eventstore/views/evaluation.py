"""What a policy says of one installation, and on which failures that rests, as the database holds them."""

from datetime import datetime

from eventstore.common.connection import Connection
from eventstore.events.catalogue import AttemptEvent, DisableEvidence, FailureRecord
from eventstore.log.event_log import last_position, read_events
from eventstore.policies.day_counts import window_start
from eventstore.policies.evaluation import Evaluation, evaluate
from eventstore.policies.policy import Policy
from eventstore.policies.remediation import suggest_remediation
from eventstore.projections.broken_state_buffer import read_days

__all__ = ["read_evaluation", "read_evidence"]

_EXCERPT_CHARACTERS = 200


def read_evaluation(connection: Connection, installation_id: str, policy: Policy, now: datetime) -> Evaluation:
    """Return what a policy says of an installation by what its buffer holds."""
    days = read_days(connection, installation_id, window_start(now, policy.window_days))
    return evaluate(policy, days, now.date())


def read_evidence(
    connection: Connection,
    policy: Policy,
    evaluation: Evaluation,
    now: datetime,
    *,
    rule: str | None = None,
    explanation: str | None = None,
    up_to_position: int | None = None,
) -> DisableEvidence:
    """Return what proves an evaluation: policy, counts a day, first and last failure, and what would help.

    `rule` and `explanation`: those of another reason than the evaluation's. `up_to_position`: None = the log's end.
    """
    spoken = evaluation.rule if rule is None else rule
    # What fails now has failed since the last day with a success; a failure of before is another story.
    last_success = max((day.day for day in evaluation.days if day.success), default="")
    since = [day for day in evaluation.days if day.day > last_success and day.first_failure] or evaluation.days
    positions = [position for day in since for position in (day.first_failure, day.last_failure) if position]
    return DisableEvidence(
        policy=evaluation.policy,
        policy_version=evaluation.policy_version,
        rule=spoken,
        explanation=evaluation.explanation if explanation is None else explanation,
        days=tuple(day.record() for day in evaluation.days),
        up_to_position=last_position(connection) if up_to_position is None else up_to_position,
        first_failure=_failure(connection, min(positions)) if positions else None,
        last_failure=_failure(connection, max(positions)) if positions else None,
        remediation=suggest_remediation(policy, evaluation.days, spoken, now.date()).sentence,
    )


def _failure(connection: Connection, position: int) -> FailureRecord | None:
    for stored in read_events(connection, after_position=position - 1, up_to_position=position):
        if isinstance(event := stored.event, AttemptEvent):
            excerpt = (event.response_body or event.detail)[:_EXCERPT_CHARACTERS]
            return FailureRecord(position, stored.recorded_at, event.status_code, event.error_class, excerpt)
    return None
