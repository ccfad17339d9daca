from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.typing import EventDict

from actors.journal.housekeeping import Housekeeping
from actors.messages import ExpirePayloads, ForgetKeys, KeepClock, TrimWal
from eventstore.common.clock import ManualClock
from eventstore.common.uptime import Uptime
from eventstore.policies.clock_doubt import ClockPair, Doubt
from eventstore.settings.configuration import Configuration
from eventstore.wall_clock.watch import ClockWatch
from tests.actors.stage import lines_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class House:
    """A home whose machine's clock can be set; `told`: what the journal was told."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOON)
        self.ran_s = 1000.0
        self.pair = ClockPair(NOON, self.uptime())
        self.told: list[Any] = []

    def uptime(self) -> Uptime:
        return Uptime("boot", self.ran_s)

    def start(self) -> Housekeeping:
        """Begin as a daemon does, with what the one before it has written down."""
        written = [message.pair for message in self.told if isinstance(message, KeepClock)]
        pair = written[-1] if written else self.pair
        watch = ClockWatch(pair, self.clock, self.uptime)
        return Housekeeping(self.told.append, Configuration(), clock=self.clock, watch=watch, known=pair.doubt)

    def keep_for(self, minutes: int, housekeeping: Housekeeping) -> None:
        for _ in range(minutes):
            self.clock.advance(seconds=60)
            self.ran_s += 60
            housekeeping.keep()

    def dropped(self) -> list[Any]:
        return [message for message in self.told if isinstance(message, ForgetKeys | ExpirePayloads)]


@pytest.fixture
def house() -> House:
    return House()


def test_what_is_old_is_dropped_once_a_minute_and_the_clock_is_written_down(house: House) -> None:
    house.keep_for(1, house.start())

    assert house.told == [
        TrimWal(),
        KeepClock(ClockPair(house.clock.now(), Uptime("boot", 1060.0))),
        ForgetKeys("2026-02-28T12:01:00.000000Z"),
        ExpirePayloads("2026-01-30T12:01:00.000000Z"),
    ]


@pytest.mark.parametrize("days", [31, 3652, -31])
@pytest.mark.parametrize("is_restart", [False, True])
def test_nothing_is_dropped_while_the_clock_is_doubted(house: House, days: int, *, is_restart: bool) -> None:
    housekeeping = house.start()
    house.clock.advance(days=days)
    if is_restart:
        housekeeping = house.start()
    housekeeping.keep()
    house.keep_for(24 * 60 - 1, housekeeping)
    meanwhile = house.dropped()
    house.keep_for(1, housekeeping)

    assert meanwhile == []
    assert house.dropped() != []


def test_a_clock_that_is_set_right_lets_things_expire_again(house: House) -> None:
    housekeeping = house.start()
    house.clock.advance(days=31)
    housekeeping.keep()
    house.clock.advance(days=-31)
    housekeeping.keep()

    assert [message.older_than[:10] for message in house.dropped()] == ["2026-02-28", "2026-01-30"]


def test_a_doubt_is_said_once_however_often_the_daemon_is_started(house: House, lines: list[EventDict]) -> None:
    house.clock.advance(days=31)
    for _ in range(3):
        house.keep_for(5, house.start())
    (line,) = lines_of(lines, "clock_doubted")

    assert line["ahead_s"] == 31 * 86_400
    assert line["clock"].startswith("2026-04-01")
    assert line["expected"].startswith("2026-03-01")


def test_the_end_of_a_doubt_is_said(house: House, lines: list[EventDict]) -> None:
    house.clock.advance(days=31)
    house.keep_for(1, house.start())
    house.clock.advance(days=-31)
    house.keep_for(2, house.start())

    assert len(lines_of(lines, "clock_believed")) == 1


def test_another_leap_is_said_again(house: House, lines: list[EventDict]) -> None:
    housekeeping = house.start()
    for days in (31, 3652):
        house.clock.advance(days=days)
        house.keep_for(3, housekeeping)

    assert len(lines_of(lines, "clock_doubted")) == 2


def test_what_a_stop_writes_down_counts_for_the_next_daemon(house: House) -> None:
    house.clock.advance(days=31)
    housekeeping = house.start()
    house.clock.advance(seconds=30)
    house.ran_s += 30
    housekeeping.keep_clock()

    assert house.told[-1].pair.doubt == Doubt(31 * 86_400.0, 30.0)
