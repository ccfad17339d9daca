from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from eventstore.common.clock import ManualClock, parse_time
from eventstore.decisions.probing import enqueue_probe
from eventstore.queue import enqueue as enqueue_module
from eventstore.queue import packed_batches as packed_batches_module
from eventstore.queue.acknowledge import remove_delivered
from eventstore.queue.claim import claim
from eventstore.queue.delivery import NewDelivery, QueuedDelivery
from eventstore.queue.enqueue import Batch, enqueue, enqueue_batch, prepare, unpack
from eventstore.queue.packed_batches import is_unopened, read_packed_batches, unopened_packed_batches
from eventstore.queue.queries import (
    count_deliveries,
    find_delivery,
    longest_due,
    oldest_waiting,
    read_deliveries,
    waits_behind,
)
from eventstore.queue.sequences import newest_sequence
from eventstore.unit_of_work import Store
from tests.eventstore.facts import register

NOW = "2025-02-03T00:00:00.000000Z"
LATER = "2025-02-03T01:00:00.000000Z"
ONE, TWO = "i-1", "j-2"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make packed batches of three deliveries, of every batch."""
    monkeypatch.setattr(enqueue_module, "_MANY", 1)
    monkeypatch.setattr(packed_batches_module, "_MOST_DELIVERIES", 3)


def batch(store: Store, *installation_ids: str, key: str = "", at: str = NOW, **fields: str) -> list[str]:
    new = [NewDelivery(one, "issue.created", "{}", ordering_key=key, **fields) for one in installation_ids]
    return enqueue(store.connection, new, enqueued_at=at, in_packed_batches=True)


def single(store: Store, installation_id: str = ONE, *, key: str = "", at: str = NOW) -> str:
    new = NewDelivery(installation_id, "issue.created", "{}", ordering_key=key)
    (delivery_id,) = enqueue(store.connection, [new], enqueued_at=at)
    return delivery_id


def names(store: Store) -> list[int]:
    return [packed_batch for packed_batch, _ in unopened_packed_batches(store.connection, after_sequence=0)]


def open_all(store: Store) -> None:
    for packed_batch in names(store):
        unpack(store.connection, packed_batch)


def first_packed_batches(store: Store) -> dict[str, int]:
    """Return the first packed batch of each installation, as a dispatcher knows it."""
    first: dict[str, int] = {}
    for packed_batch, counts in unopened_packed_batches(store.connection, after_sequence=0):
        for installation_id in counts:
            first.setdefault(installation_id, packed_batch)
    return first


def claimed(store: Store, installation_id: str = ONE, *, limit: int = 100) -> list[QueuedDelivery]:
    newest = max(names(store), default=0)
    claims = claim(
        store.connection,
        {installation_id: limit},
        due_at=LATER,
        before=first_packed_batches(store),
        known_packed_batch=newest,
    )
    return list(claims[installation_id].deliveries)


def ids(deliveries: list[QueuedDelivery] | tuple[QueuedDelivery, ...]) -> list[str]:
    return [delivery.delivery_id for delivery in deliveries]


def test_a_large_batch_is_kept_in_packed_batches_and_a_small_one_as_rows(store: Store) -> None:
    batch(store, *[ONE] * 63)
    assert names(store) == []

    batch(store, *[ONE] * 130)
    assert [len(packed_batch.deliveries) for packed_batch in read_packed_batches(store.connection)] == [64, 64, 2]


def test_whoever_does_not_ask_for_packed_batches_gets_rows(store: Store) -> None:
    enqueue(store.connection, [NewDelivery(ONE, "issue.created", "{}")] * 100, enqueued_at=NOW)

    assert names(store) == []


@pytest.mark.usefixtures("small")
def test_ids_that_the_producer_has_made_are_checked_at_once_and_so_are_rows(store: Store) -> None:
    known = single(store)
    with pytest.raises(Exception, match="UNIQUE"):
        batch(store, ONE, delivery_id=known)

    batch(store, ONE, delivery_id="0198a0e7-0000-7000-8000-000000000001")
    assert names(store) == []


@pytest.mark.usefixtures("small")
def test_a_packed_batch_says_how_many_deliveries_to_whom_it_holds(store: Store) -> None:
    batch(store, ONE, TWO, ONE, TWO)

    assert unopened_packed_batches(store.connection, after_sequence=0) == [(1, {ONE: 2, TWO: 1}), (4, {TWO: 1})]
    assert unopened_packed_batches(store.connection, after_sequence=1) == [(4, {TWO: 1})]


@pytest.mark.usefixtures("small")
@settings(max_examples=50)
@given(
    data=st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()),
    key=st.text(max_size=5),
    actor=st.none() | st.just('{"type":"user","id":3}'),
)
def test_opened_it_is_what_it_was_queued_as_byte_by_byte(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, object], key: str, actor: str | None
) -> None:
    text = packed_batches_module._encode(data).decode()
    new = NewDelivery(ONE, "issue.created", text, actor=actor, ordering_key=key)
    with Store(tmp_path_factory.mktemp("home") / "events.db", ManualClock(datetime(2025, 2, 3, tzinfo=UTC))) as store:
        enqueue(store.connection, [new] * 2, enqueued_at=NOW, in_packed_batches=True)
        packed = read_deliveries(store.connection)
        open_all(store)
        opened = read_deliveries(store.connection)

    assert list(packed) == [replace(one, checksum=None) for one in opened]  # a row has one of its own
    assert all(one.is_intact and one.checksum is not None for one in opened)
    assert [(one.data, one.actor, one.ordering_key) for one in opened] == [(text, actor, key)] * 2


@pytest.mark.usefixtures("small")
def test_of_a_batch_that_was_prepared_only_what_no_key_is_known_of_is_queued(store: Store) -> None:
    def keyed(*keys: str) -> Batch:
        return prepare([NewDelivery(ONE, "issue.created", f'{{"key":"{key}"}}', idempotency_key=key) for key in keys])

    first, second = keyed("a", "b", "c"), keyed("b", "d", "b", "e", "d")  # both before either has its turn
    known = enqueue_batch(store.connection, first, enqueued_at=NOW)
    again = enqueue_batch(store.connection, second, enqueued_at=NOW)
    third = enqueue_batch(store.connection, keyed("a", "e"), enqueued_at=NOW)

    assert again == [known[1], again[1], known[1], again[3], again[1]]
    assert third == [known[0], again[3]]
    assert names(store) == [1, 4]
    open_all(store)
    assert [one.data for one in read_deliveries(store.connection)] == [f'{{"key":"{key}"}}' for key in "abcde"]
    assert ids(read_deliveries(store.connection)) == [*known, again[1], again[3]]


@pytest.mark.usefixtures("small")
def test_sequence_numbers_are_given_with_the_batch_and_never_again(store: Store) -> None:
    first = batch(store, ONE, ONE)
    then = single(store)
    last = batch(store, ONE)
    unpack(store.connection, names(store)[-1])
    open_all(store)

    assert ids(read_deliveries(store.connection)) == [*first, then, *last]
    assert [one.sequence for one in read_deliveries(store.connection)] == [1, 2, 3, 4]
    assert newest_sequence(store.connection) == 4


@pytest.mark.usefixtures("small")
def test_a_packed_batch_is_opened_once(store: Store) -> None:
    batch(store, ONE, ONE)
    assert is_unopened(store.connection, 1)
    unpack(store.connection, 1)
    unpack(store.connection, 1)

    assert not is_unopened(store.connection, 1)
    assert len(read_deliveries(store.connection)) == 2


@pytest.mark.usefixtures("small")
def test_a_key_of_idempotency_queues_once_in_packed_batches_too(store: Store) -> None:
    first, again = batch(store, ONE, ONE, idempotency_key="once")
    assert first == again
    assert batch(store, ONE, idempotency_key="once") == [first]
    assert ids(read_deliveries(store.connection)) == [first]


@pytest.mark.usefixtures("small")
def test_where_one_s_id_has_a_row_already_the_others_of_its_packed_batch_are_opened_all_the_same(store: Store) -> None:
    first, second = batch(store, ONE, ONE)
    again = NewDelivery(ONE, "issue.created", "{}", delivery_id=first)
    enqueue(store.connection, [again], enqueued_at=NOW)
    open_all(store)

    assert ids(read_deliveries(store.connection)) == [second, first]


# What a claim may pass


@pytest.mark.usefixtures("small")
def test_what_was_queued_behind_a_packed_batch_waits_until_it_is_opened(store: Store) -> None:
    before = single(store)
    packed = batch(store, ONE)
    behind = single(store)
    other = single(store, TWO)

    assert ids(claimed(store)) == [before]
    assert ids(claimed(store, TWO)) == [other]
    open_all(store)
    assert ids(claimed(store)) == [before, *packed, behind]


@pytest.mark.usefixtures("small")
def test_nothing_passes_a_packed_batch_that_the_one_who_claims_has_not_seen(store: Store) -> None:
    batch(store, ONE)
    single(store)

    found = claim(store.connection, {ONE: 9}, due_at=LATER, known_packed_batch=0)[ONE]
    assert found.deliveries == ()


@pytest.mark.usefixtures("small")
def test_a_test_delivery_passes_packed_batches(store: Store) -> None:
    register(store, installation_id=ONE)
    batch(store, ONE)
    with store.transaction() as transaction:
        probe = enqueue_probe(transaction, ONE, by="person:ada")

    assert ids(claimed(store)) == [probe]


@pytest.mark.usefixtures("small")
def test_one_of_a_key_that_was_queued_later_does_not_keep_the_earlier_one_back(store: Store) -> None:
    packed = batch(store, ONE, ONE, key="incident")
    later = single(store, key="incident")
    open_all(store)

    arrived = []
    while found := claimed(store):
        arrived += ids(found)
        remove_delivered(store.connection, found)
    assert arrived == [*packed, later]


class Past:
    """A queue that was lived through: batches and single ones, packed batches opened in any order, deliveries."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.queued: list[tuple[str, str, str]] = []
        self.arrived: list[str] = []

    def queue(self, installation_ids: list[str], key: str, *, in_packed_batches: bool) -> None:
        made = (batch if in_packed_batches else rows)(self.store, *installation_ids, key=key)
        self.queued += [(one, key, delivery_id) for one, delivery_id in zip(installation_ids, made, strict=True)]

    def open(self, number: int) -> None:
        unopened = names(self.store)
        if unopened:
            unpack(self.store.connection, unopened[number % len(unopened)])

    def deliver(self, installation_id: str, limit: int) -> int:
        found = claimed(self.store, installation_id, limit=limit)
        self.arrived += ids(found)
        remove_delivered(self.store.connection, found)
        return len(found)


