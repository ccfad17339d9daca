"""Histories at random: rows of a log, as they are read, without a database."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from eventstore.common.clock import time_text
from eventstore.common.identifiers import FLEET_STREAM, app_stream, installation_stream
from eventstore.events.catalogue import (
    AppChanged,
    AppRegistered,
    DeliveryBlocked,
    DeliveryFailed,
    DeliveryMissed,
    DeliverySucceeded,
    DeliveryTimedOut,
    DisableEvidence,
    DisablingFrozen,
    DisablingThawed,
    Event,
    InstallationCountsImported,
    InstallationCreated,
    InstallationDisabled,
    InstallationEnabled,
    InstallationRemoved,
    InstallationWarned,
    InstallationWarningLifted,
    ProbeFailed,
)
from eventstore.events.codec import encode_event
from replay.reading.raw_events import RawEvent

START = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
INSTALLATIONS = tuple(f"{number}0000000-0000-4000-8000-000000000000" for number in (1, 2))
URL = "https://pager.example/hook"
EVIDENCE = DisableEvidence("balanced", 1, "no-success", "it actually was", (), 0)

Fact = tuple[str, Event]


class History:
    """Rows of a log in the making. Facts of one `record` share a moment, as those of one commit do."""

    def __init__(self, *, status: str = "internal") -> None:
        self.rows: list[RawEvent] = []
        self.now = START
        for app_id in range(1, len(INSTALLATIONS) + 1):
            self.record((app_stream(app_id), app(app_id, status)))
        for app_id, installation_id in enumerate(INSTALLATIONS, start=1):
            self.record((installation_stream(installation_id), InstallationCreated(installation_id, app_id, 17)))

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def record(self, *facts: Fact) -> None:
        self.now += timedelta(microseconds=1)
        for stream, event in facts:
            self.rows.append(
                (len(self.rows) + 1, stream, event.type_name, event.schema, time_text(self.now), encode_event(event))
            )


def app(app_id: int, status: str = "internal", event_class: type[AppRegistered] = AppRegistered) -> AppRegistered:
    return event_class(app_id, f"app-{app_id}", f"App {app_id}", f"uuid-{app_id}", status, 17, URL)


def succeeded(number: int = 0, **fields: Any) -> Fact:
    return _attempt(DeliverySucceeded, number, **fields)


def failed(number: int = 0, error_class: str = "server_error", **fields: Any) -> Fact:
    return _attempt(DeliveryFailed, number, error_class=error_class, **fields)


def timed_out(number: int = 0, **fields: Any) -> Fact:
    return _attempt(DeliveryTimedOut, number, error_class="timeout", **fields)


def blocked(number: int = 0) -> Fact:
    return _attempt(DeliveryBlocked, number, error_class="blocked")


def missed(number: int = 0) -> Fact:
    return _on(number, DeliveryMissed("d", "issue.created", "2026-03-01T00:00:00.000000Z"))


def disabled(number: int = 0, cause: str = "policy") -> Fact:
    installation_id = INSTALLATIONS[number]
    return _on(number, InstallationDisabled(installation_id, number + 1, 17, URL, cause, "system", "", EVIDENCE))


def enabled(number: int = 0) -> Fact:
    return _on(number, InstallationEnabled(INSTALLATIONS[number], "person:ann", "fixed"))


def warned(number: int = 0, level: int = 50) -> Fact:
    return _on(number, InstallationWarned(INSTALLATIONS[number], number + 1, 17, URL, level, level / 100, EVIDENCE))


def lifted(number: int = 0) -> Fact:
    return _on(number, InstallationWarningLifted(INSTALLATIONS[number]))


FROZEN: Fact = (FLEET_STREAM, DisablingFrozen(5, 4, 4))
THAWED: Fact = (FLEET_STREAM, DisablingThawed(5, 1))


def _attempt(event_class: Any, number: int, **fields: Any) -> Fact:
    return _on(
        number,
        event_class(
            **{
                "delivery_id": "d",
                "event_name": "issue.created",
                "app_id": number + 1,
                "organization_id": 17,
                "attempt": 1,
                "webhook_url": URL,
            }
            | fields
        ),
    )


def _on(number: int, event: Event) -> Fact:
    return installation_stream(INSTALLATIONS[number]), event


numbers = st.integers(0, len(INSTALLATIONS) - 1)
_classes = ("server_error", "client_error", "redirect", "rate_limited", "protocol", "unavailable", "gone", "internal")
faults = st.sampled_from(("no_answer", "reset", "bad_status_line", "bad_head", "broken_body", "deadline"))
outcomes = st.one_of(
    numbers.map(succeeded),
    st.builds(failed, numbers, st.sampled_from(_classes)),
    st.builds(failed, numbers, st.sampled_from(("server_error", "client_error", "fatal"))),
    st.builds(failed, numbers, st.sampled_from(("protocol", "client_error", "rate_limited")), fault=faults),
    numbers.map(timed_out),
)
bursts = st.tuples(outcomes, st.integers(1, 40)).map(lambda burst: [burst[0]] * burst[1])
actions = st.one_of(
    st.builds(disabled, numbers, st.sampled_from(("policy", "receiver", "person"))),
    numbers.map(enabled),
    st.builds(warned, numbers, st.sampled_from((50, 90))),
    numbers.map(lifted),
    numbers.map(missed),
    st.sampled_from((FROZEN, THAWED)),
    st.builds(
        lambda number, status: (app_stream(number + 1), app(number + 1, status, AppChanged)),
        numbers,
        st.sampled_from(("internal", "internal", "published")),
    ),
    numbers.map(lambda number: _on(number, InstallationRemoved(INSTALLATIONS[number]))),
    numbers.map(lambda number: _on(number, InstallationCreated(INSTALLATIONS[number], number + 1, 17))),
    numbers.map(lambda number: _attempt(DeliveryBlocked, number, error_class="blocked")),
    numbers.map(lambda number: _attempt(ProbeFailed, number, error_class="server_error")),
    st.builds(
        lambda number, day, timeouts, fatal: _on(
            number,
            InstallationCountsImported(
                INSTALLATIONS[number], f"2026-03-{day:02}", "redis", "person:ann", timeout=timeouts, fatal=fatal
            ),
        ),
        numbers,
        st.integers(1, 9),
        st.integers(0, 5),
        st.integers(0, 1),
    ),
).map(lambda fact: [fact])
# Seconds; a clock may step back.
gaps = st.sampled_from((0.0, 0.0, 60.0, 3_600.0, 43_200.0, 86_400.0, 86_400.0, 180_000.0, 500_000.0, -90_000.0))
steps = st.tuples(gaps, bursts | bursts | bursts | actions, st.booleans())


def made(steps: Sequence[tuple[float, list[Fact], bool]]) -> list[RawEvent]:
    """Return the rows of a history; a burst is one commit, or one for each of its facts."""
    history = History()
    for gap_s, facts, is_one_commit in steps:
        history.advance(gap_s)
        if is_one_commit:
            history.record(*facts)
        else:
            for fact in facts:
                history.record(fact)
    return history.rows


histories = st.lists(steps, max_size=40).map(made)
