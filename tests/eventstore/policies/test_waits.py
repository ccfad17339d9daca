from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.common.clock import parse_time, time_text
from eventstore.log.change_signal import change_version
from eventstore.policies.waits import LONGEST_PAUSE_S, QueuedWait, WaitRule, bounded_waits, is_held
from eventstore.projections.app_secrets import LONGEST_OVERLAP, AppSecrets, read_secrets, write_secrets
from eventstore.queue.claim import claim
from eventstore.queue.delivery import NewDelivery
from eventstore.queue.enqueue import enqueue
from eventstore.unit_of_work import Store
from eventstore.wall_clock.bounded_moments import bound_kept, bound_waits
from tests.eventstore.facts import INSTALLATION_ID, register

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULE = WaitRule((5.0, 300.0, 36_000.0), 0.1, recover_per_s=10.0)
FAR = timedelta(days=3652)

delays = st.timedeltas(timedelta(0), timedelta(days=5000))


def wait(ahead: timedelta, attempts: int = 0, last_error: str = "", *, is_recovery: int = 0, at: int = 1) -> QueuedWait:
    return QueuedWait(time_text(NOW + ahead), attempts, is_recovery, last_error, at)


def left_s(found: list[tuple[str, int]]) -> list[float]:
    return [(parse_time(moment) - NOW).total_seconds() for moment, _ in found]


@given(st.floats(0, 86_400), delays)
def test_a_moment_is_waited_for_when_its_rule_can_have_set_it_and_else_it_is_over(
    longest_s: float, ahead: timedelta
) -> None:
    held = is_held(NOW + ahead, NOW, longest_s)

    assert held is (timedelta(0) < ahead <= timedelta(seconds=longest_s + 60))


def test_what_is_past_or_was_never_set_holds_nothing() -> None:
    assert not is_held(None, NOW, 3600)
    assert not is_held(NOW, NOW, 3600)
    assert not is_held(NOW - timedelta(seconds=1), NOW, 3600)


@given(delays, st.integers(0, 9), st.sampled_from(["", "500 server_error", "read_timeout"]), st.booleans())
def test_no_delivery_waits_for_longer_than_its_rule_allows_and_once_bounded_it_stays(
    ahead: timedelta, attempts: int, last_error: str, is_recovery: bool
) -> None:
    one = wait(ahead, attempts, last_error, is_recovery=int(is_recovery))
    found = bounded_waits(RULE, [one], NOW)
    due_at = found[0][0] if found else one.due_at
    again = QueuedWait(due_at, attempts, int(is_recovery), last_error, 1)

    assert not RULE.is_astray(again, NOW)
    assert bounded_waits(RULE, [again], NOW) == []


@pytest.mark.parametrize("ahead", [timedelta(seconds=2), timedelta(hours=1), FAR])
def test_a_first_attempt_waits_for_nothing(ahead: timedelta) -> None:
    assert left_s(bounded_waits(RULE, [wait(ahead)], NOW)) == [0.0]


@pytest.mark.parametrize(("attempts", "expected_s"), [(1, 5.5), (2, 330.0), (3, 39_600.0), (8, 39_600.0)])
def test_a_retry_waits_from_now_on_as_long_as_the_schedule_says(attempts: int, expected_s: float) -> None:
    assert left_s(bounded_waits(RULE, [wait(FAR, attempts, "500 server_error")], NOW)) == [pytest.approx(expected_s)]


def test_one_that_was_answered_may_have_been_asked_to_wait_for_a_day() -> None:
    nearly = timedelta(seconds=LONGEST_PAUSE_S)

    assert not RULE.is_astray(wait(nearly, 1, "503 unavailable"), NOW)
    assert RULE.is_astray(wait(nearly, 1, "read_timeout"), NOW)
    assert RULE.is_astray(wait(nearly + timedelta(minutes=1), 1, "503 unavailable"), NOW)


