import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from actors.delivery.concurrency_limiter import ConcurrencyLimiter, LimiterWatch
from actors.runtime.manual_pool import ManualPool
from actors.runtime.thread_pool import TurnPool
from eventstore.queue.delivery import QueuedDelivery
from tests.actors.stage import READ_TIMEOUT, outcome
from webhook import Outcome


def answered(after_ms: float) -> Outcome:
    return outcome(answered_after_ms=after_ms)


AT_ONCE, SLOWLY = answered(0.0), answered(20.0)


class Road:
    """A limiter on a pool that is cranked by hand; `made` are the numbers of the attempts that were made."""

    def __init__(self, *outcomes: Outcome, pool: Any = None) -> None:
        self.pool = pool or ManualPool()
        self.made: list[int] = []
        self.meanwhile: dict[int, Callable[[], object]] = {}
        self._outcomes = list(outcomes)
        self.clock_s = 1000.0
        self.cpu_s = 0.0
        self.slept_s: list[float] = []
        self.began_s: list[float] = []
        self.asking_s = 0.0
        self.while_sleeping: Callable[[], object] = lambda: None
        self.watch = LimiterWatch(lambda: self.clock_s, cpu_s=lambda: self.cpu_s, sleep=self._sleep)
        self.limiter = ConcurrencyLimiter(self.pool, self.watch)

    def add(self, *numbers: int) -> None:
        for number in numbers:
            self.limiter.add(_delivery(number), partial(self._make, number))

    def take_back(self) -> list[int]:
        return [delivery.sequence for delivery in self.limiter.take_back()]

    @property
    def distances_s(self) -> list[float]:
        """Seconds from the beginning of each attempt to that of the next."""
        return [after - before for before, after in pairwise(self.began_s)]

    def have_another_at_work(self) -> None:
        """Start an attempt to another installation."""
        pool = ManualPool()
        ConcurrencyLimiter(pool, self.watch).add(_delivery(0), lambda: AT_ONCE)
        pool.run_all()

    def _sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.clock_s += seconds
        self.while_sleeping()

    def _make(self, number: int) -> Outcome:
        self.made.append(number)
        self.began_s.append(self.clock_s)
        self.cpu_s += self.asking_s
        self.clock_s += self.asking_s
        self.meanwhile.get(number, lambda: None)()
        return self._outcomes.pop(0) if self._outcomes else AT_ONCE


def _delivery(number: int) -> QueuedDelivery:
    return QueuedDelivery(number, f"{number}", "i", "a.b", "", "waiting", 0, "", "", "", None, "{}")


def test_an_endpoint_that_answers_at_once_is_asked_by_one_thread_in_order() -> None:
    road = Road()
    road.add(1, 2, 3, 4)

    assert road.pool.queued_tasks == 1
    assert road.pool.run_one()
    assert road.made == [1, 2, 3, 4]
    assert road.pool.queued_tasks == 0


def test_the_thread_goes_home_and_the_next_attempt_gets_one_again() -> None:
    road = Road()
    road.add(1)
    road.pool.run_all()
    road.add(2)
    road.pool.run_all()

    assert road.made == [1, 2]


def test_an_endpoint_that_takes_longer_is_asked_by_as_many_threads_as_have_something_to_ask() -> None:
    road = Road(SLOWLY)
    road.meanwhile[1] = lambda: road.add(2, 3, 4)
    waiting: list[int] = []
    road.meanwhile[2] = lambda: waiting.append(road.pool.queued_tasks)
    road.add(1)
    road.pool.run_one()

    assert waiting == [2]  # the first thread goes on with the second attempt


def test_the_less_an_endpoint_takes_the_fewer_threads_ask_it() -> None:
    road = Road(answered(3.0))
    road.meanwhile[1] = lambda: road.add(*range(2, 20))
    waiting: list[int] = []
    road.meanwhile[2] = lambda: waiting.append(road.pool.queued_tasks)
    road.add(1)
    road.pool.run_one()

    assert waiting == [3]


def test_what_comes_to_a_slow_endpoint_begins_at_once() -> None:
    road = Road(SLOWLY)
    road.add(1)
    road.pool.run_all()
    road.add(2, 3, 4)

    assert road.pool.queued_tasks == 3


