"""A clock that was wrong and is right again, in a running daemon and over a restart: nothing is stranded."""

from datetime import timedelta
from typing import Any

import pytest

from actors.delivery.delivery_gate import GateRule
from eventstore.common.clock import time_text
from eventstore.policies.breaker import BreakerRule
from eventstore.policies.waits import WaitRule
from eventstore.queue.delivery import NewDelivery
from eventstore.queue.enqueue import enqueue
from tests.actors.stage import EVENT_NAME, ONE, SERVER_ERROR, START, TWO, Receiver, Stage, Works, outcome
from webhook import ErrorClass

AHEAD_DAYS = 3652
RULE = WaitRule((5.0, 300.0), recover_per_s=10.0)
BREAKER = GateRule(breaker=BreakerRule(streak_min=2, open_s=300.0, open_max_s=3600.0))


def works(stage: Stage, answer: Any, *, gate: GateRule | None = None) -> Works:
    """Start a daemon whose endpoints answer so, while the clock is ten years ahead."""
    stage.register(ONE, TWO)
    stage.clock.advance(days=AHEAD_DAYS)
    return Works(stage, receiver=Receiver(answer), gate=gate, limits={"wait_rule": RULE}, is_warned=False)


def set_right(stage: Stage, at_work: Works, *, is_restart: bool) -> None:
    stage.clock.advance(days=-AHEAD_DAYS)
    at_work.receiver.answer = outcome()
    if is_restart:
        at_work.restart()


@pytest.fixture(params=[False, True], ids=["running", "restarted"])
def is_restart(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_a_retry_waits_no_longer_than_its_schedule_says(stage: Stage, *, is_restart: bool) -> None:
    at_work = works(stage, SERVER_ERROR)
    stage.enqueue(ONE)
    at_work.look_around()
    set_right(stage, at_work, is_restart=is_restart)
    at_once = at_work.look_around()
    at_work.look_around(after_s=1)

    assert at_once == 0
    assert at_work.look_around(after_s=5) == 1
    assert stage.rows("SELECT count(*) FROM queue") == [(0,)]


def test_a_first_attempt_is_due_whatever_the_clock_says(stage: Stage, *, is_restart: bool) -> None:
    at_work = works(stage, outcome())
    stage.enqueue(ONE)
    set_right(stage, at_work, is_restart=is_restart)
    at_work.look_around()
    at_work.look_around()

    assert len(at_work.receiver.requests) == 1


@pytest.mark.parametrize("ahead_s", [2.0, 3600.0, 10 * 365 * 86_400.0])
def test_what_a_producer_queues_whose_clock_is_ahead_is_sent_at_once(stage: Stage, ahead_s: float) -> None:
    stage.register(ONE)
    at_work = Works(stage, limits={"wait_rule": RULE})
    at_work.look_around()
    with stage.store.transaction() as transaction:
        later = time_text(stage.clock.now() + timedelta(seconds=ahead_s))
        enqueue(transaction.connection, [NewDelivery(ONE, EVENT_NAME, "{}")], enqueued_at=later)
    at_work.look_around()

    assert at_work.look_around() + len(at_work.receiver.requests) >= 1
    assert stage.rows("SELECT count(*) FROM queue") == [(0,)]


def test_a_pause_of_the_other_clock_is_over(stage: Stage, *, is_restart: bool) -> None:
    at_work = works(stage, outcome(ErrorClass.UNAVAILABLE, 503, retry_after_s=3600.0))
    stage.enqueue(ONE)
    at_work.look_around()
    set_right(stage, at_work, is_restart=is_restart)
    stage.enqueue(ONE)
    at_work.look_around()
    at_work.look_around()

    assert stage.rows("SELECT hold_until FROM installations WHERE installation_id = '" + ONE + "'") == [
        (time_text(START + timedelta(days=AHEAD_DAYS, seconds=3600)),)
    ]
    assert len(at_work.receiver.requests) == 2  # the new one; the retry waits for its schedule


def test_a_pause_that_is_asked_for_now_takes_the_place_of_one_of_the_other_clock(
    stage: Stage, *, is_restart: bool
) -> None:
    at_work = works(stage, outcome(ErrorClass.UNAVAILABLE, 503, retry_after_s=60.0))
    stage.enqueue(ONE)
    at_work.look_around()
    set_right(stage, at_work, is_restart=is_restart)
    at_work.receiver.answer = outcome(ErrorClass.UNAVAILABLE, 503, retry_after_s=60.0)
    stage.enqueue(ONE)
    at_work.look_around()
    at_work.look_around()
    stage.enqueue(ONE)
    held = at_work.look_around(after_s=30)

    assert held == 0
    assert stage.rows("SELECT hold_until FROM installations WHERE installation_id = '" + ONE + "'") == [
        (time_text(START + timedelta(seconds=60)),)
    ]


def test_an_open_breaker_of_the_other_clock_lets_one_through(stage: Stage, *, is_restart: bool) -> None:
    at_work = works(stage, SERVER_ERROR, gate=BREAKER)
    stage.enqueue(ONE, 2)
    at_work.look_around()
    opened = len(stage.events("breaker.opened"))
    set_right(stage, at_work, is_restart=is_restart)
    stage.enqueue(ONE)
    at_work.look_around()
    at_work.look_around()

    assert opened == 1
    assert len(stage.events("breaker.closed")) == 1


def test_days_of_the_other_clock_decide_nothing_today(stage: Stage, *, is_restart: bool) -> None:
    at_work = works(stage, SERVER_ERROR)
    stage.enqueue(ONE, 3)
    at_work.look_around()
    set_right(stage, at_work, is_restart=is_restart)
    stage.enqueue(ONE)
    at_work.look_around()
    at_work.look_around()

    assert stage.rows("SELECT day, success, server_error FROM buffer ORDER BY day") == [
        ("2025-02-03", 1, 0),
        ("2035-02-03", 0, 3),
    ]
    assert stage.events("installation.disabled") == []
