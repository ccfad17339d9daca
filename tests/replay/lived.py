"""Homes with a past: every way in which a delivery comes and goes, by the functions that a daemon and a person use."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from hypothesis import strategies as st

from eventstore.common.clock import ManualClock, time_text
from eventstore.common.identifiers import FLEET_STREAM, installation_stream
from eventstore.decisions.disable import DisableRequest, disable, enable
from eventstore.deliveries.record_attempts import DeliveryRecord, record_deliveries
from eventstore.deliveries.recover import start_recovery
from eventstore.deliveries.resend import drop_kept, resend_kept
from eventstore.deliveries.retention import expire_payloads
from eventstore.events.catalogue import AttemptEvent, DeliveryMissed, DisablingFrozen, DisablingThawed
from eventstore.log.event_log import NewEvent
from eventstore.policies.policy import BALANCED
from eventstore.projections.registry import find_installation
from eventstore.queue.delivery import NewDelivery, QueuedDelivery
from eventstore.queue.enqueue import enqueue
from eventstore.queue.queries import read_deliveries
from eventstore.unit_of_work import Store
from replay.rebuild.rebuild import rebuild
from tests.eventstore.facts import (
    INSTALLATION_ID,
    OTHER_INSTALLATION_ID,
    failed,
    record,
    register,
    succeeded,
    timed_out,
)

IDS = (INSTALLATION_ID, OTHER_INSTALLATION_ID)

Step = tuple[str, int, bool]

# What is done, which one of those that it can be done to, and which of the two installations.
steps = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("put", "put", "put", "delivered", "dead", "missed", "missed", "retry"),
                *("off", "on", "resend", "drop", "expire", "recover"),
            ]
        ),
        st.integers(0, 5),
        st.booleans(),
    ),
    max_size=60,
)


class Lived:
    """A store with two installations, to which things happen."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
        self.store = Store(database, self.clock)
        register(self.store)
        register(self.store, installation_id=OTHER_INSTALLATION_ID, app_id=43)

    def close(self) -> None:
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def live(self, history: Sequence[Step]) -> None:
        """Carry the steps out; one that cannot happen now does not."""
        for what, number, is_other in history:
            self.clock.advance(seconds=600)
            if what in ("put", "off", "on", "expire", "recover"):
                getattr(self, what)(IDS[is_other])
            elif what in ("resend", "drop"):
                getattr(self, what)(self._pick(number, "kept"))
            else:
                self.end(self._pick(number, "waiting"), what)

    def put(self, installation_id: str = INSTALLATION_ID) -> str:
        new = NewDelivery(installation_id, "issue.created", '{"n":1}', '{"type":"user"}')
        with self.store.transaction() as transaction:
            (delivery_id,) = enqueue(transaction.connection, [new], enqueued_at=transaction.recorded_at)
        return delivery_id

    def end(self, delivery: QueuedDelivery | None, end: str) -> None:
        """Record one end of an attempt."""
        if delivery is None:
            return
        fields: dict[str, Any] = {"delivery_id": delivery.delivery_id, "attempt": delivery.attempts + 1}
        later = time_text(self.clock.now() + timedelta(seconds=5))
        events: dict[str, AttemptEvent | DeliveryMissed] = {
            "delivered": succeeded(**fields),
            "dead": failed(**fields),
            "retry": failed(**fields, retry_at=later),
            "missed": DeliveryMissed(
                delivery.delivery_id, delivery.event_name, delivery.enqueued_at, delivery.attempts
            ),
        }
        with self.store.transaction() as transaction:
            record_deliveries(transaction, [DeliveryRecord(delivery, events[end])])

    def off(self, installation_id: str) -> None:
        with self.store.transaction() as transaction:
            disable(transaction, DisableRequest(installation_id, "person:ada", "moving", BALANCED))

    def on(self, installation_id: str) -> None:
        with self.store.transaction() as transaction:
            enable(transaction, installation_id, by="person:ada", reason="fixed")

    def resend(self, delivery: QueuedDelivery | None) -> None:
        if delivery is None or delivery.is_expired or not self._is_active(delivery.installation_id):
            return
        with self.store.transaction() as transaction:
            resend_kept(transaction, [delivery.delivery_id], by="person:ada")

    def drop(self, delivery: QueuedDelivery | None) -> None:
        if delivery is not None:
            with self.store.transaction() as transaction:
                drop_kept(transaction, [delivery.delivery_id], by="person:ada", reason="old")

    def expire(self, _installation_id: str = "") -> None:
        older_than = time_text(self.clock.now() - timedelta(hours=2))
        with self.store.transaction() as transaction:
            expire_payloads(transaction, older_than=older_than)

    def recover(self, installation_id: str) -> None:
        if self._is_active(installation_id):
            with self.store.transaction() as transaction:
                start_recovery(transaction, installation_id, by="person:ada", per_s=10)

    def kept(self) -> list[QueuedDelivery]:
        return [one for one in read_deliveries(self.store.connection, limit=-1) if one.state != "waiting"]

    def waiting(self) -> list[QueuedDelivery]:
        return list(read_deliveries(self.store.connection, state="waiting", limit=-1))

    def _pick(self, number: int, what: str) -> QueuedDelivery | None:
        found = self.kept() if what == "kept" else self.waiting()
        return found[number % len(found)] if found else None

    def _is_active(self, installation_id: str) -> bool:
        return find_installation(self.store.connection, installation_id).is_active


@contextmanager
def unguarded(database: Path) -> Iterator[sqlite3.Connection]:
    """Lend a plain connection to somebody who has dropped the triggers of the log."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for name in ("update", "delete", "replace"):
            connection.execute(f"DROP TRIGGER IF EXISTS events_refuse_{name}")
        yield connection


def live_fully(lived: Lived) -> None:
    """Bring rows into every table, and into each state of the queue."""
    for number, end in enumerate(("missed", "dead", "retry", "delivered", "delivered")):
        lived.put(IDS[number % 2])
        lived.end(lived.waiting()[-1], end)
    record(lived.store, *[failed()] * 3, timed_out())
    with lived.store.transaction() as transaction:
        transaction.append(
            NewEvent(FLEET_STREAM, DisablingFrozen(9, 6, 6)),
            NewEvent(installation_stream(OTHER_INSTALLATION_ID), failed(app_id=43)),
            NewEvent(FLEET_STREAM, DisablingThawed(9, 0)),
        )
    lived.clock.advance(days=1)
    record(lived.store, succeeded(), failed(retry_at="2026-03-03T00:00:00.000000Z"))
    lived.off(OTHER_INSTALLATION_ID)


def rebuilding_or_recording(barrier: Any, number: int, database: Path, rounds: int) -> str:
    """Rebuild again and again in the first processes, and in the last one record and delete."""
    barrier.wait(60)
    with Store(database) as store:
        for _ in range(rounds):
            if number < 2:
                rebuild(database)
            else:
                record(store, failed(), succeeded())
                store.connection.execute("DELETE FROM buffer")
    return "done"
