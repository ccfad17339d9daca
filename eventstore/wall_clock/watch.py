"""The watch over the wall clock: what stands of it in the database, and how a process follows it."""

import threading
from datetime import datetime

from eventstore.common.clock import Clock, parse_time, time_text
from eventstore.common.connection import Connection
from eventstore.common.uptime import ReadUptime, Uptime, read_uptime
from eventstore.policies.clock_doubt import ClockPair, Doubt, follow
from eventstore.sqlite.bulk import upsert

__all__ = ["ClockWatch", "read_clock_pair", "stored_clock_pair", "write_clock_pair"]

_WRITE = upsert("clock", "id", ("id", "moment", "boot_id", "uptime_s", "doubted_ahead_s", "doubted_ran_s"))

# It is looked at once a minute: more, between two looks, is a process that was stopped or a machine that slept.
_LONGEST_RUN_S = 120.0


def read_clock_pair(connection: Connection) -> ClockPair | None:
    """Read the pair that was written last; None in a new home.

    A home in which none was written yet has the moment of its newest event, and no running time beside it.
    """
    pair = stored_clock_pair(connection)
    if pair is not None:
        return pair
    newest = connection.execute("SELECT recorded_at FROM events ORDER BY position DESC LIMIT 1").fetchone()
    return ClockPair(parse_time(newest[0]), Uptime("", 0.0)) if newest else None


def stored_clock_pair(connection: Connection) -> ClockPair | None:
    """Read the pair that was written last, None where no daemon has written any."""
    row = connection.execute("SELECT moment, boot_id, uptime_s, doubted_ahead_s, doubted_ran_s FROM clock").fetchone()
    if row is None:
        return None
    moment, boot_id, uptime_s, ahead_s, ran_s = row
    doubt = None if ahead_s is None else Doubt(ahead_s, ran_s)
    return ClockPair(parse_time(moment), Uptime(boot_id, uptime_s), doubt)


def write_clock_pair(connection: Connection, pair: ClockPair) -> None:
    """Keep a pair in the place of the one before, within the caller's transaction."""
    doubt = pair.doubt
    connection.execute(
        _WRITE,
        (
            1,
            time_text(pair.moment),
            pair.uptime.boot_id,
            pair.uptime.seconds,
            doubt.ahead_s if doubt else None,
            doubt.ran_s if doubt else None,
        ),
    )


class ClockWatch:
    """Follows the wall clock through the life of a process; any thread may ask it.

    `pair`: what stands in the database at the start, None = nothing yet, and the clock is believed.
    """

    def __init__(self, pair: ClockPair | None, clock: Clock, read_uptime: ReadUptime = read_uptime) -> None:
        self._clock = clock
        self._read_uptime = read_uptime
        self._lock = threading.Lock()
        self._uptime = read_uptime()
        now = clock.now()
        self._pair = ClockPair(now, self._uptime) if pair is None else follow(pair, now, self._uptime)

    def look(self) -> ClockPair:
        """Compare the clock with the running time, and return the pair of now."""
        with self._lock:
            uptime = self._read_uptime()
            ran_s = min(uptime.since(self._uptime) or 0.0, _LONGEST_RUN_S)
            self._uptime = uptime
            self._pair = follow(self._pair, self._clock.now(), uptime, ran_s=ran_s)
            return self._pair

    def glance(self) -> datetime:
        """Return what `believed_now` returns, by the latest look: for who asks with each delivery."""
        pair = self._pair
        return self._clock.now() if pair.doubt is None else pair.moment

    def is_doubted(self) -> bool:
        """Return whether the clock is not believed: then nothing may expire."""
        return self.look().doubt is not None

    def believed_now(self) -> datetime:
        """Return the clock's moment or, while it is doubted, the one that the running time comes to."""
        pair = self.look()
        return self._clock.now() if pair.doubt is None else pair.moment
