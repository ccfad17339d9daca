import tempfile
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.common.clock import ManualClock, parse_time, time_text
from eventstore.common.identifiers import installation_stream
from eventstore.decisions.disable import DisableRequest, disable, enable
from eventstore.deliveries.record_attempts import DeliveryRecord, record_deliveries
from eventstore.deliveries.recover import due_moments, start_recovery
from eventstore.deliveries.resend import drop_kept, resend_kept
from eventstore.deliveries.retention import expire_payloads
from eventstore.errors import NotFoundError, RejectedError
from eventstore.events.catalogue import (
    AttemptEvent,
    DeliveryMissed,
    InstallationRemoved,
    RecoveryCompleted,
    RecoveryStarted,
)
from eventstore.home.folder import Home
from eventstore.log.change_signal import change_version
from eventstore.log.event_log import NewEvent, read_events
from eventstore.policies.policy import BALANCED
from eventstore.queue.claim import claim
from eventstore.queue.delivery import NewDelivery, QueuedDelivery
from eventstore.queue.enqueue import enqueue
from eventstore.queue.missed import Ledger, missed_ledger, missed_totals
from eventstore.queue.queries import read_deliveries
from eventstore.unit_of_work import Store
from tests.eventstore.facts import INSTALLATION_ID, OTHER_INSTALLATION_ID, failed, register, succeeded
from tests.eventstore.processes import at_once

ENDS = ("delivered", "dead", "missed", "retry")


def switch(store: Store, *, is_on: bool, installation_id: str = INSTALLATION_ID) -> None:
    with store.transaction() as transaction:
        if is_on:
            enable(transaction, installation_id, by="person:ada", reason="fixed")
        else:
            disable(transaction, DisableRequest(installation_id, "person:ada", "moving", BALANCED))


def put(store: Store, *keys: str, installation_id: str = INSTALLATION_ID) -> list[str]:
    new = [NewDelivery(installation_id, "issue.created", '{"n":1}', ordering_key=key) for key in keys]
    with store.transaction() as transaction:
        return enqueue(transaction.connection, new, enqueued_at=transaction.recorded_at)


def record(store: Store, delivery: QueuedDelivery, end: str) -> int:
    """Record one end of an attempt at what the queue held."""
    fields: dict[str, Any] = {"delivery_id": delivery.delivery_id, "attempt": delivery.attempts + 1}
    later = time_text(store.clock.now() + timedelta(seconds=5))
    events: dict[str, AttemptEvent | DeliveryMissed] = {
        "delivered": succeeded(**fields),
        "dead": failed(**fields),
        "retry": failed(**fields, retry_at=later),
        "missed": DeliveryMissed(delivery.delivery_id, delivery.event_name, delivery.enqueued_at),
    }
    with store.transaction() as transaction:
        (position,) = record_deliveries(transaction, [DeliveryRecord(delivery, events[end])])
    return position


def miss(store: Store, count: int = 1, key: str = "", installation_id: str = INSTALLATION_ID) -> list[str]:
    """Miss deliveries to a disabled installation, queued a second apart."""
    ids = []
    for _ in range(count):
        ids += put(store, key, installation_id=installation_id)
        store.clock.advance(seconds=1)  # type: ignore[attr-defined]
    for delivery in read_deliveries(store.connection, state="waiting", installation_id=installation_id, limit=-1):
        record(store, delivery, "missed")
    return ids


def recover(store: Store, per_s: float = 10, installation_id: str = INSTALLATION_ID) -> RecoveryStarted | None:
    with store.transaction() as transaction:
        return start_recovery(transaction, installation_id, by="person:ada", per_s=per_s)


def waiting(store: Store) -> tuple[QueuedDelivery, ...]:
    return read_deliveries(store.connection, state="waiting", limit=-1)


def claimed(store: Store, limit: int = 100) -> list[str]:
    now = time_text(store.clock.now())
    found = claim(store.connection, {INSTALLATION_ID: limit}, due_at=now)[INSTALLATION_ID]
    return [delivery.delivery_id for delivery in found.deliveries]


