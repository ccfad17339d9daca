"""Every projection table equals a fold of the events, written here a second time and naively."""

from collections import defaultdict
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventstore.common.clock import ManualClock
from eventstore.common.identifiers import installation_stream
from eventstore.events.catalogue import (
    AttemptEvent,
    AuditRecorded,
    DeliveryBlocked,
    DeliveryDropped,
    DeliveryExhausted,
    DeliveryFailed,
    DeliveryMissed,
    DeliveryRequeued,
    DeliverySucceeded,
    DeliveryTimedOut,
    DisablingFrozen,
    DisablingThawed,
    Event,
    InstallationCountsImported,
    InstallationCreated,
    InstallationDisabled,
    InstallationEnabled,
    InstallationRemoved,
    MailFailed,
    MailRequested,
    MailSent,
    ProbeFailed,
    ProbeSucceeded,
)
from eventstore.log.event_log import NewEvent, StoredEvent, read_events
from eventstore.projections import request_log
from eventstore.projections.catalogue import PROJECTIONS
from eventstore.projections.request_log import RequestFilter, read_requests
from eventstore.unit_of_work import Store
from tests.eventstore.facts import attempt, failed, succeeded, timed_out

IDS = ("one", "two", "three")
COLUMNS = (
    "success",
    "redirect",
    "client_error",
    "rate_limited",
    "server_error",
    "protocol",
    "timeout",
    "no_answer",
    "fatal",
)
COUNTED_AS = {
    "redirect": "redirect",
    "client_error": "client_error",
    "gone": "client_error",
    "rate_limited": "rate_limited",
    "server_error": "server_error",
    "unavailable": "server_error",
    "protocol": "protocol",
    "no_answer": "no_answer",
}
CODES = {"redirect": 302, "gone": 410, "rate_limited": 429, "unavailable": 503, "client_error": 404}


def of_kind(kind: str, error_class: str, app_id: int, installation_id: str, number: int) -> Event:
    mail_id = f"mail-{3 + number % 2}"
    simple: dict[str, Event] = {
        "missed": DeliveryMissed("d", "issue.created", "2025-02-03T12:00:00.000000Z"),
        "exhausted": DeliveryExhausted("d", "issue.created", 8, error_class),
        "requeued": DeliveryRequeued("d", "issue.created", "dead", "person:ada"),
        "dropped": DeliveryDropped("d", "issue.created", "dead", "person:ada", "old"),
        "created": InstallationCreated(installation_id, app_id, 17),
        "removed": InstallationRemoved(installation_id),
        "disabled": InstallationDisabled(installation_id, app_id, 17, "https://x", "person", "person:ada", "why"),
        "enabled": InstallationEnabled(installation_id, "person:ada", "fixed"),
        "frozen": DisablingFrozen(10, 6, 6),
        "thawed": DisablingThawed(10, 1),
        "imported": InstallationCountsImported(
            installation_id, f"2025-02-0{3 + number % 3}", "file", "person:ada", 0, number, 2
        ),
        "audit": AuditRecorded("internal-integration.disable", "system", "organization:17", {"name": f"n{number}"}),
        "requested": MailRequested(f"mail-{number}", f"<{number}@x>", "ada@x", "integration-disabled", number),
        "sent": MailSent(mail_id, number),
        "mail_failed": MailFailed(mail_id, number, "refused", "2025-02-05T00:00:00.000000Z" if number % 2 else None),
    }
    attempts = {
        "succeeded": lambda: succeeded(app_id=app_id),
        "failed": lambda: (
            failed("protocol", 0, fault="no_answer", app_id=app_id)
            if error_class == "no_answer"
            else failed(error_class, CODES.get(error_class, 500), app_id=app_id)
        ),
        "timed_out": lambda: timed_out(app_id=app_id),
        "blocked": lambda: attempt(DeliveryBlocked, error_class="blocked", app_id=app_id),
        "probe_failed": lambda: attempt(ProbeFailed, error_class=error_class, status_code=500, app_id=app_id),
        "probe_succeeded": lambda: attempt(ProbeSucceeded, status_code=200, app_id=app_id),
    }
    return simple[kind] if kind in simple else attempts[kind]()


