"""How an installation fares, as the database knows it: what a restart, or a rebuilt projection, finds again."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.common.clock import ManualClock, time_text
from eventstore.common.identifiers import FLEET_STREAM, app_stream, installation_stream
from eventstore.events.catalogue import (
    AppChanged,
    BreakerClosed,
    BreakerOpened,
    DeliveryBlocked,
    DeliveryFailed,
    DisableEvidence,
    DisablingFrozen,
    DisablingThawed,
    EndpointChanged,
    Event,
    InstallationCreated,
    InstallationDisabled,
    InstallationEnabled,
    InstallationRemoved,
    InstallationWarned,
    InstallationWarningLifted,
    ProbeFailed,
    ProbeSucceeded,
)
from eventstore.log.event_log import NewEvent, read_events
from eventstore.log.snapshots import read_recent_outcomes
from eventstore.projections import catalogue as projections
from eventstore.projections.registry import Installation, find_installation
from eventstore.unit_of_work import Store
from tests.eventstore.facts import INSTALLATION_ID, URL, attempt, failed, record, register, succeeded, timed_out

START = datetime(2025, 2, 3, 12, tzinfo=UTC)
NEW_URL = "https://pager.example/new"
EVIDENCE = DisableEvidence("balanced", 1, "no-success", "", (), 0)


def moment(seconds: float) -> str:
    return time_text(START + timedelta(seconds=seconds))


def opened(until: str, **fields: Any) -> BreakerOpened:
    return BreakerOpened(INSTALLATION_ID, until, "on purpose", **fields)


def warned(level: int) -> InstallationWarned:
    return InstallationWarned(INSTALLATION_ID, 42, 17, URL, level, level / 100, EVIDENCE)


def disabled() -> InstallationDisabled:
    return InstallationDisabled(INSTALLATION_ID, 42, 17, URL, "person", "person:ada", "on purpose")


def tell(store: Store, *events: Event) -> Installation:
    with store.transaction() as transaction:
        transaction.append(*(NewEvent(installation_stream(INSTALLATION_ID), event) for event in events))
    return find_installation(store.connection, INSTALLATION_ID)


@pytest.fixture
def store(store: Store) -> Store:
    register(store)
    return store


def test_a_new_installation_is_held_by_nothing(store: Store) -> None:
    row = find_installation(store.connection, INSTALLATION_ID)

    assert (row.warned_level, row.breaker_open_until, row.breaker_strict_until, row.hold_until) == (0, None, None, None)


def test_an_opening_is_followed_until_it_closes(store: Store) -> None:
    open_row = tell(store, opened(moment(300), failed_trials=2))
    closed_row = tell(store, BreakerClosed(INSTALLATION_ID, moment(1500)))

    assert (open_row.breaker_open_until, open_row.breaker_failed_trials) == (moment(300), 2)
    assert (closed_row.breaker_open_until, closed_row.breaker_failed_trials) == (None, 0)
    assert closed_row.breaker_strict_until == moment(1500)


def test_a_dry_run_opens_nothing(store: Store) -> None:
    assert tell(store, opened(moment(300), is_dry_run=True)).breaker_open_until is None


def test_the_pause_that_an_endpoint_asked_for_is_known(store: Store) -> None:
    assert tell(store, failed("rate_limited", 429, hold_until=moment(60))).hold_until == moment(60)


def test_a_shorter_pause_does_not_end_a_longer_one(store: Store) -> None:
    row = tell(
        store, failed("rate_limited", 429, hold_until=moment(3600)), failed("unavailable", 503, hold_until=moment(5))
    )

    assert row.hold_until == moment(3600)


def test_a_longer_pause_prolongs_a_shorter_one(store: Store) -> None:
    row = tell(
        store, failed("unavailable", 503, hold_until=moment(5)), failed("rate_limited", 429, hold_until=moment(3600))
    )

    assert row.hold_until == moment(3600)


def test_a_warning_is_known_until_it_is_calm(store: Store) -> None:
    levels = [tell(store, event).warned_level for event in (warned(50), warned(90), InstallationWarningLifted("i"))]

    assert levels == [50, 90, 0]


@pytest.mark.parametrize(
    "change",
    [disabled(), InstallationEnabled(INSTALLATION_ID, "person:ada", ""), InstallationRemoved(INSTALLATION_ID)],
    ids=lambda event: event.type_name,
)
def test_a_change_of_state_starts_everything_anew(store: Store, change: Event) -> None:
    row = tell(
        store,
        warned(90),
        opened(moment(300), failed_trials=2),
        BreakerClosed(INSTALLATION_ID, moment(1500)),
        opened(moment(600), failed_trials=2),
        failed("rate_limited", 429, hold_until=moment(60)),
        attempt(ProbeFailed),
        change,
    )

    assert row == Installation(INSTALLATION_ID, 42, 17, row.state, row.changed_at, row.disabled_position)


def moments(store: Store) -> list[tuple[datetime, bool]]:
    return read_recent_outcomes(store.connection, INSTALLATION_ID).moments()


def outcomes(store: Store) -> str:
    return "".join("+" if is_success else "-" for _, is_success in moments(store))


def test_the_latest_outcomes_come_oldest_first_with_their_moments(store: Store, clock: ManualClock) -> None:
    for event in (failed(), succeeded(), timed_out()):
        record(store, event)
        clock.advance(seconds=10)

    assert moments(store) == [
        (START, False),
        (START + timedelta(seconds=10), True),
        (START + timedelta(seconds=20), False),
    ]


@pytest.mark.parametrize(
    "event",
    [
        failed("rate_limited", 429),
        failed("internal", 0),
        attempt(DeliveryBlocked, error_class="blocked"),
        attempt(ProbeFailed, error_class="server_error"),
        attempt(ProbeSucceeded),
    ],
    ids=lambda event: f"{event.type_name}-{event.error_class}",
)
def test_what_says_nothing_about_the_endpoint_is_no_outcome(store: Store, event: Any) -> None:
    record(store, failed(), event, succeeded())

    assert outcomes(store) == "-+"


def test_a_failure_whose_answer_speaks_of_another_class_is_an_outcome(store: Store) -> None:
    record(store, failed(response_body='{"error_class":"internal"}'))

    assert outcomes(store) == "-"


@pytest.mark.parametrize(
    "event",
    [
        opened(moment(300)),
        opened(moment(300), is_dry_run=True),
        BreakerClosed(INSTALLATION_ID, moment(1500)),
        InstallationEnabled(INSTALLATION_ID, "person:ada", ""),
        InstallationCreated(INSTALLATION_ID, 42, 17),
    ],
    ids=lambda event: event.type_name,
)
def test_what_came_before_a_new_beginning_is_no_outcome_any_more(store: Store, event: Event) -> None:
    record(store, failed(), failed(), succeeded())
    tell(store, event)
    record(store, failed())

    assert outcomes(store) == "-"


def test_no_more_outcomes_are_read_than_a_breaker_needs(store: Store) -> None:
    record(store, *[failed()] * 300, *[succeeded()] * 300)

    assert outcomes(store) == "-" * 200 + "+" * 300


def rebuilt(store: Store) -> tuple[list[Any], list[Any]]:
    """Empty the projections of health, follow all events again, and give both tables."""
    connection = store.connection
    connection.execute("DELETE FROM installations")
    connection.execute("UPDATE fleet SET is_frozen = 0, changed_at = '', active = 0, failing = 0")
    connection.execute("DELETE FROM buffer")
    for stored in list(read_events(connection)):
        projections.project(connection, (stored,), ("registry", "buffer"))
    return tables(store)


def tables(store: Store) -> tuple[list[Any], list[Any]]:
    rows = store.connection.execute("SELECT * FROM installations").fetchall()
    return rows, store.connection.execute("SELECT * FROM fleet").fetchall()


def _events() -> Mapping[str, Event]:
    return {
        "warned": warned(50),
        "warned more": warned(90),
        "lifted": InstallationWarningLifted(INSTALLATION_ID),
        "opened": opened(moment(300), failed_trials=1),
        "dry": opened(moment(400), is_dry_run=True),
        "closed": BreakerClosed(INSTALLATION_ID, moment(1500)),
        "held": failed("rate_limited", 429, hold_until=moment(60)),
        "held less": failed("unavailable", 503, hold_until=moment(5)),
        "failed": failed(),
        "succeeded": succeeded(),
        "probe failed": attempt(ProbeFailed),
        "probe succeeded": attempt(ProbeSucceeded),
        "disabled": disabled(),
        "enabled": InstallationEnabled(INSTALLATION_ID, "person:ada", ""),
        "removed": InstallationRemoved(INSTALLATION_ID),
        "created": InstallationCreated(INSTALLATION_ID, 42, 17),
        "frozen": DisablingFrozen(10, 6, 6),
        "thawed": DisablingThawed(10, 1),
    }


EVENTS = _events()


@given(history=st.lists(st.tuples(st.sampled_from(sorted(EVENTS)), st.integers(0, 100)), max_size=40))
@settings(max_examples=50)
def test_all_of_it_is_made_anew_from_the_events(tmp_path_factory: Any, history: list[tuple[str, int]]) -> None:
    clock = ManualClock(START)
    with Store(tmp_path_factory.mktemp("home") / "events.db", clock) as store:
        register(store)
        for name, seconds in history:
            clock.advance(seconds=seconds)
            stream = FLEET_STREAM if name in ("frozen", "thawed") else installation_stream(INSTALLATION_ID)
            with store.transaction() as transaction:
                transaction.append(NewEvent(stream, EVENTS[name]))
        lived = tables(store)

        assert rebuilt(store) == lived


def test_each_projection_that_follows_a_failure_has_one_handler_for_it() -> None:
    followed_by = [projections._handlers((name,)).get(DeliveryFailed, ()) for name in projections.PROJECTIONS]

    assert [len(handlers) for handlers in followed_by] == [1, 1, 1, 1, 0, 0]


def changed(*fields: str) -> EndpointChanged:
    return EndpointChanged(INSTALLATION_ID, NEW_URL, fields)


def move(store: Store) -> None:
    """Change the app's URL, as `apply` does."""
    app = AppChanged(42, "pager", "Pager", "uuid-42", "internal", 17, NEW_URL, changed=("webhook_url",))
    with store.transaction() as transaction:
        transaction.append(NewEvent(app_stream(42), app))
    tell(store, changed("webhook_url"))