def rows(store: Store, *installation_ids: str, key: str) -> list[str]:
    new = [NewDelivery(one, "issue.created", "{}", ordering_key=key) for one in installation_ids]
    return enqueue(store.connection, new, enqueued_at=NOW)


queueing = st.tuples(
    st.just("queue"), st.lists(st.sampled_from([ONE, TWO]), min_size=1, max_size=7), st.sampled_from(["", "a", "b"])
)
steps = st.one_of(
    queueing,
    st.tuples(st.just("queue singly"), st.lists(st.sampled_from([ONE, TWO]), min_size=1, max_size=3), st.just("a")),
    st.tuples(st.just("open"), st.integers(0, 9), st.none()),
    st.tuples(st.just("deliver"), st.sampled_from([ONE, TWO]), st.integers(1, 4)),
)


@pytest.mark.usefixtures("small")
@settings(max_examples=150)
@given(st.lists(steps, max_size=25))
def test_in_whatever_order_packed_batches_are_opened_all_arrives_once_and_each_key_in_order(
    tmp_path_factory: pytest.TempPathFactory, past: list[tuple[str, object, object]]
) -> None:
    with Store(tmp_path_factory.mktemp("home") / "events.db", ManualClock(datetime(2025, 2, 3, tzinfo=UTC))) as store:
        lived = Past(store)
        for step in past:
            match step:
                case ("queue", list(installation_ids), str(key)):
                    lived.queue(installation_ids, key, in_packed_batches=True)
                case ("queue singly", list(installation_ids), str(key)):
                    lived.queue(installation_ids, key, in_packed_batches=False)
                case ("open", int(number), _):
                    lived.open(number)
                case ("deliver", str(installation_id), int(limit)):
                    lived.deliver(installation_id, limit)
            waiting = len(lived.queued) - len(lived.arrived)
            assert count_deliveries(store.connection)["waiting"] == waiting == len(read_deliveries(store.connection))
        open_all(store)
        while lived.deliver(ONE, 3) + lived.deliver(TWO, 3):
            pass

    assert sorted(lived.arrived) == sorted(delivery_id for _, _, delivery_id in lived.queued)
    for installation_id in (ONE, TWO):
        for key in ("a", "b"):
            mine = [one for of, with_key, one in lived.queued if (of, with_key) == (installation_id, key)]
            assert [one for one in lived.arrived if one in set(mine)] == mine


