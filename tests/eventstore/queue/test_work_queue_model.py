"""The queue against a dictionary that does the same."""

import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from eventstore.common.clock import ManualClock, time_text
from eventstore.queue import acknowledge, kept
from eventstore.queue import claim as claiming
from eventstore.queue import enqueue as enqueueing
from eventstore.queue import queries as queue_view
from eventstore.queue.delivery import NewDelivery, QueuedDelivery
from eventstore.queue.idempotency import forget_idempotency_keys
from eventstore.unit_of_work import Store

installations = st.sampled_from(["one", "two"])
delays = st.integers(0, 20)


@dataclass(frozen=True)
class Row:
    sequence: int
    installation_id: str
    due_at: str
    state: str = "waiting"
    attempts: int = 0


class QueueMachine(RuleBasedStateMachine):
    seen = Bundle("seen")

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = ManualClock(datetime(2025, 2, 3, tzinfo=UTC))
        self.store = Store(Path(self.folder.name) / "events.db", self.clock)
        self.rows: dict[str, Row] = {}
        self.keys: dict[tuple[str, str], str] = {}
        self.last_sequence = 0

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    def moment(self, seconds: int = 0) -> str:
        return time_text(self.clock.now() + timedelta(seconds=seconds))

    @rule(seconds=delays)
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    @rule(target=seen, installation_id=installations, key=st.none() | st.sampled_from("kl"))
    def enqueue(self, installation_id: str, key: str | None) -> QueuedDelivery | None:
        new = NewDelivery(installation_id, "issue.created", "{}", idempotency_key=key)
        with self.store.transaction() as transaction:
            (delivery_id,) = enqueueing.enqueue(transaction.connection, [new], enqueued_at=transaction.recorded_at)
        known = self.keys.get((installation_id, key)) if key else None
        assert known in (None, delivery_id)
        if known is None:
            self.last_sequence += 1
            self.rows[delivery_id] = Row(self.last_sequence, installation_id, self.moment())
        if key:
            self.keys[installation_id, key] = delivery_id
        return queue_view.find_delivery(self.store.connection, delivery_id)

    @rule(target=seen, installation_id=installations, limit=st.integers(1, 4), held=st.sets(st.integers(1, 9)))
    def claim(self, installation_id: str, limit: int, held: set[int]) -> QueuedDelivery | None:
        now = self.moment()
        found = claiming.claim(self.store.connection, {installation_id: limit}, due_at=now, in_flight_sequences=held)[
            installation_id
        ]
        mine = [row for row in self.rows.values() if (row.installation_id, row.state) == (installation_id, "waiting")]
        due = sorted((row.due_at, row.sequence) for row in mine if row.due_at <= now and row.sequence not in held)
        later = min((row.due_at for row in mine if row.due_at > now), default=None)

        assert [(one.due_at, one.sequence) for one in found.deliveries] == due[:limit]
        assert found.next_due_at == (now if len(due) >= limit else later)
        return found.deliveries[0] if found.deliveries else None

    def still_waits(self, delivery: QueuedDelivery) -> bool:
        row = self.rows.get(delivery.delivery_id)
        return row is not None and (row.state, row.attempts) == ("waiting", delivery.attempts)

    @rule(delivery=seen)
    def deliver(self, delivery: QueuedDelivery | None) -> None:
        if delivery is None:
            return
        expected = self.still_waits(delivery)

        assert acknowledge.remove_delivered(self.store.connection, [delivery]) == [expected]
        if expected:
            del self.rows[delivery.delivery_id]

    @rule(delivery=seen, seconds=delays, end=st.sampled_from(["retry", "dead", "missed"]))
    def fail(self, delivery: QueuedDelivery | None, seconds: int, end: str) -> None:
        if delivery is None:
            return
        connection, due_at = self.store.connection, self.moment(seconds)
        expected = self.still_waits(delivery)
        done = {
            "retry": lambda: acknowledge.mark_retry(connection, delivery, due_at=due_at, last_error="500"),
            "dead": lambda: acknowledge.mark_dead(connection, delivery, last_error="500"),
            "missed": lambda: acknowledge.mark_missed(connection, delivery),
        }[end]()

        assert done is expected
        if expected:
            row = self.rows[delivery.delivery_id]
            self.rows[delivery.delivery_id] = {
                "retry": replace(row, attempts=row.attempts + 1, due_at=due_at),
                "dead": replace(row, attempts=row.attempts + 1, state="dead"),
                "missed": replace(row, state="missed"),
            }[end]

    @rule(number=st.integers(0, 5), is_dropped=st.booleans(), seconds=delays)
    def put_back_or_drop(self, number: int, is_dropped: bool, seconds: int) -> None:
        listed = queue_view.read_deliveries(self.store.connection)
        if not listed:
            return
        delivery = listed[number % len(listed)]
        expected = delivery.state != "waiting"
        due_at = self.moment(seconds)
        if is_dropped:
            assert kept.drop(self.store.connection, delivery) is expected
        else:
            assert kept.requeue(self.store.connection, delivery, due_at=due_at) is expected
        if expected and is_dropped:
            del self.rows[delivery.delivery_id]
        elif expected:
            row = self.rows[delivery.delivery_id]
            self.rows[delivery.delivery_id] = replace(row, state="waiting", attempts=0, due_at=due_at)

    @rule()
    def forget_keys(self) -> None:
        self.clock.advance(seconds=1)
        count = forget_idempotency_keys(self.store.connection, older_than=self.moment())

        assert count == len(self.keys)
        self.keys.clear()

    @invariant()
    def queue_is_the_model(self) -> None:
        if not hasattr(self, "store"):
            return
        listed = queue_view.read_deliveries(self.store.connection, limit=-1)
        found = {
            one.delivery_id: Row(one.sequence, one.installation_id, one.due_at, one.state, one.attempts)
            for one in listed
        }

        assert found == self.rows
        assert queue_view.count_deliveries(self.store.connection) == {
            state: sum(row.state == state for row in self.rows.values()) for state in ("waiting", "missed", "dead")
        }


QueueMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=25)


class TestQueueIsADictionary(QueueMachine.TestCase):  # type: ignore[misc,valid-type]
    pass