def count_of(store: Store, *event_classes: type) -> int:
    return sum(isinstance(stored.event, event_classes) for stored in read_events(store.connection))


@pytest.fixture
def disabled(store: Store) -> Store:
    register(store)
    switch(store, is_on=False)
    return store


def test_the_ledger_has_the_exact_count_and_range(disabled: Store, clock: ManualClock) -> None:
    first = time_text(clock.now())
    miss(disabled, 3)
    last = time_text(clock.now() - timedelta(seconds=1))

    assert missed_ledger(disabled.connection, INSTALLATION_ID) == Ledger(3, first, last, 0, 0)
    assert missed_ledger(disabled.connection, OTHER_INSTALLATION_ID) == Ledger(0, None, None, 0, 0)


def test_the_totals_are_of_all_installations(disabled: Store, clock: ManualClock) -> None:
    register(disabled, installation_id=OTHER_INSTALLATION_ID, app_id=43)
    first = time_text(clock.now())
    miss(disabled, 2)
    miss(disabled, 1, installation_id=OTHER_INSTALLATION_ID)
    last = time_text(clock.now() - timedelta(seconds=1))
    switch(disabled, is_on=True)
    put(disabled, "")

    assert missed_totals(disabled.connection) == Ledger(3, first, last, 0, 0)
    recover(disabled)
    assert missed_totals(disabled.connection) == Ledger(1, last, last, 0, 2)


def test_what_was_missed_waits_again_in_the_order_of_queueing_and_paced(disabled: Store, clock: ManualClock) -> None:
    ids = miss(disabled, 3)
    switch(disabled, is_on=True)
    recover(disabled, per_s=4)

    found = waiting(disabled)
    assert [delivery.delivery_id for delivery in found] == ids
    assert [(parse_time(one.due_at) - clock.now()).total_seconds() for one in found] == [0, 0.25, 0.5]
    assert all(one.is_recovery and one.attempts == 0 for one in found)


def test_what_is_recovered_is_handed_out_one_by_one_and_when_it_is_due(disabled: Store, clock: ManualClock) -> None:
    ids = miss(disabled, 3)
    switch(disabled, is_on=True)
    recover(disabled, per_s=1)
    (new,) = put(disabled, "")
    assert claimed(disabled) == [ids[0], new]
    record(disabled, waiting(disabled)[0], "delivered")
    assert claimed(disabled) == [new]
    clock.advance(seconds=10)

    assert claimed(disabled) == [new, ids[1]]
    record(disabled, waiting(disabled)[0], "delivered")
    assert claimed(disabled) == [new, ids[2]]


def test_one_that_is_to_be_tried_again_does_not_hold_up_the_rest(disabled: Store, clock: ManualClock) -> None:
    stuck, of_its_key, free = miss(disabled, 2, key="incident:1") + miss(disabled)
    switch(disabled, is_on=True)
    recover(disabled)
    clock.advance(seconds=1)
    assert claimed(disabled) == [stuck]
    record(disabled, waiting(disabled)[0], "retry")
    assert claimed(disabled) == [free]
    clock.advance(seconds=5)

    assert claimed(disabled) == [free, stuck]
    record(disabled, waiting(disabled)[0], "delivered")
    assert claimed(disabled) == [of_its_key]


def test_the_start_is_recorded_with_count_and_range(disabled: Store) -> None:
    miss(disabled, 3)
    ledger = missed_ledger(disabled.connection, INSTALLATION_ID)
    switch(disabled, is_on=True)
    started = recover(disabled)

    assert ledger.first_enqueued_at is not None
    assert ledger.last_enqueued_at is not None
    assert started == RecoveryStarted(
        INSTALLATION_ID, "person:ada", 3, ledger.first_enqueued_at, ledger.last_enqueued_at
    )
    assert [stored.event for stored in read_events(disabled.connection)][-1] == started


