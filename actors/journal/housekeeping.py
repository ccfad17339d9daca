"""The chores of each minute: check the clock, cut the WAL, and drop what is kept for a limited time."""

from collections.abc import Callable
from datetime import timedelta

import structlog

from actors.messages import ExpirePayloads, ForgetKeys, KeepClock, TrimWal
from eventstore.common.clock import Clock, time_text
from eventstore.policies.clock_doubt import TRUSTED_LEAP, ClockPair, Doubt
from eventstore.settings.configuration import Configuration
from eventstore.wall_clock.watch import ClockWatch

__all__ = ["Housekeeping"]

log = structlog.get_logger("hookfuse.daemon")


class Housekeeping:
    """Has the journal write down what time it is, and drop what is old; one process, the lead, does it for all.

    While the clock is doubted nothing is dropped. That is said once, however often the daemon is started meanwhile.
    `known`: the doubt that another daemon has said already.
    """

    def __init__(
        self,
        tell_journal: Callable[[object], object],
        configuration: Configuration,
        *,
        clock: Clock,
        watch: ClockWatch,
        known: Doubt | None = None,
    ) -> None:
        self._tell_journal = tell_journal
        self._configuration = configuration
        self._clock = clock
        self._watch = watch
        self._said = known

    def keep(self) -> None:
        """Cut the WAL, check the clock and, where it is believed, drop what is too old."""
        self._tell_journal(TrimWal())
        now = self._clock.now()  # before the look: a leap in between is seen
        if self.keep_clock().doubt is not None:
            return
        keep_keys = timedelta(seconds=self._configuration.queue.idempotency_keep_s)
        self._tell_journal(ForgetKeys(time_text(now - keep_keys)))
        keep_payloads = timedelta(seconds=self._configuration.missed.keep_s)
        self._tell_journal(ExpirePayloads(time_text(now - keep_payloads)))

    def keep_clock(self) -> ClockPair:
        """Record what time it is, as far as it can be told, and return that."""
        pair = self._watch.look()
        self._say(pair)
        self._tell_journal(KeepClock(pair))
        return pair

    def _say(self, pair: ClockPair) -> None:
        said, self._said = self._said, pair.doubt
        clock = time_text(self._clock.now())
        if pair.doubt is not None and (said is None or _is_another(said, pair.doubt)):
            log.error(
                "clock_doubted",
                clock=clock,
                expected=time_text(pair.moment),
                ahead_s=round(pair.doubt.ahead_s),
                done="nothing expires until it agrees with the running time again, or has run for a day: look at this"
                " machine's clock (NTP)",
            )
        elif pair.doubt is None and said is not None:
            log.warning("clock_believed", clock=clock, done="what is kept for a limited time expires again")


def _is_another(said: Doubt, doubt: Doubt) -> bool:
    return abs(doubt.ahead_s - said.ahead_s) > TRUSTED_LEAP.total_seconds() and doubt.ran_s < said.ran_s