def test_another_url_inherits_neither_breaker_nor_pause(store: Store) -> None:
    tell(store, opened(moment(300), failed_trials=3), failed("unavailable", 503, hold_until=moment(7200)))
    row = tell(store, changed("webhook_url"))

    assert (row.breaker_open_until, row.breaker_failed_trials, row.hold_until) == (None, 0, None)


@pytest.mark.parametrize("field", ["secret", "headers"])
def test_another_secret_or_header_closes_the_breaker_and_leaves_the_pause(store: Store, field: str) -> None:
    tell(store, opened(moment(300)), failed("unavailable", 503, hold_until=moment(7200)))
    row = tell(store, changed(field))

    assert (row.breaker_open_until, row.hold_until) == (None, moment(7200))


def test_another_url_is_probed_anew(store: Store) -> None:
    tell(store, disabled(), attempt(ProbeFailed, error_class="timeout"))
    row = tell(store, changed("webhook_url"))

    assert (row.probe_failures, row.last_probe_at) == (0, None)


def test_what_was_on_its_way_to_the_old_url_holds_nothing_back(store: Store) -> None:
    move(store)
    late = failed("unavailable", 503, hold_until=moment(7200))
    row = tell(store, late, opened(moment(300), webhook_url=URL))

    assert (row.breaker_open_until, row.hold_until) == (None, None)

    own = failed("unavailable", 503, hold_until=moment(7200), webhook_url=NEW_URL)
    row = tell(store, own, opened(moment(300), webhook_url=NEW_URL))
    assert (row.breaker_open_until, row.hold_until) == (moment(300), moment(7200))


def test_another_url_begins_without_the_failures_and_the_410_of_the_old_one(store: Store) -> None:
    tell(store, timed_out(), failed("gone", 410))
    tell(store, changed("webhook_url"))
    recent = read_recent_outcomes(store.connection, INSTALLATION_ID)

    assert (recent.moments(), recent.is_gone_last) == ([], False)


def test_another_url_is_found_again_when_the_projections_are_made_anew(store: Store) -> None:
    tell(store, opened(moment(300)), failed("unavailable", 503, hold_until=moment(7200)))
    move(store)
    tell(store, failed("unavailable", 503, hold_until=moment(7200)), opened(moment(300), webhook_url=URL))
    before = tables(store)

    assert rebuilt(store) == before
