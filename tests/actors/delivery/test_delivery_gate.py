from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from actors.delivery.delivery_gate import DeliveryGate, GateRule
from eventstore.common.clock import parse_time, time_text
from eventstore.events.catalogue import (
    AttemptEvent,
    BreakerClosed,
    BreakerOpened,
    DeliveryBlocked,
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryTimedOut,
)
from eventstore.policies.breaker import BreakerRule
from eventstore.projections.registry import Installation
from tests.actors.stage import EVENT_NAME, ONE, START, URL

BREAKER = BreakerRule(failures_min=1000, streak_min=3, open_s=300, open_max_s=3600, recovery_s=1200)
RULE = GateRule(breaker=BREAKER)
ROW = Installation(ONE, 1111, 1111, "active", "2025-02-01T00:00:00.000000Z", None)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def moment(seconds: float) -> str:
    return time_text(at(seconds))


def event(event_class: type[AttemptEvent] = DeliveryFailed, **fields: Any) -> AttemptEvent:
    return event_class("d", EVENT_NAME, 1111, 1111, 1, URL, **fields)


FAILED = event(error_class="server_error")
SUCCEEDED = event(DeliverySucceeded)


def gate(
    rule: GateRule = RULE, row: Installation = ROW, outcomes: Iterable[tuple[datetime, bool]] = ()
) -> DeliveryGate:
    return DeliveryGate(rule, row, outcomes)


def open_gate(rule: GateRule = RULE, **row: Any) -> DeliveryGate:
    """Return a gate whose breaker is open for 300 seconds."""
    return gate(rule, replace(ROW, breaker_open_until=moment(300), **row))


def fail(one: DeliveryGate, count: int = 3, *, seconds: float = 0.0) -> list[Any]:
    return [one.record(number, FAILED, at(seconds)) for number in range(count)]


def test_a_new_gate_lets_everything_through() -> None:
    one = gate()

    assert {one.acquire(number, START) for number in range(100)} == {None}
    assert one.closed_until(START) is None
    assert not one.is_suspect


def test_the_failure_that_opens_it_gives_the_event() -> None:
    changes = fail(gate())

    assert changes == [
        None,
        None,
        BreakerOpened(ONE, moment(300), "3 failures in a row (the limit is 3)", webhook_url=URL),
    ]


def test_time_outs_open_it_too() -> None:
    one = gate()
    changes = [one.record(number, event(DeliveryTimedOut, error_class="dns"), START) for number in range(3)]

    assert isinstance(changes[-1], BreakerOpened)


def test_open_it_lets_nothing_through_and_says_until_when() -> None:
    one = gate()
    fail(one)

    assert one.is_suspect
    assert one.acquire(9, at(299.999)) == moment(300)
    assert one.closed_until(at(299.999)) == moment(300)


def test_half_open_it_lets_one_through_and_the_others_ask_again() -> None:
    one = open_gate()

    assert one.acquire(1, at(300)) is None
    assert [one.acquire(number, at(300.5)) for number in (2, 3)] == [moment(301.5)] * 2


def test_a_trial_that_succeeds_closes_it() -> None:
    one = open_gate()
    one.acquire(1, at(300))
    change = one.record(1, SUCCEEDED, at(301))

    assert change == BreakerClosed(ONE, moment(1501))
    assert not one.is_suspect
    assert {one.acquire(number, at(301)) for number in range(2, 50)} == {None}


def test_a_trial_that_fails_opens_it_again_for_longer() -> None:
    one = open_gate()
    one.acquire(1, at(300))
    change = one.record(1, FAILED, at(301))

    assert change == BreakerOpened(
        ONE, moment(901), "the attempt that was let through failed", failed_trials=1, webhook_url=URL
    )
    assert one.acquire(2, at(900)) == moment(901)


def test_failed_trials_are_counted_on_after_a_restart() -> None:
    one = open_gate(breaker_failed_trials=2)
    one.acquire(1, at(300))
    change = one.record(1, FAILED, at(300))

    assert isinstance(change, BreakerOpened)
    assert (change.until, change.failed_trials) == (moment(300 + 2400), 3)


def test_after_a_failed_trial_there_is_another() -> None:
    one = open_gate()
    one.acquire(1, at(300))
    one.record(1, FAILED, at(300))

    assert one.acquire(2, at(900)) is None
    assert one.acquire(3, at(900)) is not None


@pytest.mark.parametrize("outcome", [FAILED, SUCCEEDED], ids=["failed", "succeeded"])
@pytest.mark.parametrize("seconds", [10, 310])
def test_what_was_in_flight_when_it_opened_changes_nothing(outcome: AttemptEvent, seconds: float) -> None:
    one = open_gate()
    change = one.record(77, outcome, at(seconds))

    assert change is None
    assert one.is_suspect
    assert one.acquire(1, at(310)) is None


def test_what_was_in_flight_does_not_end_another_s_trial() -> None:
    one = open_gate()
    one.acquire(1, at(300))
    one.record(77, SUCCEEDED, at(301))

    assert one.acquire(2, at(301)) is not None
    assert isinstance(one.record(1, SUCCEEDED, at(302)), BreakerClosed)


NOTHING = [
    event(error_class="internal"),
    event(error_class="rate_limited"),
    event(DeliveryBlocked, error_class="blocked"),
]


