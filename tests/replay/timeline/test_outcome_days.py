"""Days of a picture count every outcome by its class, and an open breaker is one span until something closes it."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.common.clock import time_text
from eventstore.events.catalogue import (
    BreakerClosed,
    BreakerOpened,
    DeliveryBlocked,
    DeliveryFailed,
    DeliveryMissed,
    DeliverySucceeded,
    DeliveryTimedOut,
    Event,
    InstallationCountsImported,
    InstallationEnabled,
    InstallationRemoved,
)
from eventstore.log.event_log import StoredEvent
from replay.timeline.outcome_days import OpenSpan, OutcomeDays

BEGAN = datetime(2025, 2, 3, 12, tzinfo=UTC)
OPENED = BreakerOpened("one", "2025-02-03T13:00:00.000000Z", "10 in a row")
CLOSED = BreakerClosed("one", "2025-02-03T13:00:00.000000Z")
ENABLED = InstallationEnabled("one", "person:ann", "fixed")


def at(minutes: float) -> str:
    return time_text(BEGAN + timedelta(minutes=minutes))


def followed(*events: tuple[float, Event]) -> OutcomeDays:
    days = OutcomeDays()
    for position, (minutes, event) in enumerate(events, start=1):
        days.follow(StoredEvent(position, "installation-one", position, at(minutes), event))
    return days


@pytest.mark.parametrize(
    ("event_class", "error_class", "expected"),
    [
        (DeliverySucceeded, "", "success"),
        (DeliveryFailed, "gone", "client_error"),
        (DeliveryFailed, "unavailable", "server_error"),
        (DeliveryFailed, "internal", "other"),
        (DeliveryTimedOut, "dns", "timeout"),
        (DeliveryBlocked, "blocked", "other"),
    ],
)
def test_an_attempt_is_counted_by_the_class_of_the_buffer(
    event_class: type[Event], error_class: str, expected: str
) -> None:
    days = OutcomeDays()
    days.follow_attempt(at(0), event_class.type_name, error_class, "")

    assert days.days == {"2025-02-03": {expected: 1}}


def test_missed_and_imported_are_counted_for_their_days() -> None:
    days = followed(
        (0, DeliveryMissed("d", "issue.created", at(0))),
        (0, InstallationCountsImported("one", "2025-01-31", "file", "person:ann", 5, 0, 2, 0)),
    )

    assert days.days == {"2025-02-03": {"missed": 1}, "2025-01-31": {"success": 5, "timeout": 2}}


@pytest.mark.parametrize("end", [CLOSED, ENABLED, InstallationRemoved("one")])
def test_an_open_breaker_is_one_span_until_it_ends(end: Event) -> None:
    days = followed((0, OPENED), (60, OPENED), (180, OPENED), (200, end), (300, CLOSED))

    assert days.open_spans == [OpenSpan(at(0), at(200))]


def test_a_breaker_that_is_open_still_has_no_end() -> None:
    assert followed((0, CLOSED), (1, OPENED)).open_spans == [OpenSpan(at(1), None)]


def test_a_dry_run_opens_nothing() -> None:
    dry = BreakerOpened("one", at(60), "10 in a row", is_dry_run=True)

    assert followed((0, dry)).open_spans == []


def test_openings_within_an_hour_are_one() -> None:
    days = followed((0, OPENED), (10, CLOSED), (70, OPENED), (80, CLOSED), (141, OPENED), (150, CLOSED))

    assert days.open_spans == [OpenSpan(at(0), at(80)), OpenSpan(at(141), at(150))]


@given(st.lists(st.tuples(st.integers(0, 200), st.sampled_from((OPENED, CLOSED, ENABLED)))))
def test_spans_follow_each_other(steps: list[tuple[int, Event]]) -> None:
    minutes = 0
    events = [(minutes := minutes + step, event) for step, event in steps]
    spans = followed(*events).open_spans

    assert all(span.last_at is not None for span in spans[:-1])
    assert all(span.last_at is None or span.first_at <= span.last_at for span in spans)
    assert all((one.last_at or "") < other.first_at for one, other in pairwise(spans))
