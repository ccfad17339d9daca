import itertools
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from eventstore.common.clock import ManualClock, time_text
from eventstore.errors import DamagedFileError
from eventstore.home.folder import Home
from eventstore.queue.acknowledge import mark_dead, mark_missed, mark_retry, remove_delivered
from eventstore.queue.claim import claim, installations_with_waiting
from eventstore.queue.delivery import NewDelivery, QueuedDelivery
from eventstore.queue.enqueue import enqueue
from eventstore.queue.idempotency import damaged_keys, forget_damaged_keys, forget_idempotency_keys
from eventstore.queue.kept import drop, requeue
from eventstore.queue.queries import count_deliveries, find_delivery, read_deliveries, waits_behind
from eventstore.sqlite.migrations import migrate
from eventstore.unit_of_work import Store
from tests.eventstore.facts import INSTALLATION_ID, register, rows_of
from tests.eventstore.processes import at_once, queueing

LATER = "2025-02-03T13:00:00.000000Z"
NOW = "2025-02-03T12:00:00.000000Z"
EARLIER = "2025-02-03T11:00:00.000000Z"


def put(store: Store, *names: str, at: str = NOW, installation_id: str = "i", key: str | None = None) -> list[str]:
    deliveries = [NewDelivery(installation_id, name, "{}", idempotency_key=key) for name in names]
    with store.transaction() as transaction:
        return enqueue(transaction.connection, deliveries, enqueued_at=at)


def only(store: Store) -> QueuedDelivery:
    (delivery,) = read_deliveries(store.connection)
    return delivery


def claimed(store: Store, limit: int = 10, held: tuple[int, ...] = (), due_at: str = NOW) -> list[str]:
    found = claim(store.connection, {"i": limit}, due_at=due_at, in_flight_sequences=held)["i"]
    return [delivery.event_name for delivery in found.deliveries]


def test_longest_due_is_claimed_first_and_then_in_the_order_of_queueing(store: Store) -> None:
    put(store, "b", "c")
    put(store, "a", at=EARLIER)

    assert claimed(store) == ["a", "b", "c"]


def test_no_more_than_the_limit_is_claimed(store: Store) -> None:
    put(store, "a", "b", "c")

    assert claimed(store, limit=2) == ["a", "b"]


def test_what_is_held_is_not_claimed_and_does_not_use_up_the_limit(store: Store) -> None:
    put(store, "a", "b", "c", "d")

    assert claimed(store, limit=2, held=(1, 2)) == ["c", "d"]


def test_delivery_is_claimed_at_the_moment_it_is_due_and_not_before(store: Store) -> None:
    put(store, "a", at=LATER)

    assert claimed(store, due_at=NOW) == []
    assert claimed(store, due_at=LATER) == ["a"]


def test_claim_of_one_installation_leaves_the_others(store: Store) -> None:
    put(store, "a", installation_id="other")

    assert claimed(store) == []


def test_claim_writes_nothing(store: Store) -> None:
    put(store, "a")

    assert claimed(store) == claimed(store) == ["a"]


@pytest.mark.parametrize(
    ("limit", "expected"), [(1, NOW), (2, LATER)], ids=["at once while there is more", "the next one"]
)
def test_claim_tells_when_the_next_is_due(store: Store, limit: int, expected: str) -> None:
    put(store, "a")
    put(store, "b", at=LATER)

    assert claim(store.connection, {"i": limit}, due_at=NOW)["i"].next_due_at == expected


def test_claim_tells_that_nothing_else_waits(store: Store) -> None:
    put(store, "a", "b")
    (_, second) = read_deliveries(store.connection)
    mark_dead(store.connection, second, last_error="")

    assert claim(store.connection, {"i": 2}, due_at=NOW)["i"].next_due_at is None


def test_key_queues_once(store: Store) -> None:
    first, again = put(store, "a", "b", key="k")
    (later,) = put(store, "c", key="k")

    assert first == again == later
    assert only(store).event_name == "a"


def test_key_belongs_to_its_installation(store: Store) -> None:
    put(store, "a", key="k")
    put(store, "a", key="k", installation_id="other")

    assert count_deliveries(store.connection)["waiting"] == 2


def test_key_is_remembered_after_the_delivery_has_gone(store: Store) -> None:
    (first,) = put(store, "a", key="k")
    remove_delivered(store.connection, [only(store)])

    assert put(store, "a", key="k") == [first]
    assert count_deliveries(store.connection)["waiting"] == 0


def test_key_queues_once_across_processes(store: Store, home: Home) -> None:
    register(store)
    one, other = at_once(queueing, home.path, INSTALLATION_ID, 20)

    assert one == other
    assert rows_of(home.database, "SELECT count(*) FROM queue") == [(20,)]


def test_key_is_forgotten_when_it_is_older_and_not_before(store: Store, clock: ManualClock) -> None:
    put(store, "a", key="k", at=NOW)

    assert forget_idempotency_keys(store.connection, older_than=NOW) == 0
    assert forget_idempotency_keys(store.connection, older_than=time_text(clock.now() + timedelta(seconds=1))) == 1
    assert len({*put(store, "a", key="k"), only_first(store)}) == 2


