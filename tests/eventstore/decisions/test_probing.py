from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from eventstore.common.clock import ManualClock, time_text
from eventstore.common.identifiers import installation_stream
from eventstore.decisions.decision import Change, Decision
from eventstore.decisions.disable import DisableRequest, disable, enable
from eventstore.decisions.probing import (
    ProbingRule,
    due_probes,
    enable_after_probe,
    enqueue_probe,
    is_by_machine,
    next_probe_at,
    probe_event,
)
from eventstore.decisions.review import ReviewRequest, review
from eventstore.deliveries.record_attempts import DeliveryRecord, record_deliveries
from eventstore.errors import NotFoundError, RejectedError
from eventstore.events.catalogue import InstallationEnabled, InstallationRemoved, ProbeFailed, ProbeSucceeded
from eventstore.home.folder import Home
from eventstore.log.change_signal import change_version
from eventstore.log.event_log import NewEvent, last_position, read_events
from eventstore.policies.policy import BALANCED
from eventstore.projections.audit import read_audit
from eventstore.projections.registry import find_installation
from eventstore.queue.claim import claim, installations_with_waiting
from eventstore.queue.delivery import NewDelivery, QueuedDelivery
from eventstore.queue.enqueue import enqueue
from eventstore.queue.probes import drop_probe
from eventstore.queue.queries import find_delivery
from eventstore.queue.sequences import newest_sequence
from eventstore.settings.sections import ProbingSettings
from eventstore.unit_of_work import Store
from tests.eventstore.facts import INSTALLATION_ID, attempt, break_by_balanced, failed, register, succeeded, timed_out

RULE = ProbingRule(enabled=True, first_s=60, factor=2, max_s=300, cool_down_s=3_600)
BY_RECEIVER = ReviewRequest(INSTALLATION_ID, BALANCED, gone_at=0)
BY_PERSON = DisableRequest(INSTALLATION_ID, "person:ada", "maintenance", BALANCED)
AT = datetime(2025, 2, 3, 12, tzinfo=UTC)


@pytest.fixture
def known(store: Store) -> Store:
    register(store)
    return store


@pytest.fixture
def disabled(known: Store) -> Store:
    switch_off(known)
    return known


def switch_off(store: Store, request: DisableRequest | ReviewRequest = BY_RECEIVER) -> None:
    with store.transaction() as transaction:
        if isinstance(request, ReviewRequest):
            assert review(transaction, replace(request, gone_at=last_position(transaction.connection))).is_changed
        else:
            assert disable(transaction, request).is_changed


def switch_on(store: Store, by: str = "person:ada") -> None:
    with store.transaction() as transaction:
        assert enable(transaction, INSTALLATION_ID, by=by, reason="fixed").is_changed


