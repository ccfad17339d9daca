"""What a clock that was ahead leaves in memory and in tables holds nothing back when it is right again."""

from datetime import UTC, datetime, timedelta

import pytest

from eventstore.common.clock import time_text
from eventstore.decisions.digest import DigestRule, MailPace
from eventstore.decisions.outage_watch import read_failing_share
from eventstore.policies.breaker import Breaker, BreakerRule
from eventstore.policies.outage_rule import OutageRule
from eventstore.projections.outbox import PendingTo, read_pending_mails, read_pending_recipients
from eventstore.unit_of_work import Store

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AHEAD = timedelta(days=3652)


def test_mails_that_were_counted_ahead_of_now_hold_no_recipient_up() -> None:
    pace = MailPace(DigestRule(mails_max=1, window_s=60.0))
    pending = [PendingTo("ada@x", mails=1, gatherable=1)]
    pace.note("ada@x", NOW + AHEAD)
    while_ahead = pace.choose(pending, NOW + AHEAD, is_last_chance=False)

    assert while_ahead is None
    assert pace.choose(pending, NOW, is_last_chance=False) == (pending[0], False)


def test_outcomes_of_a_clock_that_was_ahead_leave_the_breakers_window() -> None:
    breaker = Breaker(BreakerRule(window_s=600.0, failures_min=3, failure_share_min=0.5, streak_min=100))
    for _ in range(2):
        assert breaker.note(NOW + AHEAD, is_success=False) is None

    assert breaker.note(NOW, is_success=False) is None
    assert breaker.note(NOW, is_success=False) is None
    assert breaker.note(NOW, is_success=False) is not None


@pytest.mark.parametrize("seconds", [3600.0, AHEAD.total_seconds()])
def test_a_breaker_that_is_open_for_longer_than_its_rule_allows_is_half_open(seconds: float) -> None:
    rule = BreakerRule(open_s=300.0, open_max_s=900.0, recovery_s=1200.0)
    breaker = Breaker(rule, open_until=NOW + timedelta(seconds=seconds))

    assert not breaker.is_open(NOW)
    assert breaker.is_half_open(NOW)
    assert Breaker(rule, open_until=NOW + timedelta(seconds=900)).is_open(NOW)


def test_stricter_limits_of_a_clock_that_was_ahead_are_over() -> None:
    breaker = Breaker(BreakerRule(streak_min=20, recovery_factor=10), strict_until=NOW + AHEAD)

    assert [breaker.note(NOW, is_success=False) for _ in range(2)] == [None, None]


def test_failures_that_began_ahead_of_now_are_not_of_late(store: Store) -> None:
    rows = [("i", time_text(NOW + AHEAD)), ("j", time_text(NOW))]
    store.connection.executemany("INSERT INTO at_work VALUES (?, ?)", rows)
    state = read_failing_share(store.connection, OutageRule(window_s=300.0), NOW)

    assert (state.failing, state.newly_failing) == (2, 1)


@pytest.mark.parametrize(
    ("due_at", "attempts", "is_due"),
    [
        (NOW + AHEAD, 0, True),
        (NOW + timedelta(seconds=30), 0, True),
        (NOW + timedelta(seconds=30), 1, False),
        (NOW + AHEAD, 1, True),
    ],
)
def test_a_mail_waits_for_its_retry_and_for_nothing_else(
    store: Store, due_at: datetime, attempts: int, *, is_due: bool
) -> None:
    store.connection.execute(
        "INSERT INTO outbox (mail_id, message_id, installation_id, recipient, kind, about_position, state, attempts,"
        " requested_at, due_at) VALUES ('m', 'm', 'i', 'a', 'k', 1, 'requested', ?, ?, ?)",
        (attempts, time_text(due_at), time_text(due_at)),
    )
    now, latest = time_text(NOW), time_text(NOW + timedelta(seconds=60))

    assert bool(read_pending_mails(store.connection, due_at=now, latest=latest)) is is_due
    assert bool(read_pending_recipients(store.connection, due_at=now, latest=latest)) is is_due
