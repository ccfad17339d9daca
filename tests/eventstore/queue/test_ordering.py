"""Deliveries of one ordering key are claimed one after the other, in the order of queueing."""

import tempfile
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from eventstore.common.clock import ManualClock, time_text
from eventstore.queue.acknowledge import mark_dead, mark_missed, mark_retry, remove_delivered
from eventstore.queue.claim import claim
from eventstore.queue.delivery import NewDelivery, QueuedDelivery
from eventstore.queue.enqueue import enqueue
from eventstore.queue.queries import read_deliveries
from eventstore.unit_of_work import Store

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = "2025-02-03T12:00:00.000000Z"
LATER = "2025-02-03T13:00:00.000000Z"


def put(store: Store, *names: str, key: str = "", installation_id: str = "i") -> list[QueuedDelivery]:
    with store.transaction() as transaction:
        new = [NewDelivery(installation_id, name, "{}", ordering_key=key) for name in names]
        ids = enqueue(transaction.connection, new, enqueued_at=NOW)
    return [one for one in read_deliveries(store.connection, limit=-1) if one.delivery_id in ids]


def claimed(store: Store, *, due_at: str = NOW, limit: int = 10, held: tuple[int, ...] = ()) -> list[str]:
    found = claim(store.connection, {"i": limit}, due_at=due_at, in_flight_sequences=held)["i"]
    return [one.event_name for one in found.deliveries]


def test_only_the_first_of_a_key_is_claimed(store: Store) -> None:
    put(store, "critical", "resolved", key="incident")

    assert claimed(store) == ["critical"]


def test_while_the_first_is_in_flight_the_second_is_not_claimed(store: Store) -> None:
    first, _ = put(store, "critical", "resolved", key="incident")

    assert claimed(store, held=(first.sequence,)) == []


def test_while_the_first_waits_for_a_late_retry_the_second_is_not_claimed(store: Store) -> None:
    first, _ = put(store, "critical", "resolved", key="incident")
    mark_retry(store.connection, first, due_at=LATER, last_error="500")

    assert claimed(store) == []
    assert claimed(store, due_at=LATER) == ["critical"]


def test_a_key_whose_first_waits_for_a_retry_is_looked_at_again_when_that_is_due(store: Store) -> None:
    first, _ = put(store, "critical", "resolved", key="incident")
    mark_retry(store.connection, first, due_at=LATER, last_error="500")

    assert claim(store.connection, {"i": 10}, due_at=NOW)["i"].next_due_at == LATER


def test_when_the_first_is_delivered_the_second_is_claimed(store: Store) -> None:
    first, _ = put(store, "critical", "resolved", key="incident")
    remove_delivered(store.connection, [first])

    assert claimed(store) == ["resolved"]


@pytest.mark.parametrize("end", ["dead", "missed"])
def test_when_the_first_is_dead_or_missed_the_second_is_claimed(store: Store, end: str) -> None:
    first, _ = put(store, "critical", "resolved", key="incident")
    if end == "dead":
        mark_dead(store.connection, first, last_error="500")
    else:
        mark_missed(store.connection, first)

    assert claimed(store) == ["resolved"]


def test_a_stuck_key_holds_up_neither_other_keys_nor_those_without(store: Store) -> None:
    first, *_ = put(store, "stuck", "behind it", key="one")
    put(store, "other", "behind the other", key="two")
    put(store, "free", "free too")
    mark_retry(store.connection, first, due_at=LATER, last_error="500")

    assert claimed(store) == ["other", "free", "free too"]


def test_what_waits_behind_a_stuck_key_takes_no_room_of_a_claim(store: Store) -> None:
    first, *_ = put(store, "stuck", *["behind it"] * 50, key="one")
    put(store, "free", "free too")

    assert claimed(store, limit=2, held=(first.sequence,)) == ["free", "free too"]


def test_those_without_a_key_go_all_at_once(store: Store) -> None:
    put(store, "a", "b", "c")

    assert claimed(store) == ["a", "b", "c"]


def test_a_key_belongs_to_its_installation(store: Store) -> None:
    put(store, "theirs", key="incident", installation_id="other")
    put(store, "ours", key="incident")

    assert claimed(store) == ["ours"]


def test_order_is_that_of_queueing_and_not_of_what_is_due(store: Store) -> None:
    first, second = put(store, "critical", "resolved", key="incident")
    mark_retry(store.connection, first, due_at=LATER, last_error="500")
    store.connection.execute("UPDATE queue SET due_at = '2025-02-01T00:00:00.000000Z' WHERE sequence = 2")

    assert claimed(store) == []
    assert second.sequence == 2


def steps(store: Store, action: "Callable[[], object]") -> int:
    """Return the hundreds of steps that SQLite takes for a action."""
    seen: list[int] = []
    store.connection.set_progress_handler(lambda: seen.append(1), 100)
    action()
    store.connection.set_progress_handler(None, 0)
    return len(seen)


def steps_of_a_claim(store: Store) -> int:
    return steps(store, lambda: claim(store.connection, {"i": 8}, due_at=LATER))


def test_a_backlog_of_many_keys_does_not_slow_queueing_and_delivering_down(store: Store) -> None:
    few = steps(store, lambda: enqueue_one(store, "one"))
    for number in range(2000):
        enqueue_one(store, f"other {number}")
    found = read_deliveries(store.connection, limit=1)

    assert steps(store, lambda: enqueue_one(store, "two")) <= few + 2
    assert steps(store, lambda: remove_delivered(store.connection, found)) <= few + 5


def enqueue_one(store: Store, key: str) -> None:
    enqueue(store.connection, [NewDelivery("i", "issue.created", "{}", ordering_key=key)], enqueued_at=NOW)