@given(st.integers(1, 50), st.floats(0.01, 100), delays)
def test_a_recovery_goes_on_at_its_pace_and_its_last_is_count_by_pace_away(
    count: int, per_s: float, ahead: timedelta
) -> None:
    rule = WaitRule(recover_per_s=per_s)
    waits = [wait(ahead + timedelta(seconds=number / per_s), is_recovery=1, at=number) for number in range(count)]
    moments = left_s(bounded_waits(rule, waits, NOW)) or [ahead.total_seconds() + n / per_s for n in range(count)]

    assert max(moments) <= (count + 1) / per_s + 1.01
    assert [b - a for a, b in pairwise(moments)] == pytest.approx([1 / per_s] * (count - 1), abs=1e-5)


def test_a_recovery_that_was_started_at_another_pace_keeps_it() -> None:
    waits = [wait(timedelta(seconds=60 * number), is_recovery=1, at=number) for number in range(1, 10)]

    assert bounded_waits(RULE, waits, NOW) == []


def test_an_empty_schedule_has_a_retry_wait_for_nothing() -> None:
    assert left_s(bounded_waits(WaitRule(), [wait(FAR, 2, "read_timeout")], NOW)) == [0.0]


@pytest.fixture
def queued(store: Store) -> Store:
    """Queue four while the clock is ten years ahead: one is tried already, and one is behind another of its key."""
    register(store)
    far = time_text(parse_time("2036-01-01"))
    new = [NewDelivery(INSTALLATION_ID, "issue.created", "{}", ordering_key=key) for key in ("", "", "k", "k")]
    with store.transaction() as transaction:
        enqueue(transaction.connection, new, enqueued_at=far)
        transaction.connection.execute(
            "UPDATE queue SET attempts = 1, last_error = '500 server_error' WHERE sequence = 2"
        )
    return store


def test_deliveries_are_put_right_where_they_stand(queued: Store) -> None:
    attention = change_version(queued.connection)
    with queued.transaction() as transaction:
        count = bound_waits(transaction, [INSTALLATION_ID], RULE)
        now = transaction.recorded_at
    with queued.transaction() as transaction:
        again = bound_waits(transaction, [INSTALLATION_ID], RULE)

    retry = time_text(parse_time(now) + timedelta(seconds=5.5))
    assert [row[0] for row in queued.connection.execute("SELECT due_at FROM queue ORDER BY sequence")] == [
        now, retry, now, now,
    ]  # fmt: skip
    assert (count, again) == (4, 0)
    assert change_version(queued.connection) == attention + 1


def test_a_claim_says_what_waits_next(queued: Store) -> None:
    with queued.transaction() as transaction:
        bound_waits(transaction, [INSTALLATION_ID], RULE)
        now = transaction.recorded_at
    found = claim(queued.connection, {INSTALLATION_ID: 8}, due_at=now)[INSTALLATION_ID]

    assert [one.sequence for one in found.deliveries] == [1, 3]
    assert found.next_wait == QueuedWait(str(found.next_due_at), 1, 0, "500 server_error", 2)


def test_a_key_and_an_overlap_of_another_clock_last_no_longer_than_theirs(store: Store) -> None:
    register(store)
    near, far = time_text(NOW + timedelta(days=5)), time_text(NOW + FAR)
    rows = [("i", "key", "d-1", far), ("i", "other", "d-2", time_text(NOW - timedelta(hours=1)))]
    store.connection.executemany("INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, NULL)", rows)
    for app_id, until in ((1, far), (2, near)):
        write_secrets(store.connection, app_id, AppSecrets("new", previous_secret="old", previous_until=until))

    assert bound_kept(store.connection, NOW) == 2
    assert bound_kept(store.connection, NOW) == 0
    untils = [read_secrets(store.connection, app_id) for app_id in (1, 2)]
    assert [one.previous_until for one in untils if one] == [time_text(NOW + LONGEST_OVERLAP), near]
