"""The watch over the fleet, and what a freeze changes in the database."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.buffer import read_days
from eventstore.clock import ManualClock
from eventstore.disabling import DisableRequest, disable
from eventstore.events import DisablingFrozen, DisablingThawed, Event, InstallationDisabled
from eventstore.fleet import FleetRule, FleetState, FleetWatch
from eventstore.health import Fleet, failing_since, read_fleet
from eventstore.identifiers import FLEET_STREAM
from eventstore.log import NewEvent, read_events
from eventstore.policy import BALANCED
from eventstore.review import ReviewRequest, review
from eventstore.store import Store
from replay import compare_buffer
from tests.eventstore.facts import INSTALLATION_ID, break_by_balanced, failed, record, register, succeeded, timed_out

START = datetime(2025, 2, 3, 12, tzinfo=UTC)
RULE = FleetRule(share=0.3, window_s=300, installations_min=5)
FROZEN = DisablingFrozen(active=10, failing=6, newly_failing=6)
THAWED = DisablingThawed(active=10, failing=1)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def watch(*, working: int = 0, failing: Sequence[float] = ()) -> FleetWatch:
    """Give a watch over so many working installations, and one failing since each of the given seconds."""
    fleet = FleetWatch(RULE, since=at(-10_000))
    for number in range(working):
        fleet.note(f"working-{number}", failing_since=None)
    for number, seconds in enumerate(failing):
        fleet.note(f"failing-{number}", failing_since=at(seconds))
    return fleet


def test_more_than_the_share_and_at_least_the_minimum_freeze() -> None:
    assert watch(working=11, failing=[0] * 5).should_freeze(START)


def test_fewer_than_the_minimum_never_freeze() -> None:
    assert not watch(failing=[0] * 4).should_freeze(START)


def test_exactly_the_share_does_not_freeze() -> None:
    assert not watch(working=14, failing=[0] * 6).should_freeze(START)
    assert watch(working=13, failing=[0] * 6).should_freeze(START)


def test_those_that_have_failed_for_long_do_not_freeze() -> None:
    fleet = watch(failing=[-301] * 50 + [0] * 4)

    assert fleet.state(START) == FleetState(active=54, failing=54, newly_failing=4)
    assert not fleet.should_freeze(START)


def test_who_begins_to_fail_is_new_for_the_length_of_the_window() -> None:
    fleet = watch(failing=[0] * 5)

    assert fleet.should_freeze(at(299.999))
    assert not fleet.should_freeze(at(300))


def test_a_further_failure_begins_nothing_anew() -> None:
    fleet = watch(failing=[-400] * 5)
    for number in range(5):
        fleet.note(f"failing-{number}", failing_since=START)

    assert not fleet.should_freeze(START)


def test_who_worked_in_between_begins_anew() -> None:
    fleet = watch(failing=[-400] * 5)
    for number in range(5):
        fleet.note(f"failing-{number}", failing_since=None)
        fleet.note(f"failing-{number}", failing_since=START)

    assert fleet.should_freeze(START)


def test_who_is_active_no_more_is_not_counted() -> None:
    fleet = watch(working=3, failing=[0] * 6)
    fleet.forget("failing-0")
    fleet.forget("working-0")
    fleet.forget("never seen")

    assert fleet.state(START) == FleetState(active=7, failing=5, newly_failing=5)


def test_it_thaws_when_no_more_than_the_share_fails() -> None:
    assert not watch(working=13, failing=[-400] * 6).should_thaw(START)
    assert watch(working=14, failing=[-400] * 6).should_thaw(START)


def test_after_a_restart_it_stays_frozen_until_enough_was_seen() -> None:
    fleet = FleetWatch(RULE, since=START)
    found = []
    for number in range(5):
        fleet.note(str(number), failing_since=None)
        found.append(fleet.should_thaw(START))

    assert found == [False, False, False, False, True]


def test_after_a_restart_of_a_small_fleet_a_window_is_long_enough() -> None:
    fleet = FleetWatch(RULE, since=START)
    fleet.note("one", failing_since=None)

    assert not fleet.should_thaw(at(300))
    assert fleet.should_thaw(at(300.001))


def test_silence_is_no_sign_that_it_has_passed() -> None:
    assert not watch().should_thaw(START)


@given(
    working=st.integers(0, 60),
    old=st.integers(0, 60),
    new=st.integers(0, 60),
)
def test_what_freezes_does_not_thaw_at_once(working: int, old: int, new: int) -> None:
    fleet = watch(working=working, failing=[-1000.0] * old + [0.0] * new)

    assert not (fleet.should_freeze(START) and fleet.should_thaw(START))


def tell(store: Store, *events: Event) -> None:
    with store.transaction() as transaction:
        transaction.append(*(NewEvent(FLEET_STREAM, event) for event in events))


def test_a_new_database_is_not_frozen(store: Store) -> None:
    assert read_fleet(store.connection) == Fleet(is_frozen=False, changed_at="", active=0, failing=0)


def test_the_database_knows_since_when_it_is_frozen_and_by_which_counts(store: Store, clock: ManualClock) -> None:
    tell(store, FROZEN)
    frozen = read_fleet(store.connection)
    clock.advance(seconds=60)
    tell(store, THAWED)

    assert frozen == Fleet(True, "2025-02-03T12:00:00.000000Z", 10, 6)
    assert read_fleet(store.connection) == Fleet(False, "2025-02-03T12:01:00.000000Z", 10, 1)


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
@settings(max_examples=40, deadline=None)
def test_the_live_buffer_and_the_replay_agree_on_a_freeze(tmp_path_factory: Any, history: str) -> None:
    with Store(tmp_path_factory.mktemp("home") / "events.db", ManualClock(START)) as store:
        for letter in history:
            tell(store, KINDS[letter]) if letter in "FT" else record(store, KINDS[letter]())
        differences = compare_buffer(store.connection)
        days = read_days(store.connection, INSTALLATION_ID, "")

    expected, is_frozen = {"+": 0, "-": 0, "t": 0}, False
    for letter in history:
        is_frozen = letter == "F" or (is_frozen and letter != "T")
        if letter == "+" or (letter in "-t" and not is_frozen):
            expected[letter] += 1
    counted = {"+": 0, "-": 0, "t": 0}
    for day in days:
        counted = {"+": day.success, "-": day.server_error, "t": day.timeout}
    assert differences == []
    assert counted == expected


def request(cause: str, by: str = "system") -> DisableRequest:
    return DisableRequest(INSTALLATION_ID, cause, by, "on purpose", BALANCED)


def test_while_frozen_the_policy_disables_nothing(store: Store, clock: ManualClock) -> None:
    register(store)
    break_by_balanced(store, clock)
    tell(store, FROZEN)
    with store.transaction() as transaction:
        decision = disable(transaction, request("policy"))

    assert not decision.is_changed
    assert "frozen" in decision.why
    assert [one for one in read_events(store.connection) if isinstance(one.event, InstallationDisabled)] == []


@pytest.mark.parametrize(("cause", "by"), [("person", "person:ada"), ("receiver", "system")])
def test_a_freeze_stops_neither_a_person_nor_a_receiver_that_is_gone(store: Store, cause: str, by: str) -> None:
    register(store)
    tell(store, FROZEN)
    with store.transaction() as transaction:
        decision = disable(transaction, request(cause, by))

    assert decision.is_changed


def test_after_the_thaw_the_policy_disables_again(store: Store, clock: ManualClock) -> None:
    register(store)
    break_by_balanced(store, clock)
    tell(store, FROZEN, THAWED)
    with store.transaction() as transaction:
        decision = disable(transaction, request("policy"))

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
