from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.common.clock import ManualClock
from eventstore.events.catalogue import AttemptEvent, DeliveryBlocked
from eventstore.projections.request_log import LoggedRequest, RequestFilter, is_error_code, read_requests, trim_requests
from eventstore.unit_of_work import Store
from tests.eventstore.facts import OTHER_INSTALLATION_ID, attempt, failed, record, register, succeeded, timed_out


def read(store: Store, **wanted: Any) -> tuple[LoggedRequest, ...]:
    return read_requests(store.connection, RequestFilter(**wanted), store.clock.now())


def positions(store: Store, **wanted: Any) -> list[int]:
    return [request.position for request in read(store, **wanted)]


def trim_all(store: Store) -> None:
    for app_id, name in store.connection.execute("SELECT DISTINCT app_id, event_name FROM request_log").fetchall():
        trim_requests(store.connection, app_id, name)


def row_count(store: Store) -> int:
    (count,) = store.connection.execute("SELECT count(*) FROM request_log").fetchone()
    return int(count)


def test_newest_comes_first(store: Store) -> None:
    record(store, succeeded(), failed(), timed_out())

    assert positions(store) == [3, 2, 1]


def test_every_attempt_has_a_row_a_blocked_one_too(store: Store) -> None:
    record(store, succeeded(), failed(), timed_out(), attempt(DeliveryBlocked, error_class="blocked"))

    assert [request.attempt.type_name for request in read(store)] == [
        "delivery.blocked",
        "delivery.timed_out",
        "delivery.failed",
        "delivery.succeeded",
    ]


def test_hundred_requests_are_shown_at_most(store: Store) -> None:
    record(store, *[succeeded()] * 101)

    assert positions(store) == list(range(101, 1, -1))
    assert len(positions(store, limit=1000)) == 100
    assert positions(store, limit=2) == [101, 100]
    assert positions(store, limit=-1) == []


def test_errors_are_kept_apart_beyond_the_last_hundred_requests(store: Store) -> None:
    record(store, failed(), *[succeeded()] * 150, failed())
    trim_all(store)

    assert positions(store, is_errors_only=True) == [152, 1]
    assert row_count(store) == 101


def test_hundred_errors_are_kept_at_most(store: Store) -> None:
    record(store, *[failed()] * 130, *[succeeded()] * 100)
    trim_all(store)

    assert positions(store, is_errors_only=True) == list(range(130, 30, -1))
    assert row_count(store) == 200


def test_apps_and_event_names_are_kept_apart(store: Store) -> None:
    record(store, failed(event_name="issue.created"), failed(app_id=7))
    record(store, *[succeeded()] * 120)
    trim_all(store)

    assert positions(store, event_name="issue.created") == [1]
    assert positions(store, app_id=7) == [2]


def test_log_is_trimmed_while_it_grows(store: Store) -> None:
    for _ in range(8):
        record(store, *[succeeded()] * 50)

    assert row_count(store) < 100 + 64


@pytest.mark.parametrize(
    ("code", "expected"), [(0, True), (200, False), (302, False), (399, False), (400, True), (599, True), (600, False)]
)
def test_errors_are_400_to_599_and_0(code: int, expected: bool) -> None:
    assert is_error_code(code) is expected


def test_errors_only_leaves_successes_and_redirects_out(store: Store) -> None:
    record(store, succeeded(), failed("redirect", 302), failed("client_error", 400), failed("rate_limited", 429))
    record(store, timed_out())

    assert positions(store, is_errors_only=True) == [5, 4, 3]


def test_filter_by_event_name_organization_app_and_installation(store: Store) -> None:
    record(store, succeeded(event_name="issue.created"), succeeded(organization_id=18), succeeded(app_id=43))
    record(store, succeeded(), installation_id=OTHER_INSTALLATION_ID)

    assert positions(store, event_name="issue.created") == [1]
    assert positions(store, organization_id=18) == [2]
    assert positions(store, app_id=43) == [3]
    assert positions(store, installation_id=OTHER_INSTALLATION_ID) == [4]
    assert positions(store, app_id=43, organization_id=18) == []


def test_start_and_end_are_included(store: Store, clock: ManualClock) -> None:
    moments = []
    for _ in range(4):
        moments.append(clock.now())
        record(store, succeeded())
        clock.advance(seconds=60)

    assert positions(store, start=moments[1], end=moments[2]) == [3, 2]
    assert positions(store, start=moments[1] + timedelta(microseconds=1), end=moments[2]) == [3]
    assert positions(store, end=moments[0]) == [1]
    assert positions(store, start=moments[3]) == [4]


def test_thirty_days_are_shown_and_not_a_moment_more(store: Store, clock: ManualClock) -> None:
    record(store, failed())
    clock.advance(days=30)

    assert positions(store, start=clock.now() - timedelta(days=90)) == [1]
    clock.advance(seconds=0.000_001)
    assert positions(store, start=clock.now() - timedelta(days=90)) == []


def test_row_holds_what_the_attempt_was(store: Store) -> None:
    register(store)
    event = failed("client_error", 404, response_body="no such hook", error_id="e", project_id="3")
    record(store, event)

    (request,) = read(store)
    assert request.attempt == event
    assert (request.date, request.is_internal) == ("2025-02-03T12:00:00.000000Z", True)


def test_row_of_a_published_app_is_not_internal(store: Store) -> None:
    register(store, status="published")
    record(store, succeeded())

    assert not read(store)[0].is_internal


outcomes = st.lists(
    st.tuples(
        st.sampled_from([succeeded, failed, timed_out]),
        st.sampled_from(["issue.created", "issue.resolved"]),
        st.sampled_from([17, 18]),
        st.integers(1, 70),
    ),
    max_size=10,
)
FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"is_errors_only": True},
    {"event_name": "issue.created"},
    {"event_name": "issue.resolved", "is_errors_only": True, "organization_id": 17},
    {"organization_id": 18},
)


@given(history=outcomes)
@settings(max_examples=30)
def test_trimming_drops_nothing_that_a_reader_sees(tmp_path_factory: Any, history: list[Any]) -> None:
    with Store(tmp_path_factory.mktemp("home") / "events.db") as store:
        for make, event_name, organization_id, count in history:
            events: list[AttemptEvent] = [make(event_name=event_name, organization_id=organization_id)] * count
            record(store, *events)
        before = [positions(store, **wanted) for wanted in FILTERS]
        trim_all(store)
        after = [positions(store, **wanted) for wanted in FILTERS]

    assert after == before
