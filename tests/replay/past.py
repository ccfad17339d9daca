"""Histories for looking back: what may happen to an installation, and what the live readers say of it."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import msgspec

from console.commands.show import show_document
from console.shell.as_of import PointInTimeView
from eventstore.common.clock import ManualClock, time_text
from eventstore.common.identifiers import FLEET_STREAM, app_stream, installation_stream, organization_stream
from eventstore.decisions.disable import DisableRequest, disable, enable
from eventstore.decisions.review import ReviewRequest, review
from eventstore.deliveries.record_attempts import DeliveryRecord, record_deliveries
from eventstore.deliveries.recover import start_recovery
from eventstore.deliveries.resend import drop_kept, resend_kept
from eventstore.deliveries.retention import expire_payloads
from eventstore.errors import RejectedError
from eventstore.events.catalogue import (
    AppChanged,
    AttemptEvent,
    BreakerClosed,
    BreakerOpened,
    DeliveryMissed,
    DisablingFrozen,
    DisablingThawed,
    Event,
    InstallationCountsImported,
    InstallationCreated,
    InstallationRemoved,
    OrganizationChanged,
    ProbeFailed,
    ProbeSucceeded,
)
from eventstore.log.event_log import NewEvent
from eventstore.policies.policy import BALANCED
from eventstore.projections.broken_state_buffer import read_days
from eventstore.projections.registry import find_installation
from eventstore.queue.delivery import NewDelivery, QueuedDelivery
from eventstore.queue.enqueue import enqueue
from eventstore.queue.queries import read_deliveries
from eventstore.unit_of_work import Store
from eventstore.views.installation import read_installation
from replay.as_of.view import AsOfView
from replay.reading.moment import Moment
from tests.eventstore.facts import INSTALLATION_ID, URL, attempt, failed, record, succeeded, timed_out

__all__ = ["HAPPENINGS", "as_of_document", "happen", "live_document"]

Document = dict[str, Any]


def live_document(store: Store, installation_id: str) -> Document:
    """Return what `show --json` says now, and the rows behind it, without what the past does not know."""
    return _document(PointInTimeView(store.connection, installation_id, store.clock.now()))


def as_of_document(past: AsOfView, installation_id: str, moment: Moment) -> Document:
    """Return what `show --as-of --json` says."""
    return _document(PointInTimeView(past.connection, installation_id, moment.at, moment))


def _document(sight: PointInTimeView) -> Document:
    is_past = sight.moment is not None
    view = read_installation(sight.connection, sight.installation_id, BALANCED, sight.now, is_past=is_past)
    document: Document = msgspec.to_builtins(show_document(view, sight.moment))
    # What `show` leaves out, and others read.
    document["row"] = find_installation(sight.connection, sight.installation_id)
    document["days"] = read_days(sight.connection, sight.installation_id, from_day="")
    del document["as_of"], document["deliveries"]["waiting"]
    return document


def happen(store: Store, what: str, installation_id: str = INSTALLATION_ID) -> None:
    """Carry a step out; where it cannot happen now nothing does."""
    with suppress(RejectedError):
        HAPPENINGS[what](store, installation_id)


def _append(store: Store, stream: str, event: Event) -> None:
    with store.transaction() as transaction:
        transaction.append(NewEvent(stream, event))


def _to_installation(make: Callable[[Store, str], Event]) -> Callable[[Store, str], None]:
    return lambda store, one: _append(store, installation_stream(one), make(store, one))


def _later(store: Store, seconds: float) -> str:
    return time_text(store.clock.now() + timedelta(seconds=seconds))


def _put(store: Store, installation_id: str) -> None:
    with store.transaction() as transaction:
        new = [NewDelivery(installation_id, "issue.created", '{"n":1}')] * 2
        enqueue(transaction.connection, new, enqueued_at=transaction.recorded_at)


def _kept(store: Store, installation_id: str, *states: str) -> tuple[QueuedDelivery, ...]:
    found = read_deliveries(store.connection, installation_id=installation_id, limit=-1)
    return tuple(one for one in found if one.state in states)


def _ending(make: Callable[[Store, dict[str, Any]], AttemptEvent]) -> Callable[[Store, str], None]:
    """Record an end of the first attempt that waits, or an attempt that no queue knows of."""

    def end(store: Store, installation_id: str) -> None:
        waiting = _kept(store, installation_id, "waiting")
        if not waiting:
            record(store, make(store, {}), installation_id=installation_id)
            return
        first = waiting[0]
        event = make(store, {"delivery_id": first.delivery_id, "attempt": first.attempts + 1})
        with store.transaction() as transaction:
            record_deliveries(transaction, [DeliveryRecord(first, event)])

    return end


def _miss(store: Store, installation_id: str) -> None:
    records = [
        DeliveryRecord(one, DeliveryMissed(one.delivery_id, one.event_name, one.enqueued_at))
        for one in _kept(store, installation_id, "waiting")
    ]
    with store.transaction() as transaction:
        record_deliveries(transaction, records)


def _recover(store: Store, installation_id: str) -> None:
    with store.transaction() as transaction:
        start_recovery(transaction, installation_id, by="person:ada", per_s=10)


def _resend(store: Store, installation_id: str) -> None:
    kept = [one.delivery_id for one in _kept(store, installation_id, "dead", "missed")[:1]]
    with store.transaction() as transaction:
        resend_kept(transaction, kept, by="person:ada", reason="fixed")


def _drop(store: Store, installation_id: str) -> None:
    kept = [
        one
        for one in _kept(store, installation_id, "dead", "missed", "waiting")
        if one.state != "waiting" or one.is_recovery
    ]
    with store.transaction() as transaction:
        drop_kept(transaction, [one.delivery_id for one in kept[:1]], by="person:ada", reason="old")


def _expire(store: Store, _installation_id: str) -> None:
    with store.transaction() as transaction:
        expire_payloads(transaction, older_than=transaction.recorded_at, limit=1)


def _review(store: Store, installation_id: str) -> None:
    with store.transaction() as transaction:
        review(transaction, ReviewRequest(installation_id, BALANCED, "internal", "hookfuse.example"))


def _disable(store: Store, installation_id: str) -> None:
    with store.transaction() as transaction:
        disable(transaction, DisableRequest(installation_id, "person:ada", "moving", BALANCED))


def _enable(store: Store, installation_id: str) -> None:
    with store.transaction() as transaction:
        enable(transaction, installation_id, by="person:ada", reason="fixed")


def _advance(seconds: float) -> Callable[[Store, str], None]:
    def advance(store: Store, _installation_id: str) -> None:
        assert isinstance(store.clock, ManualClock)
        store.clock.advance(seconds=seconds)

    return advance


def _app_changed(store: Store, _installation_id: str) -> None:
    url = f"{URL}/{store.clock.now():%H%M}"
    event = AppChanged(42, "pager", "Pager", "uuid-42", "internal", 17, url, secret_version=2, changed=("webhook_url",))
    _append(store, app_stream(42), event)


def _organization_changed(store: Store, _installation_id: str) -> None:
    event = OrganizationChanged(17, "acme", "Acme", "https://acme.example", ("eve@acme.example",), changed=("owners",))
    _append(store, organization_stream(17), event)


# What may happen, by name.
HAPPENINGS: dict[str, Callable[[Store, str], None]] = {
    "put": _put,
    "succeeded": _ending(lambda _store, fields: succeeded(**fields)),
    "failed": _ending(lambda _store, fields: failed(**fields)),
    "gone": _ending(lambda _store, fields: failed("gone", 410, **fields)),
    "our fault": _ending(lambda _store, fields: failed("internal", 0, **fields)),
    "retried": _ending(lambda store, fields: failed(retry_at=_later(store, 60), **fields)),
    "told to pause": _ending(
        lambda store, fields: failed(
            "rate_limited", 429, retry_at=_later(store, 60), hold_until=_later(store, 600), **fields
        )
    ),
    "timed out": _ending(lambda _store, fields: timed_out(**fields)),
    "missed": _miss,
    "recovered": _recover,
    "resent": _resend,
    "dropped": _drop,
    "expired": _expire,
    "reviewed": _review,
    "disabled": _disable,
    "enabled": _enable,
    "removed": _to_installation(lambda _store, one: InstallationRemoved(one)),
    "created": _to_installation(lambda _store, one: InstallationCreated(one, 42, 17)),
    "probe failed": _to_installation(lambda _store, _one: attempt(ProbeFailed, error_class="timeout")),
    "probe succeeded": _to_installation(lambda _store, _one: attempt(ProbeSucceeded, status_code=200)),
    "breaker opened": _to_installation(lambda store, one: BreakerOpened(one, _later(store, 300), "10 in a row")),
    "breaker closed": _to_installation(lambda store, one: BreakerClosed(one, _later(store, 1200))),
    "imported": _to_installation(
        lambda store, one: InstallationCountsImported(
            one, time_text(store.clock.now())[:10], "file", "person:ada", 0, 3
        )
    ),
    "frozen": lambda store, _one: _append(store, FLEET_STREAM, DisablingFrozen(20, 12, 11)),
    "thawed": lambda store, _one: _append(store, FLEET_STREAM, DisablingThawed(20, 1)),
    "app changed": _app_changed,
    "organization changed": _organization_changed,
    "an hour passes": _advance(3_600),
    "a day passes": _advance(86_400),
}
