"""The watch over the fleet, and what a freeze changes in the database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.common.clock import ManualClock, SystemClock
from eventstore.common.identifiers import FLEET_STREAM, app_stream, installation_stream
from eventstore.common.shard import WHOLE
from eventstore.decisions.disable import DisableRequest, disable
from eventstore.decisions.outage_watch import HealthChange, begin_watch, lift_freeze, note_health, read_failing_share
from eventstore.decisions.review import ReviewRequest, review
from eventstore.events.catalogue import (
    AppRegistered,
    DisablingFrozen,
    DisablingThawed,
    Event,
    InstallationCreated,
    InstallationDisabled,
)
from eventstore.home.folder import Home
from eventstore.log.event_log import NewEvent, last_position, read_events
from eventstore.policies.outage_rule import FailingShare, OutageRule, should_freeze, should_lift_freeze
from eventstore.policies.policy import BALANCED
from eventstore.projections.broken_state_buffer import read_days
from eventstore.projections.health import Outage, failing_since, read_outage
from eventstore.unit_of_work import Store
from replay.check.verification import verify
from tests.eventstore.facts import INSTALLATION_ID, break_by_balanced, failed, record, register, succeeded, timed_out
from tests.eventstore.processes import at_once, noting_failures

START = datetime(2025, 2, 3, 12, tzinfo=UTC)
RULE = OutageRule(share=0.3, window_s=300, installations_min=5)
FROZEN = DisablingFrozen(active=10, failing=6, newly_failing=6)
THAWED = DisablingThawed(active=10, failing=1)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def state(*, working: int = 0, newly_failing: int = 0, failing_for_long: int = 0) -> FailingShare:
    failing = newly_failing + failing_for_long
    return FailingShare(working + failing, failing, newly_failing)


def test_more_than_the_share_and_at_least_the_minimum_freeze() -> None:
    assert should_freeze(RULE, state(working=11, newly_failing=5))


def test_fewer_than_the_minimum_never_freeze() -> None:
    assert not should_freeze(RULE, state(newly_failing=4))


def test_exactly_the_share_does_not_freeze() -> None:
    assert not should_freeze(RULE, state(working=14, newly_failing=6))
    assert should_freeze(RULE, state(working=13, newly_failing=6))


def test_those_that_have_failed_for_long_do_not_freeze() -> None:
    assert not should_freeze(RULE, state(failing_for_long=50, newly_failing=4))


def test_it_thaws_when_no_more_than_the_share_fails() -> None:
    assert not should_lift_freeze(RULE, state(working=13, failing_for_long=6), watched_s=10_000)
    assert should_lift_freeze(RULE, state(working=14, failing_for_long=6), watched_s=10_000)


def test_after_a_restart_it_stays_frozen_until_enough_was_seen() -> None:
    found = [should_lift_freeze(RULE, state(working=number), watched_s=0) for number in range(1, 6)]

    assert found == [False, False, False, False, True]


def test_after_a_restart_of_a_small_fleet_a_window_is_long_enough() -> None:
    assert not should_lift_freeze(RULE, state(working=1), watched_s=300)
    assert should_lift_freeze(RULE, state(working=1), watched_s=300.001)


def test_silence_is_no_sign_that_it_has_passed() -> None:
    assert not should_lift_freeze(RULE, state(), watched_s=10_000)


@given(working=st.integers(0, 60), old=st.integers(0, 60), new=st.integers(0, 60))
def test_what_freezes_does_not_thaw_at_once(working: int, old: int, new: int) -> None:
    outage = state(working=working, newly_failing=new, failing_for_long=old)

    assert not (should_freeze(RULE, outage) and should_lift_freeze(RULE, outage, watched_s=10_000))


def note(store: Store, *changes: tuple[str, datetime | None], rule: OutageRule = RULE) -> DisablingFrozen | None:
    """Tell the watch of installations and since when each fails."""
    with store.transaction() as transaction:
        return note_health(transaction, [HealthChange(name, since) for name, since in changes], rule)


def leave(store: Store, *names: str) -> None:
    with store.transaction() as transaction:
        note_health(transaction, [HealthChange(name, None, is_at_work=False) for name in names], RULE)


def working(count: int) -> list[tuple[str, datetime | None]]:
    return [(f"working-{number}", None) for number in range(count)]


def failing(count: int, since: datetime = START) -> list[tuple[str, datetime | None]]:
    return [(f"failing-{number}", since) for number in range(count)]


def watched(store: Store, now: datetime = START) -> FailingShare:
    return read_failing_share(store.connection, RULE, now)


def test_who_begins_to_fail_is_new_for_the_length_of_the_window(store: Store) -> None:
    note(store, *failing(4), *working(1))

    assert watched(store, at(299.999)) == FailingShare(active=5, failing=4, newly_failing=4)
    assert watched(store, at(300)) == FailingShare(active=5, failing=4, newly_failing=0)


def test_a_further_failure_begins_nothing_anew(store: Store) -> None:
    note(store, *failing(4, at(-400)))
    note(store, *failing(4, START))

    assert watched(store).newly_failing == 0


def test_who_worked_in_between_begins_anew(store: Store) -> None:
    note(store, *failing(4, at(-400)))
    note(store, *((name, None) for name, _ in failing(4)))
    note(store, *failing(4, START))

    assert watched(store).newly_failing == 4


def test_who_is_at_work_no_more_is_not_counted(store: Store) -> None:
    note(store, *working(3), *failing(4))
    leave(store, "failing-0", "working-0", "never seen")

    assert watched(store) == FailingShare(active=5, failing=3, newly_failing=3)


def test_the_one_that_is_too_many_freezes_and_no_other_does_again(store: Store) -> None:
    before = note(store, *working(6), *failing(4))
    frozen = note(store, ("one more", START))
    again = note(store, ("another", START))

    assert (before, again) == (None, None)
    assert frozen == DisablingFrozen(active=11, failing=5, newly_failing=5)
    assert read_outage(store.connection).is_frozen


def at_hosts(store: Store, *tenants: tuple[int, str]) -> list[str]:
    """Register installations, each of an organization and at a host; return their ids."""
    ids = []
    for number, (organization_id, host) in enumerate(tenants, start=1):
        app = AppRegistered(
            number, "app", "App", f"u-{number}", "internal", organization_id, f"https://{host}/{number}"
        )
        ids.append(f"{number:08d}-1111-4111-8111-111111111111")
        with store.transaction() as transaction:
            transaction.append(
                NewEvent(app_stream(number), app),
                NewEvent(installation_stream(ids[-1]), InstallationCreated(ids[-1], number, organization_id)),
            )
    return ids


OTHERS = [(number, f"host-{number}.example") for number in range(100, 110)]


@pytest.mark.parametrize(
    "flapping",
    [
        [(1, "one.example")] * 6,  # one organization, one host
        [(1, f"{number}.one.example") for number in range(6)],  # one organization, many hosts
        [(number, "one.example") for number in range(1, 7)],  # many organizations, one host
    ],
)
def test_one_tenant_or_one_host_that_flaps_freezes_disabling_for_nobody(
    store: Store, flapping: list[tuple[int, str]]
) -> None:
    ids = at_hosts(store, *flapping, *OTHERS)
    note(store, *((one, None) for one in ids))
    for look in range(22):
        assert note(store, *((one, at(look)) for one in ids[:6])) is None
        note(store, *((one, None) for one in ids[:6]))

    assert not read_outage(store.connection).is_frozen


@pytest.mark.parametrize("ahead", [timedelta(seconds=301), timedelta(days=3650)])
def test_tenants_that_fail_since_a_clock_was_ahead_do_not_make_an_outage_of_one_that_flaps(
    store: Store, clock: ManualClock, ahead: timedelta
) -> None:
    # One organization at one host, and as many others as would make it an outage if they had begun now.
    ids = at_hosts(store, *[(1, "one.example")] * 8, *OTHERS)
    note(store, *((one, None) for one in ids))
    note(store, *((one, clock.now() + ahead) for one in ids[8:]))

    assert note(store, *((one, clock.now()) for one in ids[:8])) is None
    assert not read_outage(store.connection).is_frozen


def test_many_tenants_at_many_hosts_freeze_and_the_event_says_who_they_are(store: Store) -> None:
    ids = at_hosts(store, *OTHERS, *[OTHERS[3]] * 2)
    note(store, *((one, None) for one in ids))
    note(store, *((one, START) for one in (*ids[:5], *ids[10:])))
    (stored,) = read_events(store.connection, stream=FLEET_STREAM)

    assert isinstance(stored.event, DisablingFrozen)
    assert stored.event.hosts[0] == "host-103.example"
    assert sorted(stored.event.organizations) == ["100", "101", "102", "103", "104"]


def test_a_freeze_passes_though_one_tenant_goes_on_failing(store: Store) -> None:
    ids = at_hosts(store, *OTHERS, *[(1, "one.example")] * 20)
    note(store, *((one, START) for one in ids))
    assert read_outage(store.connection).is_frozen

    note(store, *((one, None) for one in ids[:10]))
    with store.transaction() as transaction:
        assert lift_freeze(transaction, RULE, watched_since=START).is_changed


def test_a_daemon_of_one_organization_at_one_host_is_its_own_fleet(store: Store) -> None:
    ids = at_hosts(store, *[(1, "one.example")] * 6)
    note(store, *((one, START) for one in ids))

    assert read_outage(store.connection).is_frozen


def test_a_freeze_ends_once_and_only_when_it_has_passed(store: Store) -> None:
    note(store, *failing(5))
    decisions = []
    for changes in ([], working(12), []):
        note(store, *changes)
        with store.transaction() as transaction:
            decisions.append(lift_freeze(transaction, RULE, watched_since=START).is_changed)

    assert decisions == [False, True, False]
    assert not read_outage(store.connection).is_frozen


def test_without_a_rule_a_freeze_ends_at_once(store: Store) -> None:
    note(store, *failing(5))
    with store.transaction() as transaction:
        lift_freeze(transaction, None, watched_since=START)

    assert not read_outage(store.connection).is_frozen


def test_a_worker_that_starts_forgets_its_own_share_and_no_other(store: Store) -> None:
    note(store, *working(40))
    first, second = WHOLE.shared_out(2)
    with store.transaction() as transaction:
        begin_watch(transaction, first)

    names = [row[0] for row in store.connection.execute("SELECT installation_id FROM at_work")]
    assert set(names) == set(second.of(name for name, _ in working(40)))
    assert 0 < len(names) < 40


def test_processes_that_note_at_once_freeze_once(home: Home) -> None:
    Store(home.database).close()
    at_once(noting_failures, home.database, 20, count=3)

    with Store(home.database) as store:
        assert watched(store, SystemClock().now()) == FailingShare(active=60, failing=60, newly_failing=60)
        assert len(list(read_events(store.connection, stream=FLEET_STREAM))) == 1


def tell(store: Store, *events: Event) -> None:
    with store.transaction() as transaction:
        transaction.append(*(NewEvent(FLEET_STREAM, event) for event in events))


def test_a_new_database_is_not_frozen(store: Store) -> None:
    assert read_outage(store.connection) == Outage(is_frozen=False, changed_at="", active=0, failing=0)


def test_the_database_knows_since_when_it_is_frozen_and_by_which_counts(store: Store, clock: ManualClock) -> None:
    tell(store, FROZEN)
    frozen = read_outage(store.connection)
    clock.advance(seconds=60)
    tell(store, THAWED)

    assert frozen == Outage(True, "2025-02-03T12:00:00.000000Z", 10, 6)
    assert read_outage(store.connection) == Outage(False, "2025-02-03T12:01:00.000000Z", 10, 1)


def test_failures_while_frozen_are_not_counted_and_successes_are(store: Store) -> None:
    record(store, failed())
    tell(store, FROZEN)
    record(store, failed(), timed_out(), succeeded())
    tell(store, THAWED)
    record(store, timed_out())

    (day,) = read_days(store.connection, INSTALLATION_ID, "")
    assert (day.server_error, day.timeout, day.success) == (1, 1, 1)
    assert (day.first_failure, day.last_failure) == (1, 7)


KINDS: dict[str, Any] = {"+": succeeded, "-": failed, "t": timed_out, "F": FROZEN, "T": THAWED}


@given(history=st.text(st.sampled_from("+-tFT"), max_size=30))
@settings(max_examples=40)
def test_the_live_buffer_and_the_replay_agree_on_a_freeze(tmp_path_factory: Any, history: str) -> None:
    database = tmp_path_factory.mktemp("home") / "events.db"
    with Store(database, ManualClock(START)) as store:
        for letter in history:
            tell(store, KINDS[letter]) if letter in "FT" else record(store, KINDS[letter]())
        found = verify(database)
        days = read_days(store.connection, INSTALLATION_ID, "")

    expected, is_frozen = {"+": 0, "-": 0, "t": 0}, False
    for letter in history:
        is_frozen = letter == "F" or (is_frozen and letter != "T")
        if letter == "+" or (letter in "-t" and not is_frozen):
            expected[letter] += 1
    counted = {"+": 0, "-": 0, "t": 0}
    for day in days:
        counted = {"+": day.success, "-": day.server_error, "t": day.timeout}
    assert found.differences == ()
    assert counted == expected


REQUEST = ReviewRequest(INSTALLATION_ID, BALANCED)


def test_while_frozen_the_policy_disables_nothing(store: Store, clock: ManualClock) -> None:
    register(store)
    break_by_balanced(store, clock)
    tell(store, FROZEN)
    with store.transaction() as transaction:
        decision = review(transaction, REQUEST)

    assert not decision.is_changed
    assert "frozen" in decision.why
    assert [one for one in read_events(store.connection) if isinstance(one.event, InstallationDisabled)] == []


@pytest.mark.parametrize("cause", ["person", "receiver"])
def test_a_freeze_stops_neither_a_person_nor_a_receiver_that_is_gone(store: Store, cause: str) -> None:
    register(store)
    tell(store, FROZEN)
    with store.transaction() as transaction:
        if cause == "person":
            decision = disable(transaction, DisableRequest(INSTALLATION_ID, "person:ada", "on purpose", BALANCED))
        else:
            decision = review(transaction, replace(REQUEST, gone_at=last_position(store.connection)))

    assert decision.is_changed


def test_after_the_thaw_the_policy_disables_again(store: Store, clock: ManualClock) -> None:
    register(store)
    break_by_balanced(store, clock)
    tell(store, FROZEN, THAWED)
    with store.transaction() as transaction:
        decision = review(transaction, REQUEST)

    assert decision.is_changed


@pytest.mark.parametrize("days", [2, 3])
def test_a_review_neither_warns_nor_disables_while_frozen(store: Store, clock: ManualClock, days: int) -> None:
    register(store)
    for _ in range(days):
        record(store, *[failed()] * 4)
        clock.advance(days=1)
    tell(store, FROZEN)
    position = store.connection.execute("SELECT max(position) FROM events").fetchone()
    with store.transaction() as transaction:
        decision = review(transaction, ReviewRequest(INSTALLATION_ID, BALANCED, "internal", "hookfuse.example"))

    assert not decision.is_changed
    assert "frozen" in decision.why
    assert store.connection.execute("SELECT max(position) FROM events").fetchone() == position


def test_an_installation_fails_since_the_first_failure_after_its_latest_success(
    store: Store, clock: ManualClock
) -> None:
    for one in (failed(), succeeded(), failed("rate_limited", 429), timed_out(), failed(), failed("internal", 0)):
        record(store, one)
        clock.advance(seconds=60)

    assert failing_since(store.connection, INSTALLATION_ID, not_before=at(-9999)) == at(180)


def test_since_when_it_fails_is_not_looked_for_further_than_asked(store: Store, clock: ManualClock) -> None:
    for _ in range(5):
        record(store, failed())
        clock.advance(seconds=60)

    assert failing_since(store.connection, INSTALLATION_ID, not_before=at(150)) == at(120)


def test_what_works_or_was_never_tried_does_not_fail(store: Store) -> None:
    never_tried = failing_since(store.connection, INSTALLATION_ID, not_before=START)
    record(store, failed(), succeeded())

    assert never_tried is None
    assert failing_since(store.connection, INSTALLATION_ID, not_before=START) is None