KINDS = (
    *("succeeded", "failed", "failed", "timed_out", "blocked", "missed", "exhausted", "requeued", "dropped"),
    *("created", "removed", "disabled", "enabled", "audit", "requested", "sent", "mail_failed"),
    *("probe_failed", "probe_succeeded", "frozen", "thawed", "imported"),
)
steps = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from((*COUNTED_AS, "internal")),
        st.sampled_from(IDS),
        st.sampled_from((0.0, 0.0, 3600.0, 40_000.0)),
    ),
    max_size=60,
)
# So that most of what follows meets an installation, or a mail, that is there.
BEGINNING = [("created", "internal", name, 0.0) for name in IDS] + [("requested", "internal", "one", 0.0)] * 2
histories = steps | steps.map(lambda history: BEGINNING + history)


def fold_buffer(events: list[StoredEvent]) -> dict[tuple[str, str], dict[str, Any]]:
    days: dict[tuple[str, str], dict[str, Any]] = {}
    is_frozen = False
    for stored in events:
        if isinstance(stored.event, DisablingFrozen | DisablingThawed):
            is_frozen = isinstance(stored.event, DisablingFrozen)
        key = (stored.stream.removeprefix("installation-"), stored.recorded_at[:10])
        column = None
        match stored.event:
            case DeliverySucceeded():
                column = "success"
            case DeliveryTimedOut():
                column = "timeout"
            case DeliveryFailed(error_class=error_class, fault=fault):
                column = COUNTED_AS.get(fault or error_class)
        if isinstance(stored.event, InstallationCreated | InstallationEnabled):
            days = {other: counts for other, counts in days.items() if other[0] != key[0]}
        if isinstance(stored.event, InstallationCountsImported):
            key = (key[0], stored.event.day)
            counts = days.setdefault(key, dict.fromkeys(COLUMNS, 0) | {"failures": []})
            for name in ("success", "client_error", "timeout", "fatal"):
                counts[name] += getattr(stored.event, name)
        if column is None or (is_frozen and column != "success"):
            continue
        counts = days.setdefault(key, dict.fromkeys(COLUMNS, 0) | {"failures": []})
        counts[column] += 1
        counts["failures"] += [stored.position] if column != "success" else []
    return days


def fold_installations(events: list[StoredEvent]) -> dict[str, tuple[str, str, int | None]]:
    states: dict[str, tuple[str, str, int | None]] = {}
    for stored in events:
        installation_id = stored.stream.removeprefix("installation-")
        if isinstance(stored.event, InstallationCreated):
            states[installation_id] = ("active", stored.recorded_at, None)
        elif installation_id in states:
            match stored.event:
                case InstallationRemoved():
                    states[installation_id] = ("removed", stored.recorded_at, None)
                case InstallationDisabled():
                    states[installation_id] = ("disabled", stored.recorded_at, stored.position)
                case InstallationEnabled():
                    states[installation_id] = ("active", stored.recorded_at, None)
    return states


def fold_outbox(events: list[StoredEvent]) -> dict[str, tuple[str, int, str, str]]:
    mails: dict[str, tuple[str, int, str, str]] = {}
    for stored in events:
        match stored.event:
            case MailRequested(mail_id=mail_id):
                mails[mail_id] = ("requested", 0, stored.recorded_at, "")
            case MailSent(mail_id=mail_id, attempt=number) if mail_id in mails:
                mails[mail_id] = ("sent", number, mails[mail_id][2], "")
            case MailFailed(mail_id=mail_id, attempt=number, error=error, retry_at=retry_at) if mail_id in mails:
                state = "requested" if retry_at else "failed"
                mails[mail_id] = (state, number, retry_at or mails[mail_id][2], error)
    return mails


def fold_requests(events: list[StoredEvent], *, is_errors_only: bool) -> list[int]:
    found = []
    for app_id in (1, 2, 3):
        attempts = [one for one in events if isinstance(one.event, AttemptEvent) and one.event.app_id == app_id]
        errors = [one for one in attempts if isinstance(one.event, AttemptEvent) and is_error(one.event.status_code)]
        kept = errors[-100:] if is_errors_only else attempts[-100:] + errors[-100:]
        found += [one.position for one in kept]
    return sorted(set(found), reverse=True)[:100]


def is_error(code: int) -> bool:
    return code == 0 or code in range(400, 600)


def written(path: Path, history: list[tuple[str, str, str, float]]) -> tuple[Store, list[StoredEvent]]:
    path.unlink(missing_ok=True)
    clock = ManualClock(datetime(2025, 2, 3, tzinfo=UTC))
    store = Store(path, clock)
    for number, (kind, error_class, installation_id, seconds) in enumerate(history):
        clock.advance(seconds=seconds)
        event = of_kind(kind, error_class, IDS.index(installation_id) + 1, installation_id, number)
        with store.transaction() as transaction:
            transaction.append(NewEvent(installation_stream(installation_id), event))
    return store, list(read_events(store.connection))