def remove(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.append(NewEvent(installation_stream(INSTALLATION_ID), InstallationRemoved(INSTALLATION_ID)))


def queue_probe(store: Store, by: str = "system") -> QueuedDelivery:
    with store.transaction() as transaction:
        delivery_id = enqueue_probe(transaction, INSTALLATION_ID, by=by)
    delivery = find_delivery(store.connection, delivery_id)
    assert delivery is not None
    return delivery


def record_probe(store: Store, *, is_success: bool) -> None:
    delivery = queue_probe(store)
    event_class = ProbeSucceeded if is_success else ProbeFailed
    event = attempt(event_class, delivery_id=delivery.delivery_id, status_code=200 if is_success else 500)
    with store.transaction() as transaction:
        assert record_deliveries(transaction, [DeliveryRecord(delivery, event)]) != [0]


def due(store: Store, rule: ProbingRule = RULE) -> tuple[str, ...]:
    return due_probes(store.connection, rule, store.clock.now())


def decide(store: Store, **fields: Any) -> Decision:
    with store.transaction() as transaction:
        return enable_after_probe(transaction, INSTALLATION_ID, **fields)


def test_a_probe_is_claimed_before_everything_else(known: Store, clock: ManualClock) -> None:
    with known.transaction() as transaction:
        new = NewDelivery(INSTALLATION_ID, "issue.created", "{}")
        enqueue(transaction.connection, [new], enqueued_at="2000-01-01T00:00:00.000000Z")
    probe = queue_probe(known)
    found = claim(known.connection, {INSTALLATION_ID: 8}, due_at=time_text(clock.now()))[INSTALLATION_ID]

    assert [delivery.event_name for delivery in found.deliveries] == ["hookfuse.test", "issue.created"]
    assert found.deliveries[0] == probe


def test_a_probe_says_what_it_is_and_who_sent_it(known: Store) -> None:
    probe = queue_probe(known, by="person:ada")

    assert probe.is_probe
    assert (probe.ordering_key, probe.actor, probe.attempts) == ("", None, 0)
    assert msgspec.json.decode(probe.data) == {
        "message": "This is a test delivery: nothing has happened, and nothing needs to be done.",
        "sent_by": "person:ada",
    }


def test_only_the_machines_probe_is_by_the_machine(known: Store) -> None:
    with known.transaction() as transaction:
        new = NewDelivery(INSTALLATION_ID, "hookfuse.test", '{"message":"","sent_by":"system"}')
        (delivery_id,) = enqueue(transaction.connection, [new], enqueued_at=transaction.recorded_at)
    impostor = find_delivery(known.connection, delivery_id)

    assert is_by_machine(queue_probe(known, by="system"))
    assert not is_by_machine(queue_probe(known, by="person:system"))
    assert impostor is not None
    assert not is_by_machine(impostor)


def test_a_running_daemon_finds_the_probe(known: Store) -> None:
    attention, sequence = change_version(known.connection), newest_sequence(known.connection)
    queue_probe(known)

    assert change_version(known.connection) > attention
    assert installations_with_waiting(known.connection, after_sequence=sequence)[0] == (INSTALLATION_ID,)


def test_a_disabled_installation_is_probed_and_a_removed_or_unknown_one_is_not(disabled: Store) -> None:
    queue_probe(disabled)
    remove(disabled)
    with pytest.raises(RejectedError, match="is removed"):
        queue_probe(disabled)
    with pytest.raises(NotFoundError), disabled.transaction() as transaction:
        enqueue_probe(transaction, "nobody", by="system")


def test_only_a_probe_is_dropped_as_one_and_once(known: Store) -> None:
    with known.transaction() as transaction:
        new = NewDelivery(INSTALLATION_ID, "issue.created", "{}")
        (delivery_id,) = enqueue(transaction.connection, [new], enqueued_at=transaction.recorded_at)
    probe = queue_probe(known)

    assert [drop_probe(known.connection, probe.delivery_id) for _ in range(2)] == [True, False]
    assert not drop_probe(known.connection, delivery_id)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (succeeded(duration_ms=3.0), ProbeSucceeded),
        (failed(response_body="oops", retry_at="2025", hold_until="2025"), ProbeFailed),
        (timed_out(detail="read timed out", retry_at="2025"), ProbeFailed),
    ],
)
def test_an_outcome_becomes_that_of_a_probe_and_is_not_tried_again(event: Any, expected: type) -> None:
    made = probe_event(event)

    assert type(made) is expected
    assert (made.retry_at, made.hold_until) == (None, None)
    assert (made.status_code, made.duration_ms, made.response_body, made.detail) == (
        *(event.status_code, event.duration_ms, event.response_body, event.detail),
    )
    assert probe_event(made) == made


def test_the_rule_has_the_fields_and_defaults_of_the_configuration() -> None:
    assert ProbingRule(**structs.asdict(ProbingSettings())) == ProbingRule()


def test_the_first_probe_comes_first_s_after_the_disabling_and_each_wait_grows_up_to_the_longest() -> None:
    first = next_probe_at(RULE, disabled_at=AT, probe_failures=0, last_probe_at=None)
    waits = [
        (next_probe_at(RULE, disabled_at=AT, probe_failures=number, last_probe_at=AT) - AT).total_seconds()
        for number in range(6)
    ]

    assert first == AT + timedelta(seconds=60)
    assert waits == [60, 120, 240, 300, 300, 300]


rules = st.builds(
    ProbingRule,
    enabled=st.just(True),
    first_s=st.floats(1e-3, 86_400),
    factor=st.floats(1, 1e300),
    max_s=st.floats(1e-3, 1e300),
    cool_down_s=st.floats(0, 1e300),
)


@given(rule=rules, failures=st.integers(0, 10**9))
def test_the_wait_grows_and_is_bounded(rule: ProbingRule, failures: int) -> None:
    def wait_s(number: int) -> float:
        return (next_probe_at(rule, disabled_at=AT, probe_failures=number, last_probe_at=AT) - AT).total_seconds()

    assert 0 <= wait_s(failures) <= min(rule.max_s, 366 * 86_400) + 1e-6
    assert wait_s(failures + 1) >= wait_s(failures) - 1e-6
    assert wait_s(0) == pytest.approx(min(rule.first_s, rule.max_s), abs=1e-6)


@given(rule=rules, failures=st.integers(0, 100), days=st.integers(0, 100))
def test_the_next_probe_is_never_before_the_last_one(rule: ProbingRule, failures: int, days: int) -> None:
    last = AT + timedelta(days=days)

    assert next_probe_at(rule, disabled_at=AT, probe_failures=failures, last_probe_at=last) >= last


def test_what_the_machine_has_disabled_is_due_after_the_first_wait(disabled: Store, clock: ManualClock) -> None:
    clock.advance(seconds=59)
    assert due(disabled) == ()
    clock.advance(seconds=1)

    assert due(disabled) == (INSTALLATION_ID,)
    assert due(disabled, ProbingRule(first_s=60)) == ()


def test_what_was_disabled_while_the_clock_was_ahead_is_due_and_enabled_when_it_is_right(
    known: Store, clock: ManualClock
) -> None:
    clock.advance(days=3652)
    switch_off(known)
    clock.advance(days=-3652)
    is_due = due(known)
    queue_probe(known)

    assert is_due == (INSTALLATION_ID,)
    assert decide(known, rule=RULE, probe_enqueued_at=time_text(clock.now())).is_changed