def test_attempts_begin_anew(disabled: Store) -> None:
    put(disabled, "")
    record(disabled, waiting(disabled)[0], "retry")
    miss(disabled, 0)
    switch(disabled, is_on=True)
    recover(disabled)

    assert waiting(disabled)[0].attempts == 0


def test_a_recovery_that_is_under_way_is_not_started_again(disabled: Store) -> None:
    miss(disabled, 2)
    switch(disabled, is_on=True)

    assert recover(disabled) is not None
    assert recover(disabled) is None
    assert missed_ledger(disabled.connection, INSTALLATION_ID) == Ledger(0, None, None, 0, 2)


def test_there_is_no_recovery_where_nothing_was_missed(store: Store) -> None:
    register(store)
    put(store, "")

    assert recover(store) is None
    assert count_of(store, RecoveryStarted) == 0


def test_what_has_no_payload_any_more_stays_missed_and_is_counted(disabled: Store, clock: ManualClock) -> None:
    ids = miss(disabled, 3)
    with disabled.transaction() as transaction:
        expire_payloads(transaction, older_than=time_text(clock.now()), limit=2)
    switch(disabled, is_on=True)
    started = recover(disabled)

    assert started is not None
    assert (started.deliveries, started.without_payload) == (1, 2)
    assert started.first_enqueued_at == started.last_enqueued_at
    assert [one.delivery_id for one in waiting(disabled)] == ids[2:]
    assert missed_ledger(disabled.connection, INSTALLATION_ID).without_payload == 2
    assert recover(disabled) is None


def test_the_daemon_is_told_to_look(disabled: Store) -> None:
    miss(disabled)
    switch(disabled, is_on=True)
    before = change_version(disabled.connection)
    recover(disabled)

    assert change_version(disabled.connection) > before


def test_nothing_is_recovered_to_an_installation_that_is_not_active(disabled: Store) -> None:
    miss(disabled)
    with pytest.raises(RejectedError, match="is disabled: what it missed is sent when it is enabled"):
        recover(disabled)
    with pytest.raises(NotFoundError):
        recover(disabled, installation_id="nobody")

    assert missed_ledger(disabled.connection, INSTALLATION_ID).count == 1


@pytest.mark.parametrize("per_s", [0, -1, 1e-300])
def test_a_pace_that_is_none_is_refused(disabled: Store, per_s: float) -> None:
    miss(disabled, 2)
    switch(disabled, is_on=True)
    with pytest.raises(RejectedError, match="a second"):
        recover(disabled, per_s)

    assert missed_ledger(disabled.connection, INSTALLATION_ID).count == 2


@pytest.mark.parametrize("end", ["delivered", "dead", "missed"])
def test_the_gap_is_closed_when_the_last_one_waits_no_more(disabled: Store, end: str) -> None:
    miss(disabled, 2)
    switch(disabled, is_on=True)
    recover(disabled)
    first, last = waiting(disabled)
    record(disabled, first, "delivered")
    assert count_of(disabled, RecoveryCompleted) == 0
    record(disabled, last, end)

    events = [stored.event for stored in read_events(disabled.connection)]
    assert events[-1] == RecoveryCompleted(INSTALLATION_ID)
    assert not any(one.is_recovery for one in read_deliveries(disabled.connection))


def test_a_retry_does_not_close_the_gap(disabled: Store) -> None:
    miss(disabled)
    switch(disabled, is_on=True)
    recover(disabled)
    record(disabled, waiting(disabled)[0], "retry")

    assert count_of(disabled, RecoveryCompleted) == 0
    assert waiting(disabled)[0].is_recovery
    record(disabled, waiting(disabled)[0], "delivered")
    assert count_of(disabled, RecoveryCompleted) == 1


def test_an_outcome_that_comes_twice_closes_the_gap_once(disabled: Store) -> None:
    miss(disabled)
    switch(disabled, is_on=True)
    recover(disabled)
    (delivery,) = waiting(disabled)

    assert [bool(record(disabled, delivery, "delivered")) for _ in range(2)] == [True, False]
    assert count_of(disabled, RecoveryCompleted) == 1