def test_once_it_has_been_quick_for_a_while_one_thread_is_enough() -> None:
    road = Road(SLOWLY)
    road.add(*range(30))
    road.pool.run_all()
    road.add(30, 31)

    assert road.pool.queued_tasks == 1


def test_of_threads_that_are_too_many_some_go_home() -> None:
    road = Road(answered(3.0))
    road.add(1)
    road.pool.run_all()
    road.add(2, 3, 4, 5)  # a thread for each
    road.pool.run_one()

    assert road.made == [1, 2]  # this one has seen it be quick, and leaves the rest to those that have not begun
    road.pool.run_all()
    assert road.made == [1, 2, 3, 4, 5]


def test_an_answer_of_which_nothing_is_known_changes_nothing() -> None:
    road = Road(SLOWLY, outcome())
    road.add(1)
    road.pool.run_all()
    road.add(2)
    road.pool.run_all()
    road.add(3, 4)

    assert road.pool.queued_tasks == 2


def test_behind_a_time_out_nothing_begins_until_what_waits_was_taken_back() -> None:
    road = Road(READ_TIMEOUT)
    road.add(1, 2, 3)
    road.pool.run_all()
    road.add(4)

    assert (road.made, road.pool.queued_tasks, road.limiter.is_held_up) == ([1], 0, True)
    assert road.take_back() == [2, 3, 4]
    road.add(5)
    road.pool.run_all()
    assert (road.made, road.limiter.is_held_up) == ([1, 5], False)


def test_a_time_out_with_nothing_behind_it_holds_nothing_up() -> None:
    road = Road(READ_TIMEOUT)
    road.add(1)
    road.pool.run_all()
    road.add(2)
    road.pool.run_all()

    assert road.made == [1, 2]


def test_what_is_taken_back_is_not_made() -> None:
    road = Road()
    road.meanwhile[1] = lambda: taken.extend(road.take_back())
    taken: list[int] = []
    road.add(1, 2, 3)
    road.pool.run_all()

    assert (road.made, taken, road.limiter.has_waiting) == ([1], [2, 3], False)


def stuck(road: Road, *, for_s: float) -> int:
    """Start three attempts, the first of which takes so long; return how many more threads are asked for."""
    called: list[int] = []

    def look() -> None:
        road.clock_s += for_s
        road.watch.look_around()
        called.append(road.pool.queued_tasks)

    road.meanwhile[1] = look
    road.add(1, 2, 3)
    road.pool.run_one()
    return called[0]


def test_behind_an_attempt_that_takes_long_all_that_waits_begins() -> None:
    road = Road()

    assert stuck(road, for_s=0.11) == 2
    road.pool.run_all()
    assert road.made == [1, 2, 3]


def test_behind_an_attempt_that_takes_no_longer_than_others_the_rest_waits() -> None:
    assert stuck(Road(), for_s=0.09) == 0


def test_when_the_endpoint_is_quick_again_one_thread_is_enough_again() -> None:
    road = Road(AT_ONCE)
    stuck(road, for_s=0.11)
    road.pool.run_all()
    road.add(4, 5, 6)

    assert road.pool.queued_tasks == 1


def test_what_is_held_up_behind_a_time_out_does_not_begin_however_long_it_waits() -> None:
    road = Road(READ_TIMEOUT)
    road.add(1, 2, 3)
    road.pool.run_all()
    road.clock_s += 1000.0
    road.watch.look_around()

    assert road.pool.queued_tasks == 0
    assert road.take_back() == [2, 3]


def test_only_lanes_in_which_something_waits_are_watched() -> None:
    road = Road()
    road.meanwhile[2] = lambda: watched.append(len(road.watch.limiters))
    road.meanwhile[3] = lambda: watched.append(len(road.watch.limiters))
    watched: list[int] = []
    road.add(1)
    watched.append(len(road.watch.limiters))
    road.add(2, 3)
    watched.append(len(road.watch.limiters))
    road.pool.run_all()

    assert watched == [0, 1, 1, 0]