def test_what_a_policy_has_disabled_is_due_too(known: Store, clock: ManualClock) -> None:
    break_by_balanced(known, clock)
    switch_off(known, ReviewRequest(INSTALLATION_ID, BALANCED))
    clock.advance(seconds=60)

    assert due(known) == (INSTALLATION_ID,)


def test_what_a_person_has_disabled_and_what_is_active_is_never_due(known: Store, clock: ManualClock) -> None:
    clock.advance(days=10)
    assert due(known) == ()
    switch_off(known, BY_PERSON)
    clock.advance(days=10)

    assert due(known) == ()


def test_while_a_probe_waits_no_other_is_due(disabled: Store, clock: ManualClock) -> None:
    clock.advance(seconds=60)
    queue_probe(disabled, by="person:ada")

    assert due(disabled) == ()


def test_after_a_failure_the_wait_is_longer_and_a_restart_forgets_nothing(
    disabled: Store, clock: ManualClock, home: Home
) -> None:
    clock.advance(seconds=60)
    record_probe(disabled, is_success=False)
    clock.advance(seconds=119)
    assert due(disabled) == ()
    clock.advance(seconds=1)

    with Store(home.database, clock) as again:
        assert due(again) == (INSTALLATION_ID,)


def test_a_success_enables_with_an_audit_entry(disabled: Store) -> None:
    record_probe(disabled, is_success=True)
    decision = decide(disabled, rule=RULE)

    assert decision.change is Change.ENABLED
    assert find_installation(disabled.connection, INSTALLATION_ID).is_active
    (entry,) = read_audit(disabled.connection, limit=1)
    assert (entry.event, entry.actor) == ("internal-integration.enable", "system")
    assert entry.data["reason"] == "a test delivery succeeded"
    events = [stored.event for stored in read_events(disabled.connection, type_names=["installation.enabled"])]
    assert events == [InstallationEnabled(INSTALLATION_ID, "system", "a test delivery succeeded")]


def test_a_persons_disabling_stands(known: Store) -> None:
    switch_off(known, BY_PERSON)

    assert decide(known) == Decision.declined("a person has disabled it, and only a person can enable it")
    assert find_installation(known.connection, INSTALLATION_ID).state == "disabled"


def test_a_person_who_enabled_and_disabled_it_meanwhile_is_right(disabled: Store) -> None:
    switch_on(disabled)
    assert decide(disabled) == Decision.declined("it is active")
    switch_off(disabled, BY_PERSON)

    assert not decide(disabled).is_changed


def test_one_that_was_removed_meanwhile_stays_removed(disabled: Store) -> None:
    remove(disabled)

    assert decide(disabled) == Decision.declined("it is removed")


def test_a_success_from_before_the_disabling_enables_nothing(disabled: Store, clock: ManualClock) -> None:
    probe = queue_probe(disabled)
    clock.advance(seconds=1)
    switch_on(disabled)
    switch_off(disabled)

    assert decide(disabled, probe_enqueued_at=probe.enqueued_at) == Decision.declined(
        "it was disabled after the test delivery was queued"
    )
    assert decide(disabled, probe_enqueued_at=time_text(clock.now())).is_changed


def flap(store: Store, clock: ManualClock, *, after_s: float, by: str = "system") -> None:
    """Enable it, and disable it by the machine again after so long."""
    switch_on(store, by)
    clock.advance(seconds=after_s)
    switch_off(store)
    clock.advance(seconds=60)


@pytest.mark.parametrize(
    ("by", "after_s", "is_due"),
    [("system", 3_599, False), ("system", 3_601, True), ("person:ada", 1, True), ("person:system", 1, True)],
)
def test_what_is_disabled_again_soon_after_a_probe_enabled_it_waits_for_a_person(
    disabled: Store, clock: ManualClock, by: str, after_s: float, is_due: bool
) -> None:
    flap(disabled, clock, after_s=after_s, by=by)

    assert (due(disabled) == (INSTALLATION_ID,)) is is_due
    clock.advance(days=30)
    assert (due(disabled) == (INSTALLATION_ID,)) is is_due
    assert decide(disabled, rule=RULE).is_changed is is_due


def test_the_cool_down_ends_with_a_persons_enabling(disabled: Store, clock: ManualClock) -> None:
    flap(disabled, clock, after_s=10)
    flap(disabled, clock, after_s=10, by="person:ada")

    assert due(disabled) == (INSTALLATION_ID,)


def test_another_installations_enabling_is_no_cool_down(disabled: Store, clock: ManualClock) -> None:
    register(disabled, installation_id="another", app_id=43)
    with disabled.transaction() as transaction:
        review(transaction, ReviewRequest("another", BALANCED, gone_at=0))
        enable(transaction, "another", by="system", reason="a test delivery succeeded")
    flap(disabled, clock, after_s=10, by="person:ada")

    assert due(disabled) == (INSTALLATION_ID,)