def test_a_long_backlog_of_one_key_does_not_slow_a_claim_down(store: Store) -> None:
    put(store, *["critical"] * 10, key="incident")
    put(store, "free")
    few = steps_of_a_claim(store)
    put(store, *["critical"] * 5000, key="incident")

    assert steps_of_a_claim(store) <= few + 1
    assert claimed(store) == ["critical", "free"]


@pytest.mark.parametrize("end", ["delivered", "dead", "missed", "dropped"])
def test_however_the_first_goes_the_next_is_free(store: Store, end: str) -> None:
    first, *_ = put(store, "first", "second", "third", key="incident")
    connection = store.connection
    ends: dict[str, Any] = {
        "delivered": lambda: remove_delivered(connection, [first]),
        "dead": lambda: mark_dead(connection, first, last_error="500"),
        "missed": lambda: mark_missed(connection, first),
        "dropped": lambda: connection.execute("DELETE FROM queue WHERE sequence = ?", (first.sequence,)),
    }
    ends[end]()

    assert claimed(store) == ["second"]
    assert connection.execute("SELECT count(*) FROM queue WHERE is_behind").fetchone() == (1,)


def test_what_waits_in_a_database_of_before_keeps_its_order(tmp_path: Path) -> None:
    with Store(tmp_path / "events.db") as store:
        put(store, "first", "second", key="incident")
        for statement in (
            "DROP TRIGGER queue_next_after_delete",
            "DROP TRIGGER queue_next_after_update",
            "DROP INDEX queue_by_installation",
            "ALTER TABLE queue DROP COLUMN is_behind",
            "CREATE INDEX queue_by_installation ON queue (installation_id, state, due_at)",
            "DELETE FROM _sqlite_migrations WHERE name = '0005_behind'",
            "PRAGMA user_version = 4",
        ):
            store.connection.execute(statement)
    with Store(tmp_path / "events.db") as store:
        put(store, "third", key="incident")
        order = []
        while names := claimed(store):
            order += names
            remove_delivered(store.connection, read_deliveries(store.connection)[:1])

        assert order == ["first", "second", "third"]


class OrderMachine(RuleBasedStateMachine):
    """A dispatcher that claims, holds and settles at random, against an endpoint that fails at random."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = ManualClock(datetime(2025, 2, 3, tzinfo=UTC))
        self.store = Store(Path(self.folder.name) / "events.db", self.clock)
        self.queued: dict[str, list[int]] = defaultdict(list)
        self.sent: dict[str, list[int]] = defaultdict(list)
        self.held: dict[int, QueuedDelivery] = {}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    def moment(self, seconds: int = 0) -> str:
        return time_text(self.clock.now() + timedelta(seconds=seconds))

    @rule(key=st.sampled_from(["", "a", "b"]), count=st.integers(1, 3))
    def enqueue(self, key: str, count: int) -> None:
        with self.store.transaction() as transaction:
            new = [NewDelivery("i", "issue.created", "{}", ordering_key=key)] * count
            enqueue(transaction.connection, new, enqueued_at=transaction.recorded_at)
        newest = read_deliveries(self.store.connection, limit=-1)[-count:]
        self.queued[key] += [one.sequence for one in newest]

    @rule(seconds=st.integers(0, 30))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    @rule(limit=st.integers(1, 4))
    def claim(self, limit: int) -> None:
        found = claim(self.store.connection, {"i": limit}, due_at=self.moment(), in_flight_sequences=set(self.held))[
            "i"
        ]
        for one in found.deliveries:
            assert one.sequence not in self.held
            self.held[one.sequence] = one
            self.sent[one.ordering_key].append(one.sequence)

    @rule()
    def crash(self) -> None:
        self.held.clear()

    @precondition(lambda self: bool(getattr(self, "held", None)))
    @rule(number=st.integers(0, 9), end=st.sampled_from(["ok", "ok", "retry", "dead"]), seconds=st.integers(0, 60))
    def settle(self, number: int, end: str, seconds: int) -> None:
        delivery = self.held.pop(sorted(self.held)[number % len(self.held)])
        if end == "ok":
            remove_delivered(self.store.connection, [delivery])
        elif end == "dead":
            mark_dead(self.store.connection, delivery, last_error="500")
        else:
            mark_retry(self.store.connection, delivery, due_at=self.moment(seconds), last_error="500")

    @invariant()
    def the_endpoint_saw_each_key_in_order(self) -> None:
        for key in "ab":
            seen = getattr(self, "sent", {}).get(key, [])

            assert seen == sorted(seen)
            assert list(dict.fromkeys(seen)) == self.queued[key][: len(set(seen))]

    @invariant()
    def one_of_a_key_is_under_way_at_most(self) -> None:
        keys = [one.ordering_key for one in getattr(self, "held", {}).values() if one.ordering_key]

        assert len(keys) == len(set(keys))

    @invariant()
    def nothing_that_could_go_is_left_behind(self) -> None:
        if not hasattr(self, "store"):
            return
        far = claim(self.store.connection, {"i": 10**6}, due_at=self.moment(10**6))["i"]
        waiting = read_deliveries(self.store.connection, state="waiting", limit=-1)
        firsts = {one.ordering_key: one.sequence for one in reversed(waiting) if one.ordering_key}
        free = {one.sequence for one in waiting if not one.ordering_key}

        assert {one.sequence for one in far.deliveries} == free | set(firsts.values())


OrderMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=40)


class TestOrderIsKeptForEachKey(OrderMachine.TestCase):  # type: ignore[misc,valid-type]
    pass