class _FullPool(ManualPool):
    """A pool that can have no thread more after some."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.threads = threads

    def submit(self, task: Callable[[], None]) -> None:
        if not self.threads:
            raise RuntimeError("can't start new thread")
        self.threads -= 1
        super().submit(task)


def test_an_attempt_that_no_thread_can_be_had_for_is_refused_and_not_kept() -> None:
    pool = _FullPool(0)
    road = Road(pool=pool)
    with pytest.raises(RuntimeError):
        road.add(1)
    pool.threads = 1
    road.add(2)
    road.pool.run_all()

    assert road.made == [2]


def test_with_no_thread_more_a_slow_endpoint_is_asked_by_those_that_there_are() -> None:
    road = Road(SLOWLY, SLOWLY, SLOWLY, pool=_FullPool(1))
    road.add(1, 2, 3)
    with capture_logs() as lines:
        road.pool.run_all()

    assert road.made == [1, 2, 3]
    assert {line["event"] for line in lines} == {"lane_not_widened"}


# Beside others


def test_beside_others_a_backlog_s_attempts_keep_four_times_the_distance_of_what_one_takes_of_a_core() -> None:
    road = Road()
    road.asking_s = 0.0005
    road.add(*range(60))
    road.have_another_at_work()
    road.pool.run_all()

    assert road.distances_s[0] < 0.001  # how much it takes is not known yet
    assert road.distances_s[-10:] == pytest.approx([0.002] * 10, rel=0.001)


def test_whose_answer_takes_longer_than_the_distance_sleeps_no_more_for_it() -> None:
    road = Road()
    road.asking_s = 0.0001
    road.meanwhile = dict.fromkeys(range(60), lambda: setattr(road, "clock_s", road.clock_s + 0.01))
    road.add(*range(60))
    road.have_another_at_work()
    road.pool.run_all()

    assert road.slept_s == []


def test_whoever_has_been_alone_for_a_second_keeps_no_distance() -> None:
    road = Road()
    road.asking_s = 0.0005
    road.add(*range(3000))
    road.have_another_at_work()
    road.pool.run_all()

    assert max(road.distances_s[:400]) == pytest.approx(0.002, rel=0.001)
    assert road.distances_s[-2000:] == pytest.approx([0.0005] * 2000)


def test_after_a_ring_a_thread_that_goes_on_lets_what_has_come_go_first() -> None:
    road = Road()
    road.have_another_at_work()
    road.meanwhile[1] = road.watch.rung
    road.add(1, 2, 3)
    road.pool.run_all()

    assert road.slept_s == pytest.approx([0.003])
    assert road.made == [1, 2, 3]


def test_what_has_just_come_begins_at_once_after_a_ring() -> None:
    road = Road()
    road.have_another_at_work()
    road.watch.rung()
    road.add(1)
    road.pool.run_all()

    assert (road.made, road.slept_s) == ([1], [])


def test_rings_without_end_hold_a_backlog_up_for_three_milliseconds_each_time_and_no_longer() -> None:
    road = Road()
    road.have_another_at_work()
    road.while_sleeping = road.watch.rung
    road.meanwhile = dict.fromkeys(range(10), road.watch.rung)
    road.add(*range(10))
    road.pool.run_all()

    assert road.made == list(range(10))
    assert road.slept_s == pytest.approx([0.003] * 9)


def test_what_keeps_its_distance_can_be_taken_back_and_is_not_made_then() -> None:
    road = Road()
    taken: list[int] = []
    road.while_sleeping = lambda: taken.extend(road.take_back())
    road.meanwhile[1] = road.watch.rung
    road.have_another_at_work()
    road.add(1, 2, 3)
    road.pool.run_all()

    assert (road.made, taken) == ([1], [2, 3])
    road.add(4)
    road.pool.run_all()
    assert road.made == [1, 4]


def test_each_of_many_attempts_on_many_threads_is_made_or_taken_back_exactly_once() -> None:
    chance = random.Random(7)
    outcomes = [AT_ONCE, AT_ONCE, SLOWLY, answered(2.0), READ_TIMEOUT]
    made: list[int] = []
    count = 20_000

    def make(number: int) -> Outcome:
        made.append(number)
        return outcomes[number * 7919 % 5]

    pool = TurnPool("test-limiter", 16)
    watch = LimiterWatch()
    limiter = ConcurrencyLimiter(pool, watch)
    taken: list[QueuedDelivery] = []
    for number in range(count):
        limiter.add(_delivery(number), partial(make, number))
        if chance.random() < 0.2:
            taken += limiter.take_back()
        limiter.begin_all_if_stuck(watch.clock_s())

    assert pool.stop(60.0)
    taken += limiter.take_back()
    assert Counter(made + [delivery.sequence for delivery in taken]) == Counter(range(count))