def only_first(store: Store) -> str:
    return read_deliveries(store.connection)[0].delivery_id


def test_no_more_keys_than_the_limit_are_forgotten_at_once(store: Store) -> None:
    for number in range(5):
        put(store, "a", key=str(number))

    assert [forget_idempotency_keys(store.connection, older_than=LATER, limit=3) for _ in range(3)] == [3, 2, 0]


def test_an_id_that_is_not_what_was_stored_is_never_answered(store: Store) -> None:
    put(store, "a", key="k")
    put(store, "b", key="other")
    store.connection.execute("UPDATE idempotency_keys SET delivery_id = 'd' WHERE idempotency_key = 'k'")

    with pytest.raises(DamagedFileError, match=r"idempotency key 'k' of installation .* is damaged"):
        put(store, "a", key="k")
    assert [key for _, key in damaged_keys(store.connection)] == [b"k"]
    assert forget_damaged_keys(store.connection) == 1
    assert len(put(store, "a", key="k")) == 1


def test_a_key_of_before_there_were_checksums_is_answered_as_it_stands(store: Store) -> None:
    put(store, "a", key="k")
    store.connection.execute("UPDATE idempotency_keys SET checksum = NULL, delivery_id = 'd'")

    assert put(store, "a", key="k") == ["d"]
    assert damaged_keys(store.connection) == []


def test_delivered_delivery_is_taken_out_once(store: Store) -> None:
    put(store, "a")
    delivery = only(store)

    assert [remove_delivered(store.connection, [delivery]) for _ in range(2)] == [[True], [False]]


def test_retry_is_accepted_once(store: Store) -> None:
    put(store, "a")
    delivery = only(store)

    assert [mark_retry(store.connection, delivery, due_at=LATER, last_error="500") for _ in range(2)] == [True, False]
    after = only(store)
    assert (after.attempts, after.due_at, after.last_error, after.state) == (1, LATER, "500", "waiting")


def test_death_is_accepted_once(store: Store) -> None:
    put(store, "a")
    delivery = only(store)

    assert [mark_dead(store.connection, delivery, last_error="500") for _ in range(2)] == [True, False]
    assert (only(store).attempts, only(store).last_error) == (1, "500")


def test_missing_is_accepted_once_and_is_no_attempt(store: Store) -> None:
    put(store, "a")
    delivery = only(store)

    assert [mark_missed(store.connection, delivery) for _ in range(2)] == [True, False]
    assert (only(store).state, only(store).attempts) == ("missed", 0)


def test_outcome_of_an_earlier_attempt_changes_nothing(store: Store) -> None:
    put(store, "a")
    stale = only(store)
    mark_retry(store.connection, stale, due_at=LATER, last_error="500")

    assert remove_delivered(store.connection, [stale]) == [False]
    assert not mark_dead(store.connection, stale, last_error="")
    assert not mark_missed(store.connection, stale)
    assert only(store).state == "waiting"


@pytest.mark.parametrize("state", ["dead", "missed"])
def test_dead_or_missed_delivery_is_put_back_once_with_all_its_attempts(store: Store, state: str) -> None:
    put(store, "a")
    mark_retry(store.connection, only(store), due_at=NOW, last_error="500")
    _ = mark_dead(store.connection, only(store), last_error="") if state == "dead" else None
    _ = mark_missed(store.connection, only(store)) if state == "missed" else None
    delivery = only(store)

    assert [requeue(store.connection, delivery, due_at=LATER) for _ in range(2)] == [True, False]
    after = only(store)
    assert (after.state, after.attempts, after.due_at, after.delivery_id) == (
        "waiting",
        0,
        LATER,
        delivery.delivery_id,
    )


@pytest.mark.parametrize("state", ["dead", "missed"])
def test_dead_or_missed_delivery_is_dropped_once(store: Store, state: str) -> None:
    put(store, "a")
    _ = mark_dead(store.connection, only(store), last_error="") if state == "dead" else None
    _ = mark_missed(store.connection, only(store)) if state == "missed" else None
    delivery = only(store)

    assert [drop(store.connection, delivery) for _ in range(2)] == [True, False]
    assert find_delivery(store.connection, delivery.delivery_id) is None


def test_waiting_delivery_is_neither_put_back_nor_dropped(store: Store) -> None:
    put(store, "a")
    mark_retry(store.connection, only(store), due_at=LATER, last_error="500")

    assert not requeue(store.connection, only(store), due_at=NOW)
    assert not drop(store.connection, only(store))
    assert only(store).attempts == 1


def test_delivery_is_found_with_all_it_was_queued_with(store: Store) -> None:
    new = NewDelivery("i", "issue.created", '{"a":1}', '{"type":"user"}', "incident:1", "k")
    with store.transaction() as transaction:
        (delivery_id,) = enqueue(transaction.connection, [new], enqueued_at=NOW)

    found = find_delivery(store.connection, delivery_id)

    assert found is not None
    assert found.checksum is not None
    assert found.is_intact
    assert msgspec.structs.replace(found, checksum=None) == QueuedDelivery(
        *(1, delivery_id, "i", "issue.created", "incident:1", "waiting", 0, NOW, NOW, "", '{"type":"user"}', '{"a":1}')
    )
    assert find_delivery(store.connection, "another") is None