@given(history=histories)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_every_projection_is_the_fold_of_the_events(
    tmp_path_factory: Any, history: list[tuple[str, str, str, float]]
) -> None:
    store, events = written(tmp_path_factory.mktemp("home") / "events.db", history)
    with store:
        buffer = store.connection.execute(
            f"SELECT installation_id, day, {', '.join(COLUMNS)}, first_failure, last_failure FROM buffer"
        ).fetchall()
        installations = store.connection.execute(
            "SELECT installation_id, state, changed_at, disabled_position FROM installations"
        ).fetchall()
        outbox = store.connection.execute("SELECT mail_id, state, attempts, due_at, last_error FROM outbox").fetchall()
        audit = store.connection.execute("SELECT position, recorded_at, data FROM audit ORDER BY position").fetchall()
        everything = [one.position for one in read_requests(store.connection, RequestFilter(), store.clock.now())]
        errors_only = RequestFilter(is_errors_only=True)
        errors = [one.position for one in read_requests(store.connection, errors_only, store.clock.now())]

    assert len(events) == len(history)
    assert {(row[0], row[1]): row[2:] for row in buffer} == {
        key: (
            *(counts[name] for name in COLUMNS),
            min(counts["failures"], default=None),
            max(counts["failures"], default=None),
        )
        for key, counts in fold_buffer(events).items()
    }
    assert {row[0]: row[1:] for row in installations} == fold_installations(events)
    assert {row[0]: row[1:] for row in outbox} == fold_outbox(events)
    assert audit == [
        (stored.position, stored.recorded_at, f'{{"name":"{stored.event.data["name"]}"}}')
        for stored in events
        if isinstance(stored.event, AuditRecorded)
    ]
    assert everything == fold_requests(events, is_errors_only=False)
    assert errors == fold_requests(events, is_errors_only=True)


def test_every_event_of_an_attempt_is_in_the_request_log_and_those_that_count_in_the_buffer() -> None:
    from eventstore.events.catalogue import EVENT_CLASSES
    from eventstore.projections import broken_state_buffer as buffer

    attempts = {event_class for event_class in EVENT_CLASSES.values() if issubclass(event_class, AttemptEvent)}

    assert attempts == set(request_log.HANDLERS)
    assert attempts & set(buffer.HANDLERS) == {DeliverySucceeded, DeliveryFailed, DeliveryTimedOut}


def tables_of(path: Path, groups: list[list[Event]]) -> dict[str, list[Any]]:
    """Return all projections after transactions at one moment, each of a group of events."""
    with Store(path, ManualClock(datetime(2025, 2, 3, tzinfo=UTC))) as store:
        for group in groups:
            with store.transaction() as transaction:
                transaction.append(
                    *(NewEvent(installation_stream(IDS[event_app(event) - 1]), event) for event in group)
                )
        names = [table for projection in PROJECTIONS.values() for table in projection.tables]
        return {name: store.connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}


def event_app(event: Event) -> int:
    return int(getattr(event, "app_id", 1))


@given(history=histories, cuts=st.lists(st.integers(0, 60), max_size=4))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_by_the_group_every_projection_is_what_it_is_one_by_one(
    tmp_path_factory: Any, history: list[tuple[str, str, str, float]], cuts: list[int]
) -> None:
    events = [
        of_kind(kind, error_class, IDS.index(installation_id) + 1, installation_id, number)
        for number, (kind, error_class, installation_id, _) in enumerate(history)
    ]
    edges = [0, *sorted(cuts), len(events)]
    groups = [events[start:end] for start, end in pairwise(edges)]
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(request_log, "_TRIM_EVERY", 5)
        patch.setattr(request_log, "KEPT_ROWS", 3)
        one_by_one = tables_of(folder / "single.db", [[event] for event in events])

        assert tables_of(folder / "groups.db", groups) == one_by_one


def test_history_of_one_transaction_is_folded_like_one_of_many(store: Store) -> None:
    stream = installation_stream("one")
    events = [InstallationCreated("one", 1, 17), failed(), InstallationEnabled("one", "person:ada", ""), failed()]
    with store.transaction() as transaction:
        transaction.append(*(NewEvent(stream, event) for event in events))

    days = defaultdict(list)
    for row in store.connection.execute("SELECT installation_id, server_error, first_failure FROM buffer"):
        days[row[0]].append(row[1:])
    assert days == {"one": [(1, 4)]}
