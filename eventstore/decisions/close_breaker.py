"""Closing a breaker by hand: a person says that the endpoint works again."""

from datetime import timedelta

from eventstore.common.clock import time_text
from eventstore.common.identifiers import installation_stream
from eventstore.decisions.decision import Change, Decision
from eventstore.decisions.disable import audit_entry
from eventstore.errors import RejectedError
from eventstore.events.catalogue import BreakerClosed
from eventstore.log.event_log import NewEvent
from eventstore.projections.registry import find_app, find_installation
from eventstore.unit_of_work import Transaction

__all__ = ["close_breaker"]


def close_breaker(
    transaction: Transaction, installation_id: str, *, by: str, reason: str, recovery_s: float
) -> Decision:
    """Close an installation's breaker, with an audit entry; nobody is mailed, and the buffer stays as it is.

    Its limits are stricter for `recovery_s` seconds, as after a delivery that was let through. Raises NotFoundError;
    RejectedError where the installation is not active, as then it is not the breaker that holds its deliveries.
    """
    installation = find_installation(transaction.connection, installation_id)
    if not installation.is_active:
        hint = ": see `hookfuse enable`" if installation.state == "disabled" else ""
        raise RejectedError(f"installation {installation_id} is {installation.state}{hint}")
    if installation.breaker_open_until is None:
        return Decision.declined("its breaker is closed")
    strict_until = transaction.now + timedelta(seconds=recovery_s)
    closed = BreakerClosed(installation_id, time_text(strict_until), by, reason)
    audit = audit_entry(
        find_app(transaction.connection, installation.app_id), installation, by, "close-breaker", reason
    )
    stream = installation_stream(installation_id)
    stored = transaction.append(NewEvent(stream, closed), NewEvent(stream, audit))
    return Decision(Change.BREAKER_CLOSED, position=stored[0].position)