def test_counts_are_by_state_and_installation(store: Store) -> None:
    put(store, "a", "b", "c")
    put(store, "d", installation_id="other")
    first, second, *_ = read_deliveries(store.connection)
    mark_dead(store.connection, first, last_error="")
    mark_missed(store.connection, second)

    assert count_deliveries(store.connection) == {"waiting": 2, "missed": 1, "dead": 1}
    assert count_deliveries(store.connection, "other") == {"waiting": 1, "missed": 0, "dead": 0}


def test_deliveries_are_listed_by_state_installation_and_limit(store: Store) -> None:
    put(store, "a", "b")
    put(store, "c", installation_id="other")
    mark_dead(store.connection, read_deliveries(store.connection)[0], last_error="")

    assert [one.event_name for one in read_deliveries(store.connection, state="waiting")] == ["b", "c"]
    assert [one.event_name for one in read_deliveries(store.connection, installation_id="i")] == ["a", "b"]
    assert len(read_deliveries(store.connection, limit=2)) == 2
    assert len(read_deliveries(store.connection, limit=-1)) == 3


def test_installations_with_waiting_are_named_from_a_sequence_on(store: Store) -> None:
    put(store, "a", "b")
    put(store, "c", installation_id="other")
    names, newest = installations_with_waiting(store.connection)

    assert (set(names), newest) == ({"i", "other"}, 3)
    assert installations_with_waiting(store.connection, after_sequence=2) == (("other",), 3)
    assert installations_with_waiting(store.connection, after_sequence=3) == ((), 3)


def test_looking_for_new_ones_costs_little_however_many_wait(store: Store) -> None:
    put(store, *["a"] * 4_000)
    _, newest = installations_with_waiting(store.connection)
    put(store, "b", installation_id="other")
    ticks = itertools.count()  # one in ten steps of SQLite's machine; a row takes a step at least
    store.connection.set_progress_handler(lambda: next(ticks) < 0, 10)
    names, _ = installations_with_waiting(store.connection, after_sequence=newest)
    store.connection.set_progress_handler(None, 0)

    assert names == ("other",)
    assert next(ticks) < 100


def test_sequence_numbers_are_never_used_again(store: Store) -> None:
    put(store, "a")
    _, newest = installations_with_waiting(store.connection)
    remove_delivered(store.connection, [only(store)])
    put(store, "b")

    assert installations_with_waiting(store.connection, after_sequence=newest) == (("i",), 2)


def test_installation_whose_deliveries_are_all_dead_has_none_waiting(store: Store) -> None:
    put(store, "a")
    mark_dead(store.connection, only(store), last_error="")

    assert installations_with_waiting(store.connection) == ((), 1)


def test_delivery_that_is_not_there_is_acknowledged_by_nobody(store: Store, tmp_path: Path) -> None:
    put(store, "a")
    gone = replace(only(store), sequence=99)

    assert remove_delivered(store.connection, [gone]) == [False]
    assert not requeue(store.connection, replace(gone, state="dead"), due_at=NOW)


def test_a_delivery_waits_behind_the_first_of_its_ordering_key_that_waits(store: Store) -> None:
    keyed = [NewDelivery("i", "a", "{}", ordering_key="k") for _ in range(3)]
    with store.transaction() as transaction:
        ids = enqueue(transaction.connection, [*keyed, NewDelivery("i", "b", "{}")], enqueued_at=NOW)
    queued = read_deliveries(store.connection)

    assert [waits_behind(store.connection, one) for one in queued] == [None, ids[0], ids[0], None]
    mark_dead(store.connection, queued[0], last_error="gone")
    assert waits_behind(store.connection, queued[2]) == ids[1]


@given(
    st.lists(st.tuples(st.sampled_from("ij"), st.sampled_from(["", "k", "l"])), max_size=9),
    st.lists(st.tuples(st.sampled_from("ij"), st.sampled_from(["", "k", "l"])), max_size=140),
)
def test_a_batch_is_queued_as_its_deliveries_one_by_one(
    before: list[tuple[str, str]], batch: list[tuple[str, str]]
) -> None:
    together, apart = _queued([before, batch]), _queued([[one] for one in before + batch])

    assert together == apart


def _queued(batches: list[list[tuple[str, str]]]) -> list[tuple[object, ...]]:
    columns = "sequence, installation_id, ordering_key, is_behind, state, attempts, enqueued_at, due_at, actor, data"
    with closing(sqlite3.connect(":memory:")) as connection:
        migrate(connection, found=0)
        for batch in batches:
            deliveries = [NewDelivery(one, "a", "{}", ordering_key=key) for one, key in batch]
            enqueue(connection, deliveries, enqueued_at=NOW)
        return connection.execute(f"SELECT {columns} FROM queue ORDER BY sequence").fetchall()