def test_what_is_delivered_beside_it_closes_nothing(disabled: Store) -> None:
    miss(disabled)
    switch(disabled, is_on=True)
    recover(disabled)
    put(disabled, "")
    record(disabled, waiting(disabled)[1], "delivered")

    assert count_of(disabled, RecoveryCompleted) == 0


def test_giving_up_what_is_being_recovered_closes_the_gap(disabled: Store) -> None:
    ids = miss(disabled, 2)
    switch(disabled, is_on=True)
    recover(disabled)
    with disabled.transaction() as transaction:
        drop_kept(transaction, ids, by="person:ada", reason="stale")

    assert [type(stored.event) for stored in read_events(disabled.connection)][-1] is RecoveryCompleted
    assert waiting(disabled) == ()


def test_a_dead_one_that_is_sent_again_closes_no_gap_a_second_time(disabled: Store) -> None:
    ids = miss(disabled)
    switch(disabled, is_on=True)
    recover(disabled)
    record(disabled, waiting(disabled)[0], "dead")
    with disabled.transaction() as transaction:
        resend_kept(transaction, ids, by="person:ada")
    record(disabled, waiting(disabled)[0], "delivered")

    assert count_of(disabled, RecoveryCompleted) == 1


def test_disabled_in_the_middle_the_rest_is_missed_again_and_recovered_by_the_next(disabled: Store) -> None:
    ids = miss(disabled, 4)
    switch(disabled, is_on=True)
    recover(disabled)
    record(disabled, waiting(disabled)[0], "delivered")
    switch(disabled, is_on=False)
    for delivery in waiting(disabled):
        record(disabled, delivery, "missed")
    assert count_of(disabled, RecoveryCompleted) == 1
    assert missed_ledger(disabled.connection, INSTALLATION_ID).count == 3
    switch(disabled, is_on=True)
    started = recover(disabled)

    assert started is not None
    assert started.deliveries == 3
    assert [one.delivery_id for one in waiting(disabled)] == ids[1:]
    for delivery in waiting(disabled):
        record(disabled, delivery, "delivered")
    assert count_of(disabled, RecoveryCompleted) == 2


def test_enabled_again_before_all_were_due_the_rest_is_paced_behind_what_was_missed_again(disabled: Store) -> None:
    ids = miss(disabled, 4)
    switch(disabled, is_on=True)
    recover(disabled, per_s=1)
    for delivery in waiting(disabled)[:2]:
        record(disabled, delivery, "missed")
    started = recover(disabled, per_s=1)

    assert started is not None
    assert started.deliveries == 2
    by_due = sorted(waiting(disabled), key=lambda one: one.due_at)
    assert [one.delivery_id for one in by_due] == ids
    assert len({one.due_at for one in by_due}) == 4


def test_a_removed_installation_completes_its_recovery_too(disabled: Store) -> None:
    miss(disabled)
    switch(disabled, is_on=True)
    recover(disabled)
    with disabled.transaction() as transaction:
        transaction.append(NewEvent(installation_stream(INSTALLATION_ID), InstallationRemoved(INSTALLATION_ID)))
    record(disabled, waiting(disabled)[0], "missed")

    assert count_of(disabled, RecoveryCompleted) == 1


def test_a_new_delivery_waits_for_the_recovered_ones_of_its_key(disabled: Store, clock: ManualClock) -> None:
    first, second = miss(disabled, 2, key="incident:1")
    switch(disabled, is_on=True)
    recover(disabled, per_s=0.1)
    new, other = put(disabled, "incident:1", "incident:2")

    assert claimed(disabled) == [first, other]
    record(disabled, waiting(disabled)[0], "delivered")
    assert claimed(disabled) == [other]
    clock.advance(seconds=10)
    assert claimed(disabled) == [other, second]
    record(disabled, waiting(disabled)[0], "retry")
    assert claimed(disabled) == [other]
    clock.advance(seconds=5)
    assert claimed(disabled) == [other, second]
    record(disabled, waiting(disabled)[0], "delivered")
    assert claimed(disabled) == [new, other]


