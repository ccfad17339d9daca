"""What of the wall clock can be told from a home: whether it is doubted, and what was recorded ahead of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from eventstore.common.clock import time_text
from eventstore.common.connection import Connection
from eventstore.common.uptime import Uptime, read_uptime
from eventstore.policies.clock_doubt import follow
from eventstore.policies.waits import LONGEST_PAUSE_S, latest_pause
from eventstore.projections.app_secrets import LONGEST_OVERLAP
from eventstore.wall_clock.watch import stored_clock_pair

__all__ = ["ClockSurvey", "MomentsAhead", "survey_clock"]

_NEWEST_EVENTS = 1000
# Clocks of machines that have a worker differ by less.
_SKEW = timedelta(seconds=5)

_EVENTS = (
    "SELECT count(*), max(recorded_at) FROM"
    " (SELECT recorded_at FROM events ORDER BY position DESC LIMIT :newest) WHERE recorded_at > :soon"
)
# Every moment that waits, by what holds it: beyond `latest` it is of no rule; a first attempt waits for nothing.
_WAITS = {
    "deliveries": (
        "SELECT count(*), max(due_at) FROM queue WHERE state = 'waiting'"
        " AND (due_at > :latest AND NOT is_recovery OR due_at > :soon AND attempts = 0 AND NOT is_recovery)"
    ),
    "recoveries": (
        "SELECT count(DISTINCT installation_id), max(due_at) FROM queue INDEXED BY queue_of_recoveries"
        " WHERE is_recovery AND state = 'waiting' AND due_at > :latest"
    ),
    "mails": (
        "SELECT count(*), max(due_at) FROM outbox WHERE state = 'requested' AND digest_id IS NULL"
        " AND (due_at > :latest OR due_at > :soon AND attempts = 0)"
    ),
    "pauses": "SELECT count(*), max(hold_until) FROM installations WHERE state = 'active' AND hold_until > :pause",
    "open breakers": (
        "SELECT count(*), max(breaker_open_until) FROM installations"
        " WHERE state = 'active' AND breaker_open_until > :pause"
    ),
    "previous secrets": "SELECT count(*), max(previous_until) FROM secrets WHERE previous_until > :overlap",
    "idempotency keys": "SELECT count(*), max(enqueued_at) FROM idempotency_keys WHERE enqueued_at > :tomorrow",
}


@dataclass(frozen=True, slots=True)
class MomentsAhead:
    """So many moments of a kind that lie further ahead than any rule allows, and the latest of them."""

    what: str
    count: int
    latest: str


@dataclass(frozen=True, slots=True)
class ClockSurvey:
    """How the clock stands. `expected`: what the running time comes to, None = no daemon has written down any.

    `doubt_left_s`: for how long the daemon must run until a doubted clock is believed, None = it is believed.
    `events_ahead`: how many of the newest thousand events were recorded after what the clock says now.
    """

    now: str
    expected: str | None
    doubt_left_s: float | None
    newest_event: str | None
    events_ahead: MomentsAhead
    waits_ahead: tuple[MomentsAhead, ...]

    @property
    def is_doubted(self) -> bool:
        """Return whether nothing expires, as the clock has leapt."""
        return self.doubt_left_s is not None

    @property
    def is_newest_ahead(self) -> bool:
        """Return whether the newest event was recorded after what the clock says now."""
        return bool(self.events_ahead.count) and self.newest_event is not None and self.newest_event > self.now


def survey_clock(
    connection: Connection, now: datetime, *, longest_retry_s: float, uptime: Uptime | None = None
) -> ClockSurvey:
    """Compare the clock with the running time, with the newest events and with every moment that waits."""
    pair = stored_clock_pair(connection)
    followed = None if pair is None else follow(pair, now, uptime or read_uptime())
    doubt = followed.doubt if followed else None
    newest = connection.execute("SELECT recorded_at FROM events ORDER BY position DESC LIMIT 1").fetchone()
    longest = timedelta(seconds=max(longest_retry_s, LONGEST_PAUSE_S) + 60)
    moments = {
        "soon": time_text(now + _SKEW),
        "latest": time_text(now + longest),
        "pause": latest_pause(now),
        "overlap": time_text(now + LONGEST_OVERLAP + _SKEW),
        "tomorrow": time_text(now + timedelta(days=1)),
    }
    waits = (_ahead(connection, what, statement, moments) for what, statement in _WAITS.items())
    return ClockSurvey(
        now=time_text(now),
        expected=time_text(followed.moment) if followed else None,
        doubt_left_s=doubt.left_s if doubt else None,
        newest_event=newest[0] if newest else None,
        events_ahead=_ahead(connection, "events", _EVENTS, moments | {"newest": _NEWEST_EVENTS}),
        waits_ahead=tuple(one for one in waits if one.count),
    )


def _ahead(
    connection: Connection, what: str, statement: str, moments: dict[str, str] | dict[str, str | int]
) -> MomentsAhead:
    count, latest = connection.execute(statement, moments).fetchone()
    return MomentsAhead(what, count, latest or "")