# What people see


@pytest.mark.usefixtures("small")
def test_deliveries_in_packed_batches_are_counted_listed_and_found(store: Store) -> None:
    first = single(store)
    packed = batch(store, ONE, TWO, ONE, TWO)
    last = single(store, TWO)

    assert count_deliveries(store.connection) == {"waiting": 6, "missed": 0, "dead": 0}
    assert count_deliveries(store.connection, ONE)["waiting"] == 3
    assert count_deliveries(store.connection, "nobody")["waiting"] == 0
    assert ids(read_deliveries(store.connection)) == [first, *packed, last]
    assert ids(read_deliveries(store.connection, limit=3)) == [first, *packed[:2]]
    assert ids(read_deliveries(store.connection, installation_id=TWO)) == [packed[1], packed[3], last]
    assert ids(read_deliveries(store.connection, state="waiting", limit=-1)) == [first, *packed, last]
    found = find_delivery(store.connection, packed[2])
    assert found is not None
    assert (found.delivery_id, found.installation_id, found.sequence, found.state) == (packed[2], ONE, 4, "waiting")
    assert find_delivery(store.connection, "issue.created") is None


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "filters",
    [
        {"state": "dead"},
        {"error_class": "server_error"},
        {"event_name": "issue.resolved"},
        {"since": parse_time(LATER)},
    ],
)
def test_what_lies_in_packed_batches_is_listed_only_where_it_fits(store: Store, filters: dict[str, str]) -> None:
    batch(store, ONE)

    assert read_deliveries(store.connection, **filters) == ()  # type: ignore[arg-type]