def test_the_claim_names_the_moment_of_the_recovered_one_that_others_wait_for(
    disabled: Store, clock: ManualClock
) -> None:
    miss(disabled, 2, key="incident:1")
    switch(disabled, is_on=True)
    recover(disabled, per_s=0.1)
    put(disabled, "incident:1")
    record(disabled, waiting(disabled)[0], "delivered")
    found = claim(disabled.connection, {INSTALLATION_ID: 8}, due_at=time_text(clock.now()))[INSTALLATION_ID]

    assert found.deliveries == ()
    assert found.next_due_at == time_text(clock.now() + timedelta(seconds=10))


moments = st.integers(0, 4 * 10**15).map(
    lambda microseconds: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)


@given(start=moments, count=st.integers(0, 200), per_s=st.floats(1e-3, 1e9))
def test_staggering_keeps_the_order_and_the_pace(start: datetime, count: int, per_s: float) -> None:
    due = due_moments(start, count, per_s)

    assert due == sorted(due)
    assert due[:1] == [time_text(start)][:count]
    assert all(
        abs((parse_time(moment) - start).total_seconds() - number / per_s) < 1e-5 for number, moment in enumerate(due)
    )


@settings(max_examples=25)
@given(ends=st.lists(st.tuples(st.integers(0, 7), st.sampled_from(ENDS)), max_size=40), count=st.integers(1, 6))
def test_a_recovery_is_completed_exactly_once_whatever_becomes_of_its_deliveries(
    ends: list[tuple[int, str]], count: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clock = ManualClock(datetime(2025, 2, 3, tzinfo=UTC))
        with Store(Path(folder) / "events.db", clock) as store:
            register(store)
            miss(store, count, key="k")
            recover(store)
            put(store, "k", "")
            for number, end in ends:
                left = waiting(store)
                if left:
                    record(store, left[number % len(left)], end)
            is_open = any(one.is_recovery for one in waiting(store))
            assert count_of(store, RecoveryCompleted) == (0 if is_open else 1)
            for delivery in waiting(store):
                record(store, delivery, "delivered")

            assert count_of(store, RecoveryStarted) == count_of(store, RecoveryCompleted) == 1
            assert missed_ledger(store.connection, INSTALLATION_ID).recovering == 0


def enabling(barrier: Any, number: int, path: Path, clock: ManualClock) -> bool:
    with Store(path, clock) as store:
        barrier.wait(60)
        with store.transaction() as transaction:
            enable(transaction, INSTALLATION_ID, by=f"person:{number}", reason="fixed")
            return start_recovery(transaction, INSTALLATION_ID, by=f"person:{number}", per_s=10) is not None


def test_processes_that_recover_at_once_start_it_once(disabled: Store, home: Home, clock: ManualClock) -> None:
    miss(disabled, 50)

    assert sorted(at_once(enabling, home.database, clock, count=3)) == [False, False, True]
    assert count_of(disabled, RecoveryStarted) == 1
    assert missed_ledger(disabled.connection, INSTALLATION_ID) == Ledger(0, None, None, 0, 50)


def test_a_hundred_thousand_take_a_few_steps_each(disabled: Store) -> None:
    with disabled.transaction() as transaction:
        transaction.connection.execute(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100000)"
            " INSERT INTO queue (delivery_id, installation_id, event_name, ordering_key, state, enqueued_at,"
            " due_at, data)"
            " SELECT n, ?, 'issue.created', 'k', 'missed', ?, ?, '{}' FROM numbers",
            (INSTALLATION_ID, transaction.recorded_at, transaction.recorded_at),
        )
    switch(disabled, is_on=True)
    thousands = count()
    disabled.connection.set_progress_handler(lambda: next(thousands) < 0, 1000)
    started = recover(disabled)
    disabled.connection.set_progress_handler(None, 0)

    assert started is not None
    assert started.deliveries == 100_000
    assert next(thousands) < 40_000, "more than 400 steps of SQLite for each"
    assert len(claimed(disabled)) == 1
