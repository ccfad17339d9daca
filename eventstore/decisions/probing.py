"""Test deliveries: queued by a person or the machine, and what follows from one that succeeds."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from eventstore.common.backoff import Backoff
from eventstore.common.clock import parse_time, time_text
from eventstore.common.connection import Connection
from eventstore.common.identifiers import installation_stream
from eventstore.decisions.decision import Decision
from eventstore.decisions.disable import SYSTEM, enable
from eventstore.errors import RejectedError
from eventstore.events.catalogue import (
    AttemptEvent,
    DeliverySucceeded,
    InstallationDisabled,
    ProbeFailed,
    ProbeSucceeded,
)
from eventstore.log.change_signal import notify_change
from eventstore.log.event_log import read_events
from eventstore.policies.waits import is_held
from eventstore.projections.audit import who_enabled
from eventstore.projections.registry import Installation, find_installation, read_installations
from eventstore.queue.delivery import QueuedDelivery
from eventstore.queue.probes import enqueue_probe as enqueue_probe_row
from eventstore.queue.probes import has_waiting_probe
from eventstore.unit_of_work import Transaction

__all__ = [
    "PROBE_EVENT_NAME",
    "ProbingRule",
    "due_probes",
    "enable_after_probe",
    "enqueue_probe",
    "is_by_machine",
    "next_probe_at",
    "probe_event",
    "sender_of_probe",
]

PROBE_EVENT_NAME = "hookfuse.test"

_MESSAGE = "This is a test delivery: nothing has happened, and nothing needs to be done."
_MACHINE_CAUSES = ("policy", "receiver")
# A wait that can still be added to a date.
_LONGEST_WAIT_S = 366 * 86_400.0


class _ProbeData(msgspec.Struct):
    message: str
    sent_by: str


@dataclass(frozen=True, slots=True)
class ProbingRule:
    """When what the machine has disabled is probed; fields as [probing] of the configuration has them."""

    enabled: bool = False
    first_s: float = 3_600.0
    factor: float = 2.0
    max_s: float = 86_400.0
    cool_down_s: float = 86_400.0


def enqueue_probe(transaction: Transaction, installation_id: str, *, by: str) -> str:
    """Queue a test delivery, which is sent once and whatever the installation's state, and return its id.

    Raises NotFoundError; RejectedError when the installation is removed.
    """
    if find_installation(transaction.connection, installation_id).state == "removed":
        raise RejectedError(f"installation {installation_id} is removed: nothing is sent to it")
    delivery_id = enqueue_probe_row(
        transaction.connection,
        installation_id,
        event_name=PROBE_EVENT_NAME,
        data=msgspec.json.encode(_ProbeData(_MESSAGE, by)).decode(),
        enqueued_at=transaction.recorded_at,
    )
    notify_change(transaction.connection)
    return delivery_id


def sender_of_probe(delivery: QueuedDelivery) -> str:
    """Return who sent a test delivery: system or person:NAME."""
    return msgspec.json.decode(delivery.data, type=_ProbeData).sent_by


def is_by_machine(delivery: QueuedDelivery) -> bool:
    """Return whether a delivery is a test delivery that the machine sent, on which an enabling may follow."""
    return delivery.is_probe and sender_of_probe(delivery) == SYSTEM


def probe_event(event: AttemptEvent) -> ProbeSucceeded | ProbeFailed:
    """Return the outcome of an attempt as that of a test delivery, which is never tried again."""
    event_class = ProbeSucceeded if isinstance(event, DeliverySucceeded | ProbeSucceeded) else ProbeFailed
    fields = msgspec.structs.asdict(event) | {"retry_at": None, "hold_until": None}
    return event_class(**fields)


def next_probe_at(
    rule: ProbingRule, *, disabled_at: datetime, probe_failures: int, last_probe_at: datetime | None
) -> datetime:
    """Return when the next test delivery is due: after `first_s`, and then `factor` times longer after each failure."""
    waits = Backoff((rule.first_s,), rule.factor, min(rule.max_s, _LONGEST_WAIT_S))
    return (last_probe_at or disabled_at) + timedelta(seconds=waits.delay_s(1 + probe_failures))


def due_probes(connection: Connection, rule: ProbingRule, now: datetime) -> tuple[str, ...]:
    """Return the names of the installations that the machine has disabled and that are to be sent a test delivery now.

    Not one to which a test delivery waits already; nor one in its cool-down, which waits for a person.
    """
    if not rule.enabled:
        return ()
    disabled = (one for one in read_installations(connection) if one.state == "disabled")
    return tuple(
        one.installation_id
        for one in disabled
        if not is_held(_next_probe_of(rule, one), now, min(rule.max_s, _LONGEST_WAIT_S))
        and not has_waiting_probe(connection, one.installation_id)
        and _is_disabled_by_machine(connection, one)
        and not _is_cooling_down(connection, rule, one)
    )


def enable_after_probe(
    transaction: Transaction,
    installation_id: str,
    *,
    rule: ProbingRule | None = None,
    probe_enqueued_at: str | None = None,
) -> Decision:
    """Enable what the machine has disabled, as a test delivery to it succeeded; a person's decision stands.

    With `rule`, an installation in its cool-down stays disabled; with `probe_enqueued_at`, so does one that was
    disabled after the test delivery was queued. Raises NotFoundError.
    """
    connection = transaction.connection
    installation = find_installation(connection, installation_id)
    if installation.state != "disabled":
        return Decision.declined(f"it is {installation.state}")
    if not _is_disabled_by_machine(connection, installation):
        return Decision.declined("a person has disabled it, and only a person can enable it")
    # One that was disabled while the clock was ahead was so before, whatever the moments say.
    if probe_enqueued_at is not None and probe_enqueued_at < installation.changed_at <= transaction.recorded_at:
        return Decision.declined("it was disabled after the test delivery was queued")
    if rule is not None and _is_cooling_down(connection, rule, installation):
        return Decision.declined(
            "it was disabled so soon after a test delivery had enabled it that a person has to decide"
        )
    return enable(transaction, installation_id, by=SYSTEM, reason="a test delivery succeeded")


def _next_probe_of(rule: ProbingRule, installation: Installation) -> datetime:
    return next_probe_at(
        rule,
        disabled_at=parse_time(installation.changed_at),
        probe_failures=installation.probe_failures,
        last_probe_at=parse_time(installation.last_probe_at) if installation.last_probe_at else None,
    )


def _is_disabled_by_machine(connection: Connection, installation: Installation) -> bool:
    if installation.disabled_position is None:
        return False
    (stored,) = read_events(connection, after_position=installation.disabled_position - 1, limit=1)
    return isinstance(stored.event, InstallationDisabled) and stored.event.cause in _MACHINE_CAUSES


def _is_cooling_down(connection: Connection, rule: ProbingRule, installation: Installation) -> bool:
    """Return whether the enabling before it was disabled was the machine's, and so recent that it would flap."""
    cool_down = timedelta(seconds=min(rule.cool_down_s, _LONGEST_WAIT_S))
    earliest = time_text(parse_time(installation.changed_at) - cool_down)
    assert installation.disabled_position is not None  # noqa: S101 - a machine disabled it
    by = who_enabled(
        connection,
        installation_stream(installation.installation_id),
        after=earliest,
        until=installation.changed_at,
        before_position=installation.disabled_position,
    )
    return by == SYSTEM