@pytest.mark.usefixtures("small")
def test_what_waits_longest_may_lie_in_a_packed_batch(store: Store) -> None:
    assert oldest_waiting(store.connection) is None
    single(store, at=LATER)
    assert oldest_waiting(store.connection) == LATER
    batch(store, ONE)
    assert oldest_waiting(store.connection) == NOW


@pytest.mark.usefixtures("small")
def test_a_packed_batch_is_overdue_where_one_of_its_deliveries_could_be_sent(store: Store) -> None:
    batch(store, ONE)
    assert longest_due(store.connection, parse_time(LATER)) is None  # to nobody that is known

    register(store, installation_id=ONE)
    assert longest_due(store.connection, parse_time(LATER)) == NOW
    store.connection.execute("UPDATE installations SET breaker_open_until = ?", (LATER,))
    assert longest_due(store.connection, parse_time(LATER)) is None


@pytest.mark.usefixtures("small")
def test_the_one_before_in_a_key_may_lie_in_a_packed_batch(store: Store) -> None:
    first, second = batch(store, ONE, ONE, key="incident")
    single(store, key="another")
    single(store, TWO, key="incident")
    last = single(store, key="incident")

    assert behind(store, last) == first
    assert behind(store, second) == first
    assert behind(store, first) is None
    open_all(store)
    assert behind(store, last) == first


def behind(store: Store, delivery_id: str) -> str | None:
    delivery = find_delivery(store.connection, delivery_id)
    assert delivery is not None
    return waits_behind(store.connection, delivery)
