"""What a glance at the database says of the whole: queue, installations, breakers, mails; cheap enough for a scrape."""

from datetime import datetime

from msgspec import Struct

from eventstore.common.clock import parse_time, time_text
from eventstore.common.connection import Connection
from eventstore.log.event_log import last_position
from eventstore.policies.waits import latest_pause
from eventstore.projections.health import read_outage
from eventstore.projections.outbox import count_mails
from eventstore.queue.queries import count_deliveries, longest_due, oldest_waiting
from eventstore.sqlite.database import reading
from eventstore.wall_clock.watch import stored_clock_pair

__all__ = ["SystemOverview", "read_system_overview"]

# What lies beyond the longest wait was recorded by another clock, and is over (eventstore.policies.waits).
_COUNTS = (
    "SELECT count(*) FILTER (WHERE state = 'active'), count(*) FILTER (WHERE state = 'disabled'),"
    " count(*) FILTER (WHERE state = 'removed'), count(*) FILTER (WHERE warned_level = 50),"
    " count(*) FILTER (WHERE warned_level = 90),"
    " count(*) FILTER (WHERE state = 'active' AND breaker_open_until > :now AND breaker_open_until <= :latest),"
    " count(*) FILTER (WHERE state = 'active' AND (breaker_open_until <= :now OR breaker_open_until > :latest)),"
    " count(*) FILTER (WHERE state = 'active' AND breaker_open_until IS NULL AND breaker_strict_until > :now"
    "  AND breaker_strict_until <= :latest),"
    " count(*) FILTER (WHERE state = 'active' AND hold_until > :now AND hold_until <= :latest) FROM installations"
)


class SystemOverview(Struct, frozen=True):
    """Counts as of one moment; the keys of `warned` are percents.

    `oldest_waiting_s`: how long ago the first of what waits was queued, None = nothing waits; `overdue_s`: for how long
    something has been due that nothing holds back, 0 = nothing has.
    """

    last_position: int
    deliveries: dict[str, int]
    oldest_waiting_s: float | None
    overdue_s: float
    installations: dict[str, int]
    breakers: dict[str, int]
    paused: int
    warned: dict[int, int]
    mails: dict[str, int]
    is_frozen: bool
    is_clock_doubted: bool


def read_system_overview(connection: Connection, now: datetime) -> SystemOverview:
    """Read them in a transaction of their own."""
    with reading(connection):
        return _read(connection, now)


def _read(connection: Connection, now: datetime) -> SystemOverview:
    active, disabled, removed, at_50, at_90, is_open, is_half_open, is_recovering, paused = connection.execute(
        _COUNTS, {"now": time_text(now), "latest": latest_pause(now)}
    ).fetchone()
    deliveries = count_deliveries(connection)
    pair = stored_clock_pair(connection)
    return SystemOverview(
        last_position=last_position(connection),
        deliveries=deliveries,
        oldest_waiting_s=_age_s(oldest_waiting(connection), now),
        overdue_s=_age_s(longest_due(connection, now) if deliveries["waiting"] else None, now) or 0.0,
        installations={"active": active, "disabled": disabled, "removed": removed},
        breakers={"open": is_open, "half_open": is_half_open, "recovering": is_recovering},
        paused=paused,
        warned={50: at_50, 90: at_90},
        mails=count_mails(connection),
        is_frozen=read_outage(connection).is_frozen,
        is_clock_doubted=pair is not None and pair.doubt is not None,
    )


def _age_s(moment: str | None, now: datetime) -> float | None:
    return max(0.0, (now - parse_time(moment)).total_seconds()) if moment else None
