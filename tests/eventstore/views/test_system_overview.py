"""A glance at the database: what it says is so at one moment."""

import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.common.clock import ManualClock, time_text
from eventstore.common.identifiers import FLEET_STREAM, installation_stream
from eventstore.common.uptime import Uptime
from eventstore.decisions.disable import DisableRequest, disable
from eventstore.events.catalogue import (
    BreakerClosed,
    BreakerOpened,
    DisableEvidence,
    DisablingFrozen,
    Event,
    InstallationWarned,
)
from eventstore.log.event_log import NewEvent
from eventstore.policies.clock_doubt import ClockPair, Doubt
from eventstore.policies.policy import BALANCED
from eventstore.queue.acknowledge import mark_dead, mark_missed, mark_retry
from eventstore.queue.claim import claim
from eventstore.queue.delivery import NewDelivery, QueuedDelivery
from eventstore.queue.enqueue import enqueue
from eventstore.queue.missed import recover_missed
from eventstore.queue.probes import enqueue_probe
from eventstore.queue.queries import find_delivery
from eventstore.unit_of_work import Store
from eventstore.views.system_overview import SystemOverview, read_system_overview
from eventstore.wall_clock.watch import write_clock_pair
from tests.eventstore.facts import INSTALLATION_ID, OTHER_INSTALLATION_ID, URL, failed, record, register


def signs(store: Store, clock: ManualClock) -> SystemOverview:
    return read_system_overview(store.connection, clock.now())


def queue(store: Store, *, ordering_key: str = "", installation_id: str = INSTALLATION_ID) -> QueuedDelivery:
    new = NewDelivery(installation_id, "issue.created", "{}", ordering_key=ordering_key)
    with store.transaction() as transaction:
        (delivery_id,) = enqueue(transaction.connection, [new], enqueued_at=transaction.recorded_at)
    found = find_delivery(store.connection, delivery_id)
    assert found is not None
    return found


def tell(store: Store, event: Event, stream: str = installation_stream(INSTALLATION_ID)) -> None:
    with store.transaction() as transaction:
        transaction.append(NewEvent(stream, event))


def in_seconds(clock: ManualClock, seconds: float) -> str:
    return time_text(clock.now() + timedelta(seconds=seconds))


@pytest.fixture(autouse=True)
def _two_installations(store: Store) -> None:
    register(store)
    register(store, installation_id=OTHER_INSTALLATION_ID, app_id=43, organization_id=18)


def test_an_empty_home_has_zeros_everywhere(store: Store, clock: ManualClock) -> None:
    assert signs(store, clock) == SystemOverview(
        last_position=6,
        deliveries={"waiting": 0, "missed": 0, "dead": 0},
        oldest_waiting_s=None,
        overdue_s=0.0,
        installations={"active": 2, "disabled": 0, "removed": 0},
        breakers={"open": 0, "half_open": 0, "recovering": 0},
        paused=0,
        warned={50: 0, 90: 0},
        mails={"requested": 0, "sent": 0, "failed": 0},
        is_frozen=False,
        is_clock_doubted=False,
    )


def test_deliveries_are_counted_by_state_and_aged_by_the_first_that_waits(store: Store, clock: ManualClock) -> None:
    missed, dead = queue(store), queue(store)
    clock.advance(seconds=10)
    queue(store)
    clock.advance(seconds=5)
    queue(store)
    with store.transaction() as transaction:
        assert mark_missed(transaction.connection, missed)
        assert mark_dead(transaction.connection, dead, last_error="500 server_error")
    clock.advance(seconds=2.5)
    found = signs(store, clock)

    assert found.deliveries == {"waiting": 2, "missed": 1, "dead": 1}
    assert found.oldest_waiting_s == 7.5
    assert found.overdue_s == 7.5


def test_a_test_delivery_is_nobody_s_age(store: Store, clock: ManualClock) -> None:
    with store.transaction() as transaction:
        enqueue_probe(
            transaction.connection, INSTALLATION_ID, event_name="test", data="{}", enqueued_at=transaction.recorded_at
        )
    clock.advance(seconds=10)
    found = signs(store, clock)

    assert (found.oldest_waiting_s, found.overdue_s) == (None, 0.0)


def test_what_waits_for_its_next_attempt_is_old_and_not_overdue(store: Store, clock: ManualClock) -> None:
    delivery = queue(store)
    with store.transaction() as transaction:
        mark_retry(transaction.connection, delivery, due_at=in_seconds(clock, 300), last_error="500 server_error")
    clock.advance(seconds=100)
    assert signs(store, clock).overdue_s == 0.0
    clock.advance(seconds=210)

    assert signs(store, clock).oldest_waiting_s == 310.0
    assert signs(store, clock).overdue_s == 10.0


def test_what_waits_behind_another_of_its_key_is_not_overdue(store: Store, clock: ManualClock) -> None:
    first = queue(store, ordering_key="incident:1")
    queue(store, ordering_key="incident:1")
    with store.transaction() as transaction:
        mark_retry(transaction.connection, first, due_at=in_seconds(clock, 300), last_error="500 server_error")
    clock.advance(seconds=100)

    assert signs(store, clock).overdue_s == 0.0


