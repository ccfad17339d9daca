"""One attempt on a thread of the send pool, beside its actor's turns: it touches nothing that changes."""

import pykka
import structlog

from actors.delivery.attempt import (
    attempt_event,
    body_of,
    damaged_payload,
    own_failure,
    pause_moment,
    retry_moment,
    timeouts_of,
    webhook_request,
)
from actors.delivery.installation_dependencies import InstallationDependencies
from actors.messages import Postpone, RecordDelivery, Ref
from eventstore.common.shortage import lack_of
from eventstore.deliveries.record_attempts import DeliveryRecord
from eventstore.projections.registry import Endpoint
from eventstore.queue.delivery import QueuedDelivery
from webhook import Outcome, SecretMask, hidden_traceback

__all__ = ["attempt", "record_outcome"]

log = structlog.get_logger("hookfuse.delivery")


def attempt(
    dependencies: InstallationDependencies, endpoint: Endpoint, delivery: QueuedDelivery, ref: Ref
) -> Outcome | None:
    """Send a delivery, and have its outcome recorded; `ref` is told of it, or that this machine was short of something.

    Return the outcome, None = there is none.
    """
    body, outcome, lack = b"", None, None
    try:
        if delivery.is_intact:
            body = body_of(delivery)
            now = (dependencies.believed_now or dependencies.clock.now)()
            timeouts = timeouts_of(endpoint.app, dependencies.timeouts)
            outcome = dependencies.sender.send(webhook_request(endpoint, delivery, body, timeouts, now=now))
        else:
            outcome = damaged_payload()
    except Exception as error:  # noqa: BLE001 - it is logged, without what is secret
        lack = lack_of(error)
        if lack is None:
            log.error(  # noqa: TRY400 - its text may hold what is secret
                "attempt_crashed",
                delivery_id=delivery.delivery_id,
                traceback=hidden_traceback(error, SecretMask(endpoint.secrets.texts())),
                done="recorded as a failed attempt",
            )
            outcome = own_failure(error)
    try:
        if lack is not None:
            ref.tell(Postpone(delivery, lack))
        elif outcome is not None:
            record_outcome(dependencies, endpoint, delivery, outcome, ref, body=body)
    except pykka.ActorDeadError:
        log.warning(
            "outcome_unheard",
            installation_id=delivery.installation_id,
            delivery_id=delivery.delivery_id,
            done="the daemon has stopped; the next one sends it again under the same delivery id",
        )
    except Exception:
        log.exception(
            "outcome_lost",
            installation_id=delivery.installation_id,
            delivery_id=delivery.delivery_id,
            done="not recorded; the next daemon sends it again under the same delivery id",
        )
    return outcome


def record_outcome(
    dependencies: InstallationDependencies,
    endpoint: Endpoint,
    delivery: QueuedDelivery,
    outcome: Outcome,
    ref: Ref,
    *,
    body: bytes = b"",
) -> None:
    """Ask the journal to record an outcome and the time of the next attempt, and to tell `ref`."""
    now = dependencies.clock.now()
    retry_at = None
    if not delivery.is_probe:  # what is tried out is not tried again
        retry_at = retry_moment(
            outcome,
            dependencies.retry,
            attempt=delivery.attempts + 1,
            now=now,
            random_unit=dependencies.random_unit(),
        )
    hold_until = pause_moment(outcome, now=now, slow_down_s=dependencies.slow_down_s)
    event = attempt_event(endpoint, delivery, outcome, body=body, retry_at=retry_at, hold_until=hold_until)
    dependencies.journal.tell(RecordDelivery(DeliveryRecord(delivery, event), ref))
