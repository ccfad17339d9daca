"""Checks of the clock: days, waits and all that expires go by it."""

import sqlite3
from collections.abc import Iterator
from datetime import datetime

from console.output.clock_text import ahead_texts, doubt_text
from console.output.times import age_text, short_time
from eventstore.common.clock import parse_time
from eventstore.common.diagnostic import Diagnostic
from eventstore.wall_clock.survey import ClockSurvey, survey_clock

__all__ = ["check_clock"]

_SUBJECT = "clock"
_EARLIEST_YEAR = 2026
_SET_IT = "set the clock (NTP); the daemon corrects what waits within a minute"
_IS_PAST = (
    "nothing, if the clock is right now: a running daemon corrects the waits (docs/clock.md), and days and"
    " policies pass over what lies in the future"
)


def check_clock(connection: sqlite3.Connection, now: datetime, *, longest_retry_s: float) -> Iterator[Diagnostic]:
    """Compare the clock with the running time, the newest events, and every moment that waits."""
    if now.year < _EARLIEST_YEAR:
        yield Diagnostic.fault(_SUBJECT, f"it says {now:%Y-%m-%d}, which is long ago", _SET_IT)
    survey = survey_clock(connection, now, longest_retry_s=longest_retry_s)
    found = list(_faults(survey))
    if not found and now.year >= _EARLIEST_YEAR:
        newest = f", newest event {short_time(survey.newest_event)}" if survey.newest_event else ""
        yield Diagnostic.good(_SUBJECT, f"{now:%Y-%m-%dT%H:%M:%SZ}{newest}")
    yield from found


def _faults(survey: ClockSurvey) -> Iterator[Diagnostic]:
    if survey.is_doubted:
        yield Diagnostic.warning(
            _SUBJECT,
            f"it is doubted: {doubt_text(survey)}",
            "set the clock (NTP); if it is right, as after a long standstill, this passes by itself",
        )
    is_confirmed = survey.expected is not None and not survey.is_doubted
    texts = ahead_texts(survey)
    if survey.is_newest_ahead and not is_confirmed and survey.newest_event is not None:
        ahead = age_text(parse_time(survey.newest_event) - parse_time(survey.now))
        first = f"the newest event was recorded {ahead} after what the clock says now"
        yield Diagnostic.fault(_SUBJECT, "; ".join([first, *texts]), _SET_IT)
    elif texts:
        yield Diagnostic.warning(_SUBJECT, "; ".join(texts), _IS_PAST)
