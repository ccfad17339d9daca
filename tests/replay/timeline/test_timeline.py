"""A timeline tells all that happened, each thing once, and no more of it than fits a page."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.output.timeline_text import entry_lines
from eventstore.common.clock import ManualClock, time_text
from eventstore.common.identifiers import (
    FLEET_STREAM,
    MAIL_STREAM,
    app_stream,
    installation_stream,
    organization_stream,
)
from eventstore.errors import DamagedLogError, NotFoundError
from eventstore.events.catalogue import (
    AppChanged,
    AttemptEvent,
    BreakerClosed,
    BreakerOpened,
    DeliveryDropped,
    DeliveryExhausted,
    DeliveryExpired,
    DeliveryMissed,
    DeliveryRequeued,
    DeliverySucceeded,
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
    MailDigested,
    MailFailed,
    MailRequested,
    MailSent,
    OrganizationChanged,
    ProbeFailed,
    ProbeSucceeded,
    RecoveryCompleted,
    RecoveryStarted,
)
from eventstore.log.event_log import NewEvent, read_events
from eventstore.unit_of_work import Store
from replay.as_of.settings_diff import FieldChange
from replay.reading.moment import latest_moment, moment_at, moment_of
from replay.timeline.entries import (
    AppChange,
    Attempts,
    Creation,
    Disabling,
    Enabling,
    Entry,
    Freeze,
    Gap,
    Import,
    MailFate,
    Missed,
    OperatorAction,
    OrganizationChange,
    Other,
    Probes,
    Recovery,
    Removal,
    Warnings,
)
from replay.timeline.telling import tell
from tests.eventstore.facts import (
    INSTALLATION_ID,
    OTHER_INSTALLATION_ID,
    URL,
    attempt,
    failed,
    record,
    register,
    succeeded,
    timed_out,
)
from tests.replay.past import HAPPENINGS, happen

BEGAN = datetime(2025, 2, 3, 12, tzinfo=UTC)
STREAM = installation_stream(INSTALLATION_ID)
EVIDENCE = DisableEvidence("balanced", 1, "no-success", "no success for 3 days", (), 5)
OWNER, OTHER_OWNER = "ada@acme.example", "bob@acme.example"

Kind = TypeVar("Kind", bound=Entry)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(BEGAN)


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    with Store(tmp_path / "events.db", clock) as store:
        register(store)
        yield store


def append(store: Store, *events: Event, stream: str = STREAM) -> int:
    """Record events, and return the position of the first."""
    with store.transaction() as transaction:
        return transaction.append(*(NewEvent(stream, event) for event in events))[0].position


def told(store: Store, **options: Any) -> tuple[Entry, ...]:
    return tell(store.connection, INSTALLATION_ID, latest_moment(store.connection, store.clock.now()), **options)


def only(kind: type[Kind], entries: tuple[Entry, ...]) -> list[Kind]:
    return [entry for entry in entries if isinstance(entry, kind)]


def warned(level: int = 50, app_id: int = 42) -> InstallationWarned:
    return InstallationWarned(INSTALLATION_ID, app_id, 17, URL, level, level / 100, EVIDENCE)


def disabled(cause: str = "policy") -> InstallationDisabled:
    return InstallationDisabled(INSTALLATION_ID, 42, 17, URL, cause, "system", "no success", EVIDENCE)


def enabled(reason: str = "fixed") -> InstallationEnabled:
    return InstallationEnabled(INSTALLATION_ID, "person:ann", reason)


# --- for all histories ---

MORE: dict[str, Event] = {
    "warned": warned(),
    "lifted": InstallationWarningLifted(INSTALLATION_ID),
    "dry run": BreakerOpened(INSTALLATION_ID, "2025-02-03T13:00:00.000000Z", "10 in a row", is_dry_run=True),
    "exhausted": DeliveryExhausted("d", "issue.created", 8, "timeout"),
}
histories = st.lists(st.sampled_from((*HAPPENINGS, *MORE, "failed", "succeeded", "a day passes")), max_size=120)


@given(history=histories)
@settings(max_examples=60)
def test_all_that_happened_is_told_once(history: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "events.db", ManualClock(BEGAN)) as store:
        register(store)
        for what in history:
            if what in MORE:
                append(store, MORE[what])
            else:
                happen(store, what)
        entries = told(store)
        events = [stored.event for stored in read_events(store.connection, stream=STREAM)]
        types = Counter(event.type_name for event in events)
        outcomes = Counter(
            "" if isinstance(event, DeliverySucceeded) else event.error_class
            for event in events
            if isinstance(event, AttemptEvent) and not isinstance(event, ProbeSucceeded | ProbeFailed)
        )

        counted: Counter[str] = Counter()
        for entry in only(Attempts, entries):
            counted += Counter({"": entry.succeeded, **entry.failed})
        others: Counter[str] = Counter()
        for other in only(Other, entries):
            others[other.type_name] += other.count
        assert counted == outcomes
        assert (
            sum(one.exhausted for one in only(Attempts, entries)) + others["delivery.exhausted"]
            == types["delivery.exhausted"]
        )
        opened = sum(one.breaker_opened for one in only(Attempts, entries)) + others["breaker.opened"]
        assert opened == types["breaker.opened"]
        for kind, name in (
            (Creation, "installation.created"),
            (Disabling, "installation.disabled"),
            (Enabling, "installation.enabled"),
            (Removal, "installation.removed"),
            (Missed, "delivery.missed"),
            (Recovery, "recovery.started"),
            (Warnings, "installation.warned"),
            (Import, "installation.counts_imported"),
        ):
            assert sum(entry.count for entry in only(kind, entries)) == types[name]
        probes = types["probe.failed"] + types["probe.succeeded"]
        assert sum(entry.count for entry in only(Probes, entries)) == probes
        actions = types["delivery.requeued"] + types["delivery.dropped"] + types["delivery.expired"]
        assert sum(entry.count for entry in only(OperatorAction, entries)) == actions
        positions = [entry.first_position for entry in entries]
        assert positions == sorted(positions)
        assert all(entry.first_position <= entry.last_position for entry in entries)
        # What is told can be read by people and by programs.
        assert all([*entry_lines(entry, is_exact=False)] for entry in entries)
        assert len(msgspec.json.decode(msgspec.json.encode(entries))) == len(entries)


# --- attempts ---


def test_attempts_that_went_alike_are_one_entry(store: Store, clock: ManualClock) -> None:
    record(store, *[succeeded()] * 40)
    clock.advance(days=1)
    record(store, *[failed()] * 7, timed_out())
    append(store, DeliveryExhausted("d", "issue.created", 8, "timeout"))
    clock.advance(days=1)
    record(store, *[failed()] * 2)

    first, second = only(Attempts, told(store))
    assert (first.succeeded, first.failed, first.count) == (40, {}, 40)
    assert (second.succeeded, second.failed, second.exhausted) == (0, {"server_error": 9, "read_timeout": 1}, 1)
    assert (second.first_at[:10], second.last_at[:10]) == ("2025-02-04", "2025-02-05")
    assert (second.first_position, second.last_position) == (44, 54)


def test_the_breaker_is_told_with_the_attempts_that_moved_it(store: Store) -> None:
    until = "2025-02-03T12:05:00.000000Z"
    record(store, failed())
    append(store, *[BreakerOpened(INSTALLATION_ID, until, "10 in a row")] * 30)
    append(store, BreakerOpened(INSTALLATION_ID, until, "10 in a row", is_dry_run=True))
    record(store, succeeded())
    append(store, BreakerClosed(INSTALLATION_ID, until))

    failing, delivered = only(Attempts, told(store))
    assert (failing.breaker_opened, failing.breaker_closed) == (30, 0)
    assert (delivered.breaker_opened, delivered.breaker_closed) == (0, 1)
    assert [(one.type_name, one.count) for one in only(Other, told(store))] == [("breaker.opened", 1)]


def test_a_decision_ends_a_streak(store: Store) -> None:
    record(store, succeeded())
    append(store, disabled("person"))
    append(store, enabled())
    record(store, succeeded())

    assert [entry.count for entry in only(Attempts, told(store))] == [1, 1]


def test_a_warning_ends_none(store: Store) -> None:
    record(store, failed())
    append(store, warned())
    record(store, failed())

    assert [type(entry) for entry in told(store)] == [Creation, Attempts, Warnings]


# --- decisions and mails ---


def test_a_decision_has_its_evidence_and_the_fate_of_each_mail(store: Store) -> None:
    position = append(store, disabled())
    names = ("m-1", OWNER), ("m-2", OTHER_OWNER)
    append(store, *(MailRequested(one, f"<{one}>", owner, "integration-disabled", position) for one, owner in names))
    append(store, MailSent("m-1", 1), MailFailed("m-2", 1, "451 later", "2025-02-03T12:10:00.000000Z"))

    (entry,) = only(Disabling, told(store))
    assert (entry.cause, entry.by, entry.evidence) == ("policy", "system", EVIDENCE)
    assert entry.mails == (
        MailFate(OWNER, sent=1),
        MailFate(OTHER_OWNER, pending=1, last_error="451 later"),
    )
    append(store, MailFailed("m-2", 2, "550 unknown"))
    assert only(Disabling, told(store))[0].mails[1] == MailFate(OTHER_OWNER, failed=1, last_error="550 unknown")


@pytest.mark.parametrize("is_sent", [True, False])
def test_the_fate_of_a_digest_is_that_of_its_mails(store: Store, *, is_sent: bool) -> None:
    for one in ("m-1", "m-2"):
        position = append(store, warned())
        append(store, MailRequested(one, f"<{one}>", OWNER, "integration-warned", position))
    append(store, MailDigested("digest", "<digest>", OWNER, ("m-1", "m-2", "of-another")), stream=MAIL_STREAM)
    append(store, MailFailed("digest", 1, "451 later", "2025-02-03T12:10:00.000000Z"), stream=MAIL_STREAM)
    append(store, MailSent("digest", 2) if is_sent else MailFailed("digest", 2, "550"), stream=MAIL_STREAM)

    fates = [entry.mails for entry in only(Warnings, told(store))]
    last = MailFate(OWNER, sent=1, last_error="451 later") if is_sent else MailFate(OWNER, failed=1, last_error="550")
    assert fates == [(last,), (last,)]


def test_mails_about_what_is_not_told_are_passed_over(store: Store) -> None:
    append(
        store, MailRequested("m-1", "<m-1>", OWNER, "integration-disabled", 999), MailSent("m-1", 1), MailSent("m", 1)
    )

    assert [type(entry) for entry in told(store)] == [Creation]


def test_warnings_end_when_it_is_calm_again(store: Store, clock: ManualClock) -> None:
    append(store, InstallationWarningLifted(INSTALLATION_ID))  # of nothing that is known
    append(store, warned(50), warned(90))
    clock.advance(days=1)
    append(store, InstallationWarningLifted(INSTALLATION_ID))

    assert [(one.level, one.lifted_at) for one in only(Warnings, told(store))] == [
        (50, None),
        (90, "2025-02-04T12:00:00.000000Z"),
    ]


def test_warnings_without_end_are_few_entries(store: Store, clock: ManualClock) -> None:
    for _ in range(50):
        position = append(store, warned())
        append(store, MailRequested(f"m-{position}", "<m>", OWNER, "integration-warned", position))
        append(store, MailSent(f"m-{position}", 1))
        clock.advance(days=3)
        append(store, InstallationWarningLifted(INSTALLATION_ID))
        clock.advance(days=1)

    entries = only(Warnings, told(store))
    assert [one.count for one in entries] == [1, 1, 1, 47]
    assert entries[-1].mails == (MailFate(OWNER, sent=47),)
    assert entries[-1].lifted_at == time_text(clock.now() - timedelta(days=1))


# --- people, settings, the fleet ---


def test_deeds_for_one_reason_are_one_entry(store: Store) -> None:
    again = [DeliveryRequeued(f"d-{number}", "issue.created", "dead", "person:ann", "fixed") for number in range(500)]
    append(store, *again, DeliveryDropped("d", "issue.created", "dead", "person:ann", "old"))
    append(store, *[DeliveryExpired("d", "issue.created", "missed", "2025-01-01T00:00:00.000000Z")] * 3)

    assert [(one.what, one.was, one.by, one.reason, one.count) for one in only(OperatorAction, told(store))] == [
        ("requeued", "dead", "person:ann", "fixed", 500),
        ("dropped", "dead", "person:ann", "old", 1),
        ("expired", "missed", "", "", 3),
    ]


def test_deeds_of_different_days_are_told_apart(store: Store, clock: ManualClock) -> None:
    for _ in range(2):
        append(store, DeliveryDropped("d", "issue.created", "dead", "person:ann", "old"))
        clock.advance(days=5)

    assert [one.count for one in only(OperatorAction, told(store))] == [1, 1]


def test_all_missed_of_a_chapter_are_one_entry(store: Store, clock: ManualClock) -> None:
    append(store, disabled())
    for _ in range(3):
        clock.advance(days=10)
        append(store, DeliveryMissed("d", "issue.created", time_text(clock.now())))
    append(store, enabled(), disabled(), DeliveryMissed("d", "issue.created", time_text(clock.now())))

    assert [(one.count, one.first_at[:10]) for one in only(Missed, told(store))] == [
        (3, "2025-02-13"),
        (1, "2025-03-05"),
    ]


def test_a_recovery_ends_when_it_is_complete(store: Store, clock: ManualClock) -> None:
    moments = ("2025-02-01T00:00:00.000000Z", "2025-02-02T00:00:00.000000Z")
    append(store, RecoveryStarted(INSTALLATION_ID, "person:ann", 27, *moments, without_payload=2))
    assert only(Recovery, told(store))[0].completed_at is None
    clock.advance(seconds=3_600)
    append(store, RecoveryCompleted(INSTALLATION_ID))

    (entry,) = only(Recovery, told(store))
    assert (entry.by, entry.deliveries, entry.without_payload, entry.count) == ("person:ann", 27, 2, 1)
    assert entry.completed_at == entry.last_at == "2025-02-03T13:00:00.000000Z"


def test_test_deliveries_near_to_each_other_are_one_entry(store: Store, clock: ManualClock) -> None:
    for event_class in (ProbeFailed, ProbeFailed, ProbeSucceeded):
        error_class = "" if event_class is ProbeSucceeded else "timeout"
        append(store, attempt(event_class, error_class=error_class))
        clock.advance(days=1)
    clock.advance(days=3)
    append(store, attempt(ProbeSucceeded))

    assert [(one.succeeded, one.failed, one.count) for one in only(Probes, told(store))] == [
        (1, {"timeout": 2}, 3),
        (1, {}, 1),
    ]


def test_a_change_of_the_app_is_told_with_before_and_after(store: Store) -> None:
    changed = AppChanged(42, "pager", "Pager", "uuid-42", "internal", 17, f"{URL}/2", secret_version=2)
    append(store, changed, stream=app_stream(42))
    append(store, changed, stream=app_stream(42))  # nothing is new in it

    assert [one.changes for one in only(AppChange, told(store))] == [
        (FieldChange("webhook_url", URL, f"{URL}/2"), FieldChange("secret_version", "1", "2"))
    ]


def test_changes_without_end_are_few_entries(store: Store, clock: ManualClock) -> None:
    for version in range(2, 40):
        changed = AppChanged(42, "pager", "Pager", "uuid-42", "internal", 17, URL, secret_version=version)
        append(store, changed, stream=app_stream(42))
        clock.advance(days=1)

    entries = only(AppChange, told(store))
    assert [one.count for one in entries] == [1, 1, 1, 35]
    assert entries[-1].changes == (FieldChange("secret_version", "4", "39"),)


def test_other_owners_are_told(store: Store) -> None:
    changed = OrganizationChanged(17, "acme", "Acme", "https://acme.example", (OWNER,), changed=("owners",))
    append(store, changed, stream=organization_stream(17))

    (entry,) = only(OrganizationChange, told(store))
    assert entry.changes == (FieldChange("owners", f"{OWNER}, {OTHER_OWNER}", OWNER),)


def test_a_freeze_lasts_until_it_is_thawed(store: Store, clock: ManualClock) -> None:
    append(store, DisablingThawed(20, 1), stream=FLEET_STREAM)  # of nothing that is known
    append(store, DisablingFrozen(20, 12, 11), stream=FLEET_STREAM)
    assert only(Freeze, told(store))[0].lifted_at is None
    clock.advance(seconds=600)
    append(store, DisablingThawed(20, 1), stream=FLEET_STREAM)

    (entry,) = only(Freeze, told(store))
    assert (entry.active, entry.failing, entry.lifted_at) == (20, 12, "2025-02-03T12:10:00.000000Z")


def test_what_concerns_others_is_not_told(store: Store) -> None:
    before = told(store)
    register(store, installation_id=OTHER_INSTALLATION_ID, app_id=43, organization_id=18)
    record(store, failed(app_id=43), installation_id=OTHER_INSTALLATION_ID)

    assert told(store) == before


def test_what_froze_before_it_was_there_is_not_told(tmp_path: Path, clock: ManualClock) -> None:
    with Store(tmp_path / "events.db", clock) as store:
        append(store, DisablingFrozen(20, 12, 11), stream=FLEET_STREAM)
        append(store, DisablingThawed(20, 1), stream=FLEET_STREAM)
        register(store)

        assert [type(entry) for entry in told(store)] == [Creation]


def test_imported_counts_of_many_days_are_one_entry(store: Store) -> None:
    days = [f"2025-01-{day:02}" for day in (5, 3, 4)]
    append(store, *(InstallationCountsImported(INSTALLATION_ID, day, "file", "person:ann", 5, 1, 1, 0) for day in days))

    (entry,) = only(Import, told(store))
    assert (entry.first_day, entry.last_day, entry.succeeded, entry.failures) == ("2025-01-03", "2025-01-05", 15, 6)


# --- gaps, and the ends of a story ---


def gaps(store: Store) -> list[tuple[str, str, int]]:
    return [(one.first_at[:10], one.last_at[:10], one.quiet_days) for one in only(Gap, told(store))]


def test_days_without_traffic_are_told_before_between_and_after(store: Store, clock: ManualClock) -> None:
    for _ in range(2):
        clock.advance(days=10)
        for _ in range(8):
            record(store, succeeded())
            clock.advance(days=1)
    clock.advance(days=20)

    assert gaps(store) == [
        ("2025-02-03", "2025-02-13", 9),
        ("2025-02-20", "2025-03-03", 10),
        ("2025-03-10", "2025-03-31", 20),
    ]


def test_silences_that_are_usual_are_not_told(store: Store, clock: ManualClock) -> None:
    for _ in range(20):
        record(store, succeeded())
        clock.advance(days=7)

    assert gaps(store) == []
    assert [(one.count, one.quiet_days) for one in only(Attempts, told(store))] == [(20, 6 * 19)]


def test_an_installation_that_never_had_traffic_is_quiet(store: Store, clock: ManualClock) -> None:
    clock.advance(days=30)

    assert gaps(store) == [("2025-02-03", "2025-03-05", 29)]


def test_while_nothing_is_sent_no_silence_is_told(store: Store, clock: ManualClock) -> None:
    append(store, disabled())
    clock.advance(days=30)
    append(store, enabled())
    append(store, InstallationRemoved(INSTALLATION_ID))
    clock.advance(days=30)
    append(store, InstallationCreated(INSTALLATION_ID, 42, 17))

    assert gaps(store) == []
    assert [type(entry) for entry in told(store)] == [Creation, Disabling, Enabling, Removal, Creation]


def test_with_since_only_what_was_not_over_is_told(store: Store, clock: ManualClock) -> None:
    record(store, failed())
    append(store, disabled())
    for _ in range(4):
        clock.advance(days=5)
        append(store, DeliveryMissed("d", "issue.created", time_text(clock.now())))
    append(store, enabled())
    record(store, succeeded())
    since = moment_at(store.connection, BEGAN + timedelta(days=11), clock.now())

    # The decision that was in force is told, and what was missed is counted from there on.
    assert [(type(entry), entry.count) for entry in told(store, since=since)] == [
        (Disabling, 1),
        (Missed, 2),
        (Enabling, 1),
        (Attempts, 1),
    ]


def test_with_since_a_silence_begins_there(store: Store, clock: ManualClock) -> None:
    for _ in range(60):
        record(store, succeeded())
        clock.advance(days=1)
    since = moment_at(store.connection, BEGAN + timedelta(days=50), clock.now())

    entries = told(store, since=since)
    assert [type(entry) for entry in entries] == [Creation, Attempts]
    assert entries[1].count == 10


def test_with_since_as_a_position_what_comes_after_it_is_told(store: Store) -> None:
    record(store, failed(), failed(), succeeded())

    entries = told(store, since=moment_of(store.connection, 5))
    assert [(one.succeeded, one.failed) for one in only(Attempts, entries)] == [(1, {})]


def test_until_a_moment_nothing_later_is_told(store: Store) -> None:
    record(store, failed(), succeeded())
    entries = tell(store.connection, INSTALLATION_ID, moment_of(store.connection, 4))

    assert [entry.last_position for entry in entries] == [3, 4]
    with pytest.raises(NotFoundError):
        tell(store.connection, INSTALLATION_ID, moment_of(store.connection, 2))


@pytest.mark.parametrize("damage", ["data = 'x'", "data = CAST(x'ff80' AS TEXT)", "type = 'installation.eaten'"])
def test_an_event_that_cannot_be_read_is_named(store: Store, damage: str) -> None:
    append(store, enabled())
    store.connection.execute("DROP TRIGGER events_refuse_update")
    store.connection.execute(f"UPDATE events SET {damage} WHERE position = 4")

    with pytest.raises(DamagedLogError, match="event 4"):
        told(store)


def test_a_story_of_many_years_is_about_a_page(store: Store, clock: ManualClock) -> None:
    for week in range(200):
        record(store, *[succeeded()] * 30)
        clock.advance(days=3)
        record(store, *[failed()] * (20 if week % 5 == 0 else 1))
        clock.advance(days=4)

    assert len(told(store)) <= 1 + 30 + 1
