"""What another system has counted comes in once, and counts for the days that it names."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventstore.common.clock import ManualClock
from eventstore.common.identifiers import installation_stream
from eventstore.common.json_lines import Faults
from eventstore.decisions.decision import Change
from eventstore.decisions.review import ReviewRequest, review
from eventstore.errors import DocumentError
from eventstore.events.catalogue import InstallationCountsImported, InstallationRemoved
from eventstore.log.change_signal import change_version
from eventstore.log.event_log import NewEvent, last_position, read_events
from eventstore.policies.policy import SENTRY_2024
from eventstore.projections.broken_state_buffer import read_days
from eventstore.transfer.count_bucket import BUCKET_LINE_BYTES, CountBucket, read_bucket, read_bucket_lines
from eventstore.transfer.count_import import CountRule, CountSummary, import_counts
from eventstore.unit_of_work import Store
from replay.check.verification import verify
from tests.eventstore.facts import INSTALLATION_ID, OTHER_INSTALLATION_ID, failed, path_of, record, register
from tests.eventstore.histories import tables

# The store's clock stands at noon of 2025-02-03: the window of seven days begins at 2025-01-28.
RULE = CountRule("file", "person:ada", window_days=7)
FIELDS = ("success_count", "error_count", "timeout_count", "fatal_count")


@pytest.fixture(autouse=True)
def _registered(store: Store) -> None:
    register(store)


def bucket(day: str, *, app: int = 42, organization: int = 17, number: int = 1, **counts: int) -> CountBucket:
    key = f"sentry-app-error:{app}:{organization}:{day}"
    return read_bucket(number, key, key, {f"{name}_count": str(count) for name, count in counts.items()})


def imported(store: Store, *buckets: CountBucket, **rule: Any) -> CountSummary:
    return import_counts(store, buckets, replace(RULE, **rule), Faults())


def counted(store: Store, installation_id: str = INSTALLATION_ID) -> dict[str, tuple[int, int, int, int]]:
    return {
        day.day: (day.success, day.client_error, day.timeout, day.fatal)
        for day in read_days(store.connection, installation_id, "")
    }


def events(store: Store) -> list[InstallationCountsImported]:
    return [one.event for one in read_events(store.connection) if isinstance(one.event, InstallationCountsImported)]


# --- one bucket ---


def test_a_bucket_has_the_classes_of_the_original_s_fields() -> None:
    found = read_bucket(3, "line 3", "sentry-app-error:5:17:2025-02-01", {"error_count": "7", "success_count": 2})

    assert found == CountBucket(
        3, "line 3", 5, 17, "2025-02-01", {"success": 2, "client_error": 7, "timeout": 0, "fatal": 0}
    )


@pytest.mark.parametrize(
    ("key", "fields", "text"),
    [
        ("sentry-app-error:5:17", {}, "is not a key such as"),
        ("sentry-app-error:5:17:2025-02-30", {}, "is not a key such as"),
        ("sentry-app-error:5:17:2025-2-3", {}, "is not a key such as"),
        ("sentry-app-error:5:17:2025-02-03 ", {}, "is not a key such as"),
        ("sentry-app-error:5:17:2025-02-03\n", {}, "is not a key such as"),
        ("sentry-app-error:05:17:2025-02-03", {}, "is not a key such as"),
        ("sentry-app-error:0:17:2025-02-03", {}, "is not a key such as"),
        ("sentry-app-error:{5}:17:2025-02-03", {}, "is not a key such as"),
        ("sentry-app-error:\u0665:17:2025-02-03", {}, "is not a key such as"),
        (f"sentry-app-error:{2**63}:17:2025-02-03", {}, "is not a key such as"),
        ("sentry-app-webhook-error:{5}:x", {}, "is not a key such as"),
        ("", {}, "is not a key such as"),
        ("sentry-app-error:5:17:2025-02-03", {"error_count": "-1"}, "error_count is not a count"),
        ("sentry-app-error:5:17:2025-02-03", {"error_count": "1.5"}, "error_count is not a count"),
        ("sentry-app-error:5:17:2025-02-03", {"error_count": ""}, "error_count is not a count"),
        ("sentry-app-error:5:17:2025-02-03", {"error_count": "\u0663"}, "error_count is not a count"),
        ("sentry-app-error:5:17:2025-02-03", {"error_count": " 3"}, "error_count is not a count"),
        ("sentry-app-error:5:17:2025-02-03", {"timeout_count": 10**12 + 1}, "timeout_count is not a count"),
        ("sentry-app-error:5:17:2025-02-03", {"fatal_count": "9" * 400}, "fatal_count is not a count"),
        ("sentry-app-error:5:17:2025-02-03", {"halted_count": "1"}, "'halted_count' is none of the fields"),
    ],
)
def test_what_is_no_bucket_is_refused(key: str, fields: dict[str, str | int], text: str) -> None:
    with pytest.raises(DocumentError, match=text):
        read_bucket(1, "line 1", key, fields)


def test_lines_with_faults_are_named_and_the_others_are_read() -> None:
    good = {"key": "sentry-app-error:5:17:2025-02-01", "fields": {"error_count": "7"}}
    lines: list[bytes | None] = [
        json.dumps(good).encode(),
        b"no json",
        b"\xff",
        None,
        b'{"key": "sentry-app-error:5:17:2025-02-01"}',
        b'{"key": 1, "fields": {}}',
        json.dumps(good | {"more": 1}).encode(),
        json.dumps(good | {"fields": {"error_count": 1.5}}).encode(),
        b"[" * 50_000,
        json.dumps(good | {"key": "sentry-app-error:6:17:2025-02-01"}).encode(),
    ]
    faults = Faults()

    found = list(read_bucket_lines(enumerate(lines, start=1), faults))

    assert [one.app_id for one in found] == [5, 6]
    assert [fault.number for fault in faults.first] == [2, 3, 4, 5, 6, 7, 8, 9]
    assert faults.first[2].text == f"over {BUCKET_LINE_BYTES} bytes, which is too long for the counts of a day"


# --- all of them ---


def test_counts_are_events_of_the_installation_and_stand_in_the_buffer_under_their_day(store: Store) -> None:
    summary = imported(
        store,
        bucket("2025-02-02", error=3, success=1),
        bucket("2025-02-03", timeout=4, fatal=5),
    )

    assert (summary.imported_count, summary.fault_count) == (2, 0)
    assert counted(store) == {"2025-02-02": (1, 3, 0, 0), "2025-02-03": (0, 0, 4, 5)}
    assert events(store) == [
        InstallationCountsImported(INSTALLATION_ID, "2025-02-02", "file", "person:ada", success=1, client_error=3),
        InstallationCountsImported(INSTALLATION_ID, "2025-02-03", "file", "person:ada", timeout=4, fatal=5),
    ]
    assert verify(path_of(store)).differences == ()


def test_the_same_counts_again_record_nothing(store: Store) -> None:
    buckets = [bucket("2025-02-02", error=3), bucket("2025-02-03", timeout=4)]
    imported(store, *buckets)
    position, attention = last_position(store.connection), change_version(store.connection)

    summary = imported(store, *buckets)

    assert (summary.imported_count, summary.unchanged_count) == (0, 2)
    assert (last_position(store.connection), change_version(store.connection)) == (position, attention)


def test_what_has_grown_is_recorded_as_the_difference_on_top_of_what_was_counted_here(store: Store) -> None:
    imported(store, bucket("2025-02-03", error=3, success=1))
    record(store, failed("client_error", 404))
    summary = imported(store, bucket("2025-02-03", error=5, success=1))

    assert (summary.imported_count, events(store)[-1].client_error, events(store)[-1].success) == (1, 2, 0)
    assert counted(store)["2025-02-03"] == (1, 5 + 1, 0, 0)


def test_what_is_less_than_before_is_named_and_left_whole(store: Store) -> None:
    imported(store, bucket("2025-02-02", error=3), bucket("2025-02-03", error=3, timeout=1))
    summary = imported(store, bucket("2025-02-02", error=2, timeout=9), bucket("2025-02-03", error=4, timeout=1))

    assert [(one.place, one.text) for one in summary.smaller] == [
        ("sentry-app-error:42:17:2025-02-02", "error_count 2 is less than 3, imported before")
    ]
    assert (summary.smaller_count, summary.imported_count, summary.fault_count) == (1, 1, 0)
    assert counted(store) == {"2025-02-02": (0, 3, 0, 0), "2025-02-03": (0, 4, 1, 0)}


def test_days_before_the_window_and_tomorrow_are_left_out_and_said_and_later_ones_are_faults(store: Store) -> None:
    summary = imported(
        store,
        bucket("2025-01-27", error=1),
        bucket("2025-01-28", error=1),
        bucket("2025-02-03", error=1),
        bucket("2025-02-04", error=1),
    )
    later = imported(store, bucket("2025-02-03", error=2), bucket("2025-02-05", error=1))

    assert (summary.imported_count, summary.too_old_count, summary.ahead_count, summary.fault_count) == (2, 1, 1, 0)
    assert [(one.place, one.text) for one in later.faults] == [
        ("sentry-app-error:42:17:2025-02-05", "2025-02-05 lies in the future")
    ]
    assert set(counted(store)) == {"2025-01-28", "2025-02-03"}


def test_an_app_that_is_not_installed_here_is_a_fault_unless_it_is_to_be_left_out(store: Store) -> None:
    buckets = [bucket("2025-02-03", error=1), bucket("2025-02-03", app=43, error=1, number=2)]
    strict = imported(store, *buckets)

    assert [one.text for one in strict.faults] == [
        "app 43 has no installation in organization 17 here (--skip-unknown leaves it out)"
    ]
    assert counted(store) == {}

    lenient = imported(store, *buckets, is_unknown_skipped=True)

    assert (lenient.imported_count, lenient.unknown_count, lenient.fault_count) == (1, 1, 0)
    assert counted(store) == {"2025-02-03": (0, 1, 0, 0)}


def test_a_removed_installation_is_not_known(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.append(NewEvent(installation_stream(INSTALLATION_ID), InstallationRemoved(INSTALLATION_ID)))

    assert imported(store, bucket("2025-02-03", error=1)).fault_count == 1


def test_with_a_fault_anywhere_or_as_a_dry_run_nothing_changes(store: Store) -> None:
    before = tables(store.connection)
    attention = change_version(store.connection)
    faults = Faults()
    faults.add(7, "not JSON")

    summary = import_counts(store, [bucket("2025-02-03", error=1)], RULE, faults)
    dry = imported(store, bucket("2025-02-03", error=1), is_dry_run=True)

    assert (summary.fault_count, dry.fault_count, dry.imported_count) == (1, 0, 1)
    assert tables(store.connection) == before
    assert change_version(store.connection) == attention


def test_a_place_may_come_twice_and_two_places_of_one_day_may_not(store: Store) -> None:
    once = bucket("2025-02-03", error=1)
    line = read_bucket(9, "line 9", "sentry-app-error:42:17:2025-02-03", {"error_count": "1"})

    assert imported(store, once, once).imported_count == 1
    assert [one.text for one in imported(store, once, line).faults] == [f"is of the same day as {once.place}"]


def test_a_running_daemon_is_made_to_look(store: Store) -> None:
    attention = change_version(store.connection)
    imported(store, bucket("2025-02-03", error=1))

    assert change_version(store.connection) == attention + 1


def test_after_a_week_of_error_days_the_very_next_failure_breaks_it_by_the_original_s_rule(
    store: Store, clock: ManualClock
) -> None:
    days = [str(clock.now().date() - timedelta(days=number)) for number in range(1, 7)]
    imported(store, *(bucket(day, error=2) for day in days))
    record(store, failed("client_error", 404))
    with store.transaction() as transaction:
        decision = review(transaction, ReviewRequest(INSTALLATION_ID, SENTRY_2024, "internal", "x.example"))

    assert decision.evidence is not None
    assert (decision.change, decision.evidence.rule) == (Change.DISABLED, "seven-error-days")
    assert {day.day: day.client_error for day in decision.evidence.days} == {
        **dict.fromkeys(days, 2),
        "2025-02-03": 1,
    }


@given(
    runs=st.lists(
        st.dictionaries(
            st.tuples(st.sampled_from((42, 43)), st.sampled_from(("2025-02-01", "2025-02-02", "2025-02-03"))),
            st.tuples(*[st.integers(0, 3)] * 4),
        ),
        max_size=6,
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_what_is_in_the_buffer_is_the_most_that_ever_stood_there_as_long_as_it_only_grew(
    tmp_path_factory: pytest.TempPathFactory, runs: list[dict[tuple[int, str], tuple[int, int, int, int]]]
) -> None:
    expected: dict[tuple[int, str], tuple[int, ...]] = {}
    ids = {42: INSTALLATION_ID, 43: OTHER_INSTALLATION_ID}
    path = tmp_path_factory.mktemp("home") / "events.db"
    with Store(path, ManualClock(datetime(2025, 2, 3, 12, tzinfo=UTC))) as store:
        for app_id, installation_id in ids.items():
            register(store, app_id=app_id, installation_id=installation_id)
        for run in runs:
            summary = imported(store, *_buckets(run))
            smaller = 0
            for key, counts in run.items():
                before = expected.get(key, (0, 0, 0, 0))
                if all(new >= old for new, old in zip(counts, before, strict=True)):
                    expected[key] = counts
                else:
                    smaller += 1
            assert (summary.smaller_count, summary.fault_count) == (smaller, 0)

        found = {(app_id, day): counts for app_id in ids for day, counts in counted(store, ids[app_id]).items()}
        assert found == {key: counts for key, counts in expected.items() if any(counts)}
        assert verify(path_of(store)).differences == ()
        assert Counter(event.day for event in events(store)).total() >= len(found)


def _buckets(run: dict[tuple[int, str], tuple[int, int, int, int]]) -> Iterable[CountBucket]:
    for (app_id, day), counts in run.items():
        key = f"sentry-app-error:{app_id}:17:{day}"
        yield read_bucket(1, key, key, dict(zip(FIELDS, counts, strict=True)))
