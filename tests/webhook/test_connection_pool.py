"""What is kept, for whom, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from webhook.connection_pool import AGE_S, IDLE_S, ConnectionPool, PoolKey

if TYPE_CHECKING:
    from webhook.connection import Connection

ONE = PoolKey("https", "a.example", 443, "1")
OTHER_APP = PoolKey("https", "a.example", 443, "2")


class Kept:
    """A connection of which only what a pool asks is there."""

    def __init__(self) -> None:
        self.retires_at_s = 0.0
        self.idle_since_s = 0.0
        self.quiet = True
        self.is_closed = False

    def is_quiet(self) -> bool:
        return self.quiet

    def close(self) -> None:
        self.is_closed = True


class Pool:
    """A pool with a clock that stands still."""

    def __init__(self, *, kept: int = 100, by_one: int = 100, random_unit: float = 0.0) -> None:
        self.now_s = 1000.0
        self.pool = ConnectionPool(
            kept_connections=kept,
            kept_by_one=by_one,
            monotonic=lambda: self.now_s,
            random_unit=lambda: random_unit,
        )

    def put(self, key: PoolKey = ONE) -> Kept:
        made = Kept()
        self.pool.start_age(cast("Connection", made))
        self.pool.put(key, cast("Connection", made))
        return made

    def take(self, key: PoolKey = ONE) -> Kept | None:
        return cast("Kept | None", self.pool.take(key))


def test_the_connection_that_was_used_last_is_taken_first() -> None:
    pool = Pool()
    first, second = pool.put(), pool.put()

    assert [pool.take(), pool.take(), pool.take()] == [second, first, None]


def test_one_app_never_gets_the_connection_of_another() -> None:
    pool = Pool()
    pool.put(OTHER_APP)

    assert pool.take(ONE) is None


def test_one_that_is_not_quiet_is_closed_and_not_taken() -> None:
    pool = Pool()
    good, bad = pool.put(), pool.put()
    bad.quiet = False

    assert pool.take() is good
    assert bad.is_closed


@pytest.mark.parametrize(("idle_s", "is_kept"), [(IDLE_S - 0.001, True), (IDLE_S, False)])
def test_one_that_was_idle_for_a_minute_is_closed(idle_s: float, is_kept: bool) -> None:
    pool = Pool()
    kept = pool.put()
    pool.now_s += idle_s

    assert pool.take() is (kept if is_kept else None)
    assert kept.is_closed is not is_kept


def test_idle_ones_are_closed_though_nobody_asks_for_them() -> None:
    pool = Pool()
    old = pool.put()
    pool.now_s += IDLE_S / 2
    young = pool.put(OTHER_APP)
    pool.now_s += IDLE_S / 2
    pool.pool.close_idle()

    assert (old.is_closed, young.is_closed, len(pool.pool)) == (True, False, 1)


@pytest.mark.parametrize("random_unit", [0.0, 0.5, 1.0])
def test_one_that_is_in_use_again_and_again_is_closed_after_five_minutes_at_most(random_unit: float) -> None:
    pool = Pool(random_unit=random_unit)
    kept = pool.put()
    begun_s = pool.now_s
    while pool.take() is not None:
        pool.now_s += 1.0
        pool.pool.put(ONE, cast("Connection", kept))

    assert kept.is_closed
    assert pool.now_s - begun_s == pytest.approx(AGE_S * (1 - 0.2 * random_unit), abs=1.0)


def test_no_more_are_kept_than_a_process_may_and_the_one_longest_idle_goes() -> None:
    pool = Pool(kept=3)
    made = [pool.put(PoolKey("https", f"{number}.example", 443, "1")) for number in range(5)]

    assert [one.is_closed for one in made] == [True, True, False, False, False]
    assert len(pool.pool) == 3


def test_no_more_are_kept_of_one_app_than_it_may() -> None:
    pool = Pool(by_one=2)
    other = pool.put(OTHER_APP)
    made = [pool.put() for _ in range(4)]

    assert [one.is_closed for one in (other, *made)] == [False, True, True, False, False]


def test_what_is_kept_can_be_given_up_and_what_comes_after_is_kept_again() -> None:
    pool = Pool()
    given_up = pool.put()
    pool.pool.clear()
    kept = pool.put()

    assert given_up.is_closed
    assert pool.take() is kept


def test_a_closed_pool_keeps_nothing() -> None:
    pool = Pool()
    before = pool.put()
    pool.pool.close()
    after = pool.put()

    assert (before.is_closed, after.is_closed, len(pool.pool)) == (True, True, 0)