@pytest.mark.parametrize("nothing", NOTHING, ids=lambda one: one.error_class)
def test_what_says_nothing_neither_opens_it_nor_ends_the_row(nothing: AttemptEvent) -> None:
    one = gate()
    changes = [one.record(number, nothing, START) for number in range(50)]
    fail(one, 2)
    one.record(8, nothing, START)

    assert set(changes) == {None}
    assert isinstance(one.record(9, FAILED, START), BreakerOpened)


@pytest.mark.parametrize("nothing", NOTHING, ids=lambda one: one.error_class)
def test_a_trial_that_says_nothing_makes_room_for_another(nothing: AttemptEvent) -> None:
    one = open_gate()
    one.acquire(1, at(300))
    change = one.record(1, nothing, at(300))

    assert change is None
    assert one.acquire(2, at(300)) is None


def test_a_trial_that_comes_to_nothing_makes_room_for_another() -> None:
    one = open_gate()
    one.acquire(1, at(300))
    one.release(7)
    still = one.acquire(2, at(300))
    one.release(1)

    assert still is not None
    assert one.acquire(2, at(300)) is None


def test_a_dry_run_says_that_it_would_open_and_holds_nothing() -> None:
    one = gate(replace(RULE, is_dry_run=True))
    changes = fail(one, 6)

    assert [change for change in changes if change] == [
        BreakerOpened(ONE, moment(300), "3 failures in a row (the limit is 3)", is_dry_run=True, webhook_url=URL)
    ] * 2
    assert not one.is_suspect
    assert one.acquire(1, START) is None


@pytest.mark.parametrize("seconds", [0, 299, 301])
def test_a_dry_run_holds_nothing_that_an_earlier_daemon_has_opened(seconds: float) -> None:
    one = open_gate(replace(RULE, is_dry_run=True))

    assert [one.acquire(number, at(seconds)) for number in range(5)] == [None] * 5
    assert all(change is None or change.is_dry_run for change in fail(one, 9, seconds=seconds))


def test_without_a_breaker_nothing_opens() -> None:
    one = open_gate(GateRule())

    assert set(fail(one, 100)) == {None}
    assert one.acquire(1, START) is None


def test_a_gate_made_anew_is_open_as_the_one_before_it() -> None:
    one = open_gate()

    assert one.is_suspect
    assert one.acquire(1, at(299)) == moment(300)


def test_a_gate_made_anew_after_the_wait_is_half_open() -> None:
    one = open_gate()

    assert one.acquire(1, at(5000)) is None
    assert one.acquire(2, at(5000)) is not None


@pytest.mark.parametrize(("seconds", "is_opened"), [(1199, True), (1200, False)])
def test_a_gate_made_anew_is_strict_for_as_long_as_the_one_before_it(seconds: float, is_opened: bool) -> None:
    rule = GateRule(breaker=replace(BREAKER, streak_min=20))
    one = gate(rule, replace(ROW, breaker_strict_until=moment(1200)))
    changes = fail(one, 2, seconds=seconds)

    assert (changes[-1] is not None) is is_opened


def test_a_gate_made_anew_goes_on_counting() -> None:
    one = gate(outcomes=[(at(-20), False), (at(-10), False)])

    assert isinstance(one.record(1, FAILED, START), BreakerOpened)


def test_a_pause_that_was_asked_for_holds_everything_until_its_end() -> None:
    one = gate()
    one.record(1, event(error_class="rate_limited", hold_until=moment(60)), START)

    assert one.acquire(2, at(59.999)) == moment(60)
    assert one.acquire(2, at(60)) is None
    assert not one.is_suspect


def test_a_pause_is_known_to_a_gate_made_anew() -> None:
    assert gate(row=replace(ROW, hold_until=moment(60))).acquire(1, at(59)) == moment(60)


def test_of_two_pauses_the_longer_one_counts() -> None:
    one = gate()
    one.record(1, event(error_class="rate_limited", hold_until=moment(3600)), START)
    one.record(2, event(error_class="unavailable", hold_until=moment(5)), START)

    assert one.closed_until(at(6)) == moment(3600)


def test_of_pause_and_breaker_the_longer_one_counts() -> None:
    assert open_gate(hold_until=moment(60)).closed_until(START) == moment(300)
    assert open_gate(hold_until=moment(600)).closed_until(START) == moment(600)


def test_a_rate_limit_says_when_there_is_room_again() -> None:
    one = gate(GateRule(rate_per_s=2.0, rate_burst=3))

    assert [one.acquire(number, START) for number in range(4)] == [None, None, None, moment(0.5)]
    assert one.acquire(3, at(0.5)) is None


def test_one_gate_s_limit_does_not_slow_another() -> None:
    rule = GateRule(rate_per_s=1.0)
    one, other = gate(rule), gate(rule)
    one.acquire(1, START)

    assert one.acquire(2, START) is not None
    assert other.acquire(3, START) is None


def test_who_waits_for_the_breaker_uses_up_no_rate() -> None:
    one = open_gate(GateRule(breaker=BREAKER, rate_per_s=0.001))
    for _ in range(10):
        one.acquire(1, START)

    assert one.acquire(1, at(300)) is None


def test_who_waits_for_the_rate_is_not_on_trial() -> None:
    one = gate(GateRule(breaker=BREAKER, rate_per_s=0.01), replace(ROW, breaker_open_until=moment(50)))
    one._rate.take(START)
    waits = one.acquire(1, at(60))

    assert waits == moment(100)
    assert one.acquire(2, at(100)) is None
    assert isinstance(one.record(2, SUCCEEDED, parse_time(moment(101))), BreakerClosed)
