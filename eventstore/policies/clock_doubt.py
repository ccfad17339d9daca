"""When the wall clock is not believed: it has leapt against the time for which the machine has been running. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from eventstore.common.uptime import Uptime

__all__ = ["DOUBT_S", "TRUSTED_LEAP", "ClockPair", "Doubt", "follow"]

# What a clock may be ahead of or behind the running time. A day: far more than NTP ever corrects on a machine that is
# looked after, far less than anything is kept for.
TRUSTED_LEAP = timedelta(days=1)
# How long a doubted clock must have run, at work, until it is believed after all.
DOUBT_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Doubt:
    """A clock that leapt: it is so far ahead of the running time (negative: behind), and has run so long since."""

    ahead_s: float
    ran_s: float = 0.0

    @property
    def left_s(self) -> float:
        """The seconds of running after which the clock is believed."""
        return max(0.0, DOUBT_S - self.ran_s)


@dataclass(frozen=True, slots=True)
class ClockPair:
    """What time it was, as far as it can be told, when the machine had been running for so long.

    While the clock is doubted `moment` goes on by the running time alone: what the clock says does not move it.
    """

    moment: datetime
    uptime: Uptime
    doubt: Doubt | None = None


def follow(pair: ClockPair, clock: datetime, uptime: Uptime, *, ran_s: float = 0.0) -> ClockPair:
    """Return the pair of now; `ran_s`: for how long the daemon has been at work since the one before.

    Within one boot leaps add up, as the pair follows the running time. Over a reboot the running time is not known: a
    clock that is no more than a day off the pair is believed, and one further off may be right, after a long rest, or
    wrong: it is doubted too.
    """
    passed_s = uptime.since(pair.uptime)
    expected = pair.moment if passed_s is None else pair.moment + timedelta(seconds=passed_s)
    ahead = clock - expected
    if abs(ahead) <= TRUSTED_LEAP:
        return ClockPair(clock if passed_s is None else expected, uptime)
    doubt = _doubt_of(pair.doubt, ahead, ran_s, is_same_boot=passed_s is not None)
    if doubt.ran_s >= DOUBT_S:
        return ClockPair(clock, uptime)
    return ClockPair(expected, uptime, doubt)


def _doubt_of(known: Doubt | None, ahead: timedelta, ran_s: float, *, is_same_boot: bool) -> Doubt:
    """Go on with a doubt, or begin one: a clock that leaps once more is another clock."""
    if known is None:
        return Doubt(ahead.total_seconds())
    further_s = ahead.total_seconds() - known.ahead_s
    longest_s = TRUSTED_LEAP.total_seconds()
    # Over a reboot it may have gone forward by a rest: else one that is at work for an hour a week is doubted for ever.
    is_another = further_s < -longest_s or (is_same_boot and further_s > longest_s)
    if is_another:
        return Doubt(ahead.total_seconds())
    ahead_s = known.ahead_s if is_same_boot else ahead.total_seconds()
    return Doubt(ahead_s, known.ran_s + ran_s)
