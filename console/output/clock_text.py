"""How the clock stands, in words."""

from datetime import timedelta

from console.output.times import age_text, short_time
from eventstore.common.clock import parse_time
from eventstore.wall_clock.survey import ClockSurvey, MomentsAhead

__all__ = ["ahead_texts", "clock_text", "doubt_text"]

_ONE = {
    "deliveries": "delivery",
    "recoveries": "recovery",
    "mails": "mail",
    "pauses": "pause",
    "open breakers": "open breaker",
    "previous secrets": "previous secret",
    "idempotency keys": "idempotency key",
}
# What lies so far ahead is over (eventstore.policies.waits); the moment stands until the endpoint's next failure
# replaces it.
_OVER = ("pauses", "open breakers")


def doubt_text(survey: ClockSurvey) -> str:
    """Return that the clock is doubted, by how much it is off, and until when; empty = it is believed."""
    if survey.doubt_left_s is None or survey.expected is None:
        return ""
    now, expected = parse_time(survey.now), parse_time(survey.expected)
    way = "ahead of" if now > expected else "behind"
    return (
        f"it says {short_time(survey.now)}, {age_text(abs(now - expected))} {way} what the running time comes to"
        f" ({short_time(survey.expected)}): nothing expires for {age_text(timedelta(seconds=survey.doubt_left_s))} of"
        " running"
    )


def ahead_texts(survey: ClockSurvey) -> list[str]:
    """Return what was recorded by a clock that was ahead of this one: events, and moments that wait."""
    texts = []
    events = survey.events_ahead
    if events.count:
        ahead = age_text(parse_time(events.latest) - parse_time(survey.now))
        texts.append(f"{events.count} of the newest 1,000 events are up to {ahead} ahead of it")
    waits = [_wait_text(one) for one in survey.waits_ahead]
    if waits:
        texts.append(f"further ahead than any rule allows: {', '.join(waits)}")
    return texts


def _wait_text(ahead: MomentsAhead) -> str:
    what = _ONE.get(ahead.what, ahead.what) if ahead.count == 1 else ahead.what
    holds = " (holding nothing)" if ahead.what in _OVER else ""
    return f"{ahead.count:,} {what} until {short_time(ahead.latest)}{holds}"


def clock_text(survey: ClockSurvey) -> str:
    """Return what is to be known of the clock; empty = nothing."""
    doubt = doubt_text(survey)
    return "; ".join(([f"doubted: {doubt}"] if doubt else []) + ahead_texts(survey))
