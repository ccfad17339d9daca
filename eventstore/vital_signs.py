"""What a glance at the database says of the whole: queue, installations, breakers, mails; cheap enough for a scrape."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from eventstore.clock import parse_time, time_text
from eventstore.health import read_fleet
from eventstore.log import last_position
from eventstore.outbox import count_mails
from eventstore.work_queue import count_deliveries

__all__ = ["VitalSigns", "read_vital_signs"]


@dataclass(frozen=True, slots=True)
class VitalSigns:
    """Counts as of one moment; `oldest_waiting_s` is 0 when nothing waits, the keys of `warned` are percents."""

    last_position: int
    deliveries: dict[str, int]
    oldest_waiting_s: float
    installations: dict[str, int]
    breakers: dict[str, int]
    paused: int
    warned: dict[int, int]
    mails: dict[str, int]
    is_frozen: bool


def read_vital_signs(connection: sqlite3.Connection, now: datetime) -> VitalSigns:
    """Read them; some milliseconds with 100,000 deliveries that wait."""
    moment = time_text(now)
    (oldest,) = connection.execute(
        "SELECT enqueued_at FROM queue WHERE state = 'waiting' AND NOT is_probe ORDER BY sequence LIMIT 1"
    ).fetchone() or (None,)
    states: dict[str, int] = {"active": 0, "disabled": 0, "removed": 0}
    states.update(connection.execute("SELECT state, count(*) FROM installations GROUP BY state").fetchall())
    is_open, is_half_open, is_recovering, paused = connection.execute(
        "SELECT count(*) FILTER (WHERE breaker_open_until > :now),"
        " count(*) FILTER (WHERE breaker_open_until <= :now),"
        " count(*) FILTER (WHERE breaker_open_until IS NULL AND breaker_strict_until > :now),"
        " count(*) FILTER (WHERE hold_until > :now) FROM installations WHERE state = 'active'",
        {"now": moment},
    ).fetchone()
    warned = {50: 0, 90: 0}
    warned.update(
        connection.execute(
            "SELECT warned_level, count(*) FROM installations WHERE warned_level > 0 GROUP BY warned_level"
        ).fetchall()
    )
    return VitalSigns(
        last_position=last_position(connection),
        deliveries=count_deliveries(connection),
        oldest_waiting_s=max(0.0, (now - parse_time(oldest)).total_seconds()) if oldest else 0.0,
        installations=states,
        breakers={"open": is_open, "half_open": is_half_open, "recovering": is_recovering},
        paused=paused,
        warned=warned,
        mails=count_mails(connection),
        is_frozen=read_fleet(connection).is_frozen,
    )