@pytest.mark.parametrize("open_s", [3600, 60], ids=["open", "half open"])
def test_what_waits_behind_a_breaker_is_not_overdue_and_that_of_others_is(
    store: Store, clock: ManualClock, open_s: float
) -> None:
    queue(store)
    tell(store, BreakerOpened(INSTALLATION_ID, in_seconds(clock, open_s), "on purpose"))
    clock.advance(seconds=100)
    queue(store, installation_id=OTHER_INSTALLATION_ID)
    clock.advance(seconds=5)

    assert signs(store, clock).overdue_s == 5.0


def test_what_waits_in_a_pause_that_was_asked_for_is_not_overdue(store: Store, clock: ManualClock) -> None:
    queue(store)
    record(store, failed("rate_limited", 429, hold_until=in_seconds(clock, 60)))
    clock.advance(seconds=30)
    assert (signs(store, clock).overdue_s, signs(store, clock).paused) == (0.0, 1)
    clock.advance(seconds=31)

    assert (signs(store, clock).overdue_s, signs(store, clock).paused) == (61.0, 0)


def test_what_is_recovered_at_its_pace_is_not_overdue(store: Store, clock: ManualClock) -> None:
    delivery = queue(store)
    with store.transaction() as transaction:
        mark_missed(transaction.connection, delivery)
        recover_missed(transaction.connection, [(in_seconds(clock, 0), delivery.sequence)])
    clock.advance(seconds=100)

    assert signs(store, clock).deliveries["waiting"] == 1
    assert signs(store, clock).overdue_s == 0.0


def test_breakers_are_counted_by_how_they_stand(store: Store, clock: ManualClock) -> None:
    tell(store, BreakerOpened(INSTALLATION_ID, in_seconds(clock, 60), "on purpose"))
    states = [signs(store, clock).breakers]
    clock.advance(seconds=61)
    states.append(signs(store, clock).breakers)
    tell(store, BreakerClosed(INSTALLATION_ID, in_seconds(clock, 1200)))
    states.append(signs(store, clock).breakers)
    clock.advance(seconds=1201)
    states.append(signs(store, clock).breakers)

    assert [[name for name, count in state.items() if count] for state in states] == [
        ["open"],
        ["half_open"],
        ["recovering"],
        [],
    ]


def test_a_disabled_one_is_counted_as_that_with_the_mails_that_are_owed_and_nothing_else(
    store: Store, clock: ManualClock
) -> None:
    tell(store, BreakerOpened(INSTALLATION_ID, in_seconds(clock, 60), "on purpose"))
    with store.transaction() as transaction:
        disable(transaction, DisableRequest(INSTALLATION_ID, "person:ada", "on purpose", BALANCED))
    found = signs(store, clock)

    assert found.installations == {"active": 1, "disabled": 1, "removed": 0}
    assert found.mails["requested"] == 2
    assert found.breakers["open"] == 0


def test_who_was_warned_is_counted_by_level(store: Store, clock: ManualClock) -> None:
    evidence = DisableEvidence("balanced", 1, "no-success", "", (), 0)
    tell(store, InstallationWarned(INSTALLATION_ID, 42, 17, URL, 90, 0.9, evidence))

    assert signs(store, clock).warned == {50: 0, 90: 1}


def test_a_freeze_is_said(store: Store, clock: ManualClock) -> None:
    tell(store, DisablingFrozen(active=10, failing=6, newly_failing=6), FLEET_STREAM)

    assert signs(store, clock).is_frozen


def test_it_leaves_no_transaction_behind(store: Store, clock: ManualClock) -> None:
    signs(store, clock)

    assert not store.connection.in_transaction


@settings(max_examples=30)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["", "a", "b"]), st.integers(-100, 100), st.sampled_from([0, 1])), max_size=12
    )
)
def test_overdue_is_the_age_of_what_would_be_claimed_first(rows: list[tuple[str, int, int]]) -> None:

    clock = ManualClock(datetime(2025, 2, 3, 12, tzinfo=UTC))
    ids = (INSTALLATION_ID, OTHER_INSTALLATION_ID)
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "events.db", clock) as store:
        for number, one in enumerate(ids):
            register(store, installation_id=one, app_id=42 + number, organization_id=17 + number)
        for key, due_s, number in rows:
            delivery = queue(store, ordering_key=key, installation_id=ids[number])
            with store.transaction() as transaction:
                mark_retry(transaction.connection, delivery, due_at=in_seconds(clock, due_s), last_error="")
        now = time_text(clock.now())
        claims = claim(store.connection, dict.fromkeys(ids, 1000), due_at=now)
        due = [delivery.due_at for one in claims.values() for delivery in one.deliveries]

        assert in_seconds(clock, -signs(store, clock).overdue_s) == min(due, default=now)


def test_a_clock_that_is_doubted_is_seen_until_it_is_believed_again(store: Store, clock: ManualClock) -> None:
    doubted = ClockPair(clock.now(), Uptime("boot", 10.0), Doubt(ahead_s=86_401.0, ran_s=0.0))
    write_clock_pair(store.connection, doubted)
    assert signs(store, clock).is_clock_doubted

    write_clock_pair(store.connection, replace(doubted, doubt=None))
    assert not signs(store, clock).is_clock_doubted
