from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eventstore.common.clock import ManualClock, time_text
from eventstore.common.uptime import Uptime
from eventstore.policies.clock_doubt import ClockPair, Doubt
from eventstore.unit_of_work import Store
from eventstore.wall_clock.watch import ClockWatch, read_clock_pair, write_clock_pair
from tests.eventstore.facts import record, register, succeeded

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAIR = ClockPair(NOON, Uptime("boot", 1000.0))


class Machine:
    """A machine whose clock can be set, and whose running time cannot."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOON)
        self.ran_s = 1000.0

    def uptime(self) -> Uptime:
        return Uptime("boot", self.ran_s)

    def run(self, seconds: float) -> None:
        self.clock.advance(seconds=seconds)
        self.ran_s += seconds

    def watch(self, pair: ClockPair | None = PAIR) -> ClockWatch:
        return ClockWatch(pair, self.clock, self.uptime)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "events.db", ManualClock(NOON)) as store:
        yield store


def test_a_new_home_believes_its_clock(machine: Machine, store: Store) -> None:
    assert read_clock_pair(store.connection) is None
    assert not machine.watch(None).is_doubted()


@pytest.mark.parametrize("doubt", [None, Doubt(-86_401.5, 12.25)])
def test_a_pair_that_is_written_is_read_again(store: Store, doubt: Doubt | None) -> None:
    for pair in (PAIR, ClockPair(NOON, Uptime("boot", 1060.0), doubt)):
        write_clock_pair(store.connection, pair)

    assert read_clock_pair(store.connection) == pair


def test_a_home_of_before_is_compared_with_its_newest_event(machine: Machine, store: Store) -> None:
    register(store)
    record(store, succeeded())
    pair = read_clock_pair(store.connection)
    machine.clock.advance(days=31)

    assert pair == ClockPair(NOON, Uptime("", 0.0))
    assert machine.watch(pair).is_doubted()


def test_a_leap_is_seen_in_a_running_process_and_over_a_restart(machine: Machine) -> None:
    watch = machine.watch()
    before = watch.is_doubted()
    machine.clock.advance(days=31)

    assert not before
    assert watch.is_doubted()
    assert machine.watch().is_doubted()


def test_while_it_is_doubted_the_running_time_says_what_time_it_is(machine: Machine) -> None:
    watch = machine.watch()
    machine.clock.advance(days=3652)
    machine.run(90)

    assert watch.believed_now() == watch.glance() == NOON + timedelta(seconds=90)


def test_one_that_is_believed_says_it_itself(machine: Machine) -> None:
    watch = machine.watch()
    machine.clock.advance(seconds=3600)

    assert watch.believed_now() == watch.glance() == NOON + timedelta(seconds=3600)


def test_a_process_that_is_stopped_does_not_run(machine: Machine) -> None:
    watch = machine.watch()
    machine.clock.advance(days=31)
    watch.look()
    machine.run(3 * 86_400)

    assert watch.look().doubt == Doubt(31 * 86_400.0, 120.0)


def test_a_doubt_ends_after_a_day_of_running(machine: Machine) -> None:
    watch = machine.watch()
    machine.clock.advance(days=31)
    watch.look()
    for _ in range(24 * 60 - 1):
        machine.run(60)
        watch.look()
    nearly = watch.is_doubted()
    machine.run(60)

    assert nearly
    assert not watch.is_doubted()
    assert time_text(watch.believed_now()).startswith("2026-04-02")
