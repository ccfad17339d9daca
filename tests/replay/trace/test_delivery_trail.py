import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.common.clock import ManualClock, time_text
from eventstore.common.identifiers import installation_stream
from eventstore.events.catalogue import BreakerOpened, DeliveryDropped, DeliveryExhausted, DeliveryRequeued, Event
from eventstore.log.event_log import NewEvent, StoredEvent, read_events
from eventstore.queue.delivery import NewDelivery
from eventstore.queue.enqueue import enqueue
from eventstore.unit_of_work import Store
from replay.trace import delivery_trail
from replay.trace.delivery_trail import find_stream, read_trail
from tests.eventstore.facts import INSTALLATION_ID, OTHER_INSTALLATION_ID, failed, record, succeeded

_START = datetime(2025, 2, 3, 12, tzinfo=UTC)
_STREAM = installation_stream(INSTALLATION_ID)


def _id(moment: datetime, number: int = 0) -> str:
    """Return an id of version 7 that was made at a moment."""
    value = (int(moment.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62) | number
    return str(uuid.UUID(int=value))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(_START)


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Store:
    return Store(tmp_path / "events.db", clock)


def _positions(events: Sequence[StoredEvent]) -> list[int]:
    return [stored.position for stored in events]


def _append(store: Store, *events: Event) -> None:
    with store.transaction() as transaction:
        transaction.append(*(NewEvent(_STREAM, event) for event in events))


_MADE: list[Callable[[str], Event]] = [
    lambda one: failed(delivery_id=one, retry_at="2025-02-03T13:00:00.000000Z"),
    lambda one: failed(delivery_id=one),
    lambda one: succeeded(delivery_id=one),
    lambda one: DeliveryExhausted(one, "e", 1, "server_error"),
    lambda one: DeliveryRequeued(one, "e", "dead", f"person:{one}"),
    lambda one: failed(delivery_id=str(uuid.UUID(int=0)), detail=one),  # names it and is not about it
]


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(_MADE), st.booleans(), st.integers(0, 600)), max_size=25),
    st.integers(1, 4),
)
def test_the_trail_is_what_reading_all_events_would_have_found_up_to_the_end(
    history: list[tuple[int, Callable[[str], Event], bool, int]], batch: int
) -> None:
    ids = [_id(_START + timedelta(minutes=30 * number), number) for number in range(3)]
    clock = ManualClock(_START)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivery_trail, "_BATCH", batch)
        with closing(Store(Path(folder) / "events.db", clock)) as store:
            clock.advance(seconds=3600)
            for number, make, is_other, seconds in history:
                stream = installation_stream(OTHER_INSTALLATION_ID if is_other else INSTALLATION_ID)
                with store.transaction() as transaction:
                    transaction.append(NewEvent(stream, make(ids[number])))
                clock.advance(seconds=seconds)
            for one in ids:
                every = [
                    stored
                    for stored in read_events(store.connection, stream=_STREAM)
                    if getattr(stored.event, "delivery_id", "") == one
                ]
                end = next((index for index, stored in enumerate(every) if stored.type == "delivery.succeeded"), 99)

                trail = read_trail(store.connection, one, _STREAM)
                found = find_stream(store.connection, one, is_thorough=True)

                assert list(trail.events[: end + 1]) == every[: end + 1]
                assert trail.is_over == (end < 99)
                assert (found is not None) or not every


def test_the_stream_is_known_from_the_queue_before_anything_has_happened(store: Store) -> None:
    with store.transaction() as transaction:
        (queued,) = enqueue(transaction.connection, [NewDelivery(INSTALLATION_ID, "e", "{}")], enqueued_at="t")

    assert find_stream(store.connection, queued, is_thorough=False) == _STREAM
    assert read_trail(store.connection, queued, _STREAM).events == ()


def test_only_events_of_after_the_id_was_made_are_looked_at(store: Store, clock: ManualClock) -> None:
    record(store, *[succeeded(delivery_id=_id(_START))] * 500)
    clock.advance(days=1)
    made = _id(clock.now())
    record(store, failed(delivery_id=made))
    looked_at: list[str] = []

    def instr(data: str, part: str) -> bool:
        looked_at.append(data)
        return part in data

    store.connection.create_function("instr", 2, instr)

    stream = find_stream(store.connection, made, is_thorough=True)
    trail = read_trail(store.connection, made, _STREAM)

    assert stream == _STREAM
    assert _positions(trail.events) == [501]
    assert len(looked_at) <= 3


def test_what_was_recorded_before_its_id_was_made_is_found_when_nothing_else_is(
    store: Store, clock: ManualClock
) -> None:
    """Read what there is after a clock was set back, or with history of another home."""
    made = _id(_START + timedelta(days=300))
    record(store, failed(delivery_id=made))

    assert find_stream(store.connection, made, is_thorough=False) is None
    assert find_stream(store.connection, made, is_thorough=True) == _STREAM
    assert _positions(read_trail(store.connection, made, _STREAM).events) == [1]


def test_an_id_that_says_no_time_is_looked_for_everywhere(store: Store) -> None:
    other = "7c1f0a52-3d0e-4f2c-9a55-0f3f6f2a1b10"
    record(store, failed(delivery_id=other))

    assert find_stream(store.connection, other, is_thorough=False) == _STREAM


def test_what_nobody_knows_is_not_found(store: Store) -> None:
    assert find_stream(store.connection, _id(_START), is_thorough=True) is None
    record(store, succeeded())
    assert find_stream(store.connection, _id(_START), is_thorough=True) is None


def test_reading_ends_with_the_delivery(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_trail, "_BATCH", 10)
    one = _id(_START)
    record(store, succeeded(delivery_id=one), *[failed()] * 100)
    batches: list[int] = []

    read_trail(store.connection, one, _STREAM, batches.append)

    assert batches == []


def test_what_held_the_installation_back_stands_beside_it_and_a_pause_once(store: Store, clock: ManualClock) -> None:
    one = _id(_START)
    pause = time_text(_START + timedelta(minutes=1))
    record(store, failed(delivery_id=one, retry_at="x"), failed("rate_limited", 429, hold_until=pause))
    record(store, failed("rate_limited", 429, hold_until=pause))
    _append(store, BreakerOpened(INSTALLATION_ID, "u", "e"))
    clock.advance(seconds=61)
    record(store, failed("rate_limited", 429, hold_until=time_text(clock.now() + timedelta(minutes=1))))
    _append(store, DeliveryDropped(one, "e", "dead", "person:ann", "r"))

    trail = read_trail(store.connection, one, _STREAM)

    assert [stored.type for stored in trail.events] == ["delivery.failed", "delivery.dropped"]
    assert _positions(trail.around) == [2, 4, 5]


def test_what_happened_around_it_is_bounded_and_the_rest_counted(store: Store) -> None:
    one = _id(_START)
    record(store, failed(delivery_id=one))
    _append(store, *[BreakerOpened(INSTALLATION_ID, "u", "e")] * 210)

    trail = read_trail(store.connection, one, _STREAM)

    assert (len(trail.around), trail.left_out) == (200, 10)


def test_progress_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_trail, "_BATCH", 10)
    record(store, *[failed()] * 100)
    told: list[int] = []

    find_stream(store.connection, _id(_START), is_thorough=True, advance=told.append)

    assert sum(told) == 100
