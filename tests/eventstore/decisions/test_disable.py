import threading
from dataclasses import replace
from typing import Any

import pytest

from eventstore.common.clock import ManualClock
from eventstore.common.identifiers import installation_stream
from eventstore.decisions.decision import Change, Decision
from eventstore.decisions.disable import DisableRequest, disable, enable
from eventstore.decisions.review import ReviewRequest, review
from eventstore.errors import NotFoundError, RejectedError
from eventstore.events.catalogue import (
    AuditRecorded,
    DayRecord,
    FailureRecord,
    InstallationDisabled,
    InstallationRemoved,
    MailRequested,
)
from eventstore.home.folder import Home
from eventstore.log.change_signal import change_version
from eventstore.log.event_log import NewEvent, last_position, read_events
from eventstore.policies.policy import BALANCED, SENTRY_2024
from eventstore.projections.audit import AuditEntry, read_audit
from eventstore.projections.broken_state_buffer import read_days
from eventstore.projections.outbox import count_mails, read_pending_mails
from eventstore.projections.registry import find_installation
from eventstore.unit_of_work import Store, Transaction
from tests.eventstore.facts import INSTALLATION_ID, OWNERS, break_by_balanced, failed, record, register, succeeded
from tests.eventstore.processes import at_once, deciding

BY_POLICY = ReviewRequest(INSTALLATION_ID, BALANCED)
BY_PERSON = DisableRequest(INSTALLATION_ID, "person:ada", "maintenance", BALANCED)
BY_RECEIVER = ReviewRequest(INSTALLATION_ID, BALANCED, gone_at=0)


def decide(store: Store, request: DisableRequest | ReviewRequest = BY_POLICY) -> Decision:
    with store.transaction() as transaction:
        if isinstance(request, ReviewRequest):
            return review(transaction, request)
        return disable(transaction, request)


def enabled(store: Store) -> Decision:
    with store.transaction() as transaction:
        return enable(transaction, INSTALLATION_ID, by="person:ada", reason="fixed")


def effects(store: Store) -> tuple[int, int, int]:
    """Count disablings, audit entries and mail requests."""
    events = [stored.event for stored in read_events(store.connection)]
    kinds = (InstallationDisabled, AuditRecorded, MailRequested)
    found = [sum(isinstance(event, kind) for event in events) for kind in kinds]
    return found[0], found[1], found[2]


def remove(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.append(NewEvent(installation_stream(INSTALLATION_ID), InstallationRemoved(INSTALLATION_ID)))


@pytest.fixture
def broken(store: Store, clock: ManualClock) -> Store:
    register(store)
    break_by_balanced(store, clock)
    return store


def test_broken_installation_is_disabled_with_one_audit_entry_and_one_mail_for_each_owner(broken: Store) -> None:
    decision = decide(broken)

    assert decision.is_changed
    assert decision.mail_count == 2
    assert effects(broken) == (1, 1, 2)
    assert sorted(mail.recipient for mail in read_pending_mails(broken.connection, due_at="~")) == list(OWNERS)
    installation = find_installation(broken.connection, INSTALLATION_ID)
    assert (installation.state, installation.disabled_position) == ("disabled", decision.position)


def test_second_decision_finds_it_done(broken: Store) -> None:
    decide(broken)

    assert decide(broken) == Decision.declined("it is disabled")
    assert decide(broken, BY_PERSON) == Decision.declined("it is disabled already")
    assert effects(broken) == (1, 1, 2)


def test_threads_that_decide_at_once_disable_once(broken: Store, home: Home, clock: ManualClock) -> None:
    barrier, decisions = threading.Barrier(2, timeout=30), []

    def work() -> None:
        with Store(home.database, clock) as store:
            barrier.wait()
            decisions.append(decide(store).is_changed)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(decisions) == [False, True]
    assert effects(broken) == (1, 1, 2)


def test_processes_that_decide_at_once_disable_once(broken: Store, home: Home, clock: ManualClock) -> None:
    decisions = at_once(deciding, home.path / "events.db", INSTALLATION_ID, clock)

    assert sorted(decisions) == [False, True]
    assert effects(broken) == (1, 1, 2)


def test_evidence_names_policy_rule_days_failures_and_position(broken: Store) -> None:
    up_to = last_position(broken.connection)
    evidence = decide(broken).evidence

    assert evidence is not None
    assert (evidence.policy, evidence.policy_version, evidence.rule) == ("balanced", 1, "no-success")
    assert "12 failures over 3 days" in evidence.explanation
    assert evidence.days == tuple(DayRecord(f"2025-02-0{day}", server_error=4) for day in (3, 4, 5))
    assert evidence.up_to_position == up_to == 15
    assert evidence.first_failure == FailureRecord(4, "2025-02-03T12:00:00.000000Z", 500, "server_error")
    assert evidence.last_failure == FailureRecord(15, "2025-02-05T12:00:00.000000Z", 500, "server_error")


def test_evidence_holds_an_excerpt_of_the_answer_or_what_is_known_of_it(broken: Store) -> None:
    record(broken, failed(response_body="x" * 900))
    evidence = decide(broken).evidence

    assert evidence is not None
    assert evidence.last_failure is not None
    assert evidence.last_failure.excerpt == "x" * 200


def test_event_holds_the_evidence_and_who_decided(broken: Store) -> None:
    decision = decide(broken)
    (stored,) = read_events(broken.connection, type_names=["installation.disabled"])

    assert isinstance(stored.event, InstallationDisabled)
    assert stored.event.evidence == decision.evidence
    assert (stored.event.cause, stored.event.by, stored.event.app_id, stored.event.organization_id) == (
        "policy",
        "system",
        42,
        17,
    )
    assert "no success within 7 days" in stored.event.reason


def test_mails_tell_of_the_disabling_and_have_ids_of_their_own(broken: Store) -> None:
    decision = decide(broken, replace(BY_POLICY, mail_domain="acme.example"))
    mails = read_pending_mails(broken.connection, due_at="~")

    assert {mail.about_position for mail in mails} == {decision.position}
    assert {mail.message_id for mail in mails} == {f"<{mail.mail_id}@acme.example>" for mail in mails}
    assert len({mail.mail_id for mail in mails}) == 2


def test_owner_who_is_named_twice_gets_one_mail(store: Store, clock: ManualClock) -> None:
    register(store, owners=("ada@acme.example", "bob@acme.example", "ada@acme.example"))
    break_by_balanced(store, clock)

    assert decide(store).mail_count == 2


def test_success_that_came_meanwhile_averts_the_disabling(broken: Store) -> None:
    record(broken, succeeded())

    assert decide(broken) == Decision.declined("nothing has changed")
    assert effects(broken) == (0, 0, 0)


def test_days_that_have_left_the_window_avert_the_disabling(broken: Store, clock: ManualClock) -> None:
    clock.advance(days=5)

    assert decide(broken).change is not Change.DISABLED


def test_policy_of_the_request_decides(broken: Store) -> None:
    assert not decide(broken, replace(BY_POLICY, policy=SENTRY_2024)).is_changed


@pytest.mark.parametrize("request_", [BY_POLICY, BY_RECEIVER], ids=["policy", "receiver"])
@pytest.mark.parametrize(("scope", "expected"), [("internal", False), ("all", True)])
def test_published_app_is_disabled_by_the_machine_only_under_scope_all(
    store: Store, clock: ManualClock, request_: ReviewRequest, scope: str, expected: bool
) -> None:
    register(store, status="published")
    break_by_balanced(store, clock)

    assert decide(store, replace(request_, scope=scope)).is_changed is expected


def test_person_may_disable_any_app_in_any_state_of_health(store: Store) -> None:
    register(store, status="published")
    decision = decide(store, BY_PERSON)

    assert decision.is_changed
    assert decision.evidence is not None
    assert (decision.evidence.rule, decision.evidence.explanation, decision.evidence.days) == (
        "person",
        "maintenance",
        (),
    )


def test_receiver_that_is_gone_is_disabled_at_its_word(store: Store) -> None:
    register(store)
    record(store, failed("gone", 410))
    decision = decide(store, BY_RECEIVER)

    assert decision.is_changed
    assert decision.evidence is not None
    assert decision.evidence.rule == "receiver"
    assert decision.evidence.last_failure is not None
    assert decision.evidence.last_failure.status_code == 410


def test_disabling_without_mails_sends_none(broken: Store) -> None:
    assert decide(broken, replace(BY_PERSON, is_mailed=False)).mail_count == 0
    assert effects(broken) == (1, 1, 0)


def test_audit_entry_of_an_internal_app_is_that_of_the_original(broken: Store) -> None:
    decision = decide(broken)

    assert read_audit(broken.connection) == (
        AuditEntry(
            event="internal-integration.disable",
            actor="system",
            target="organization:17",
            data={"name": "Pager"},
            recorded_at="2025-02-05T12:00:00.000000Z",
            position=decision.position + 1,
        ),
    )


def test_audit_entries_of_persons_name_them_and_their_reason(store: Store) -> None:
    register(store, status="published")
    decide(store, BY_PERSON)
    enabled(store)

    assert [(one.event, one.actor, one.data) for one in read_audit(store.connection)] == [
        ("sentry-app-installation.enable", "person:ada", {"name": "Pager", "reason": "fixed"}),
        ("sentry-app-installation.disable", "person:ada", {"name": "Pager", "reason": "maintenance"}),
    ]
    assert len(read_audit(store.connection, limit=1)) == 1


def test_enabled_installation_is_not_disabled_by_its_old_days(broken: Store) -> None:
    decide(broken)
    assert enabled(broken).is_changed

    assert find_installation(broken.connection, INSTALLATION_ID).is_active
    assert read_days(broken.connection, INSTALLATION_ID, "") == ()
    assert not decide(broken).is_changed


def test_disabling_keeps_the_buffer_as_it_was(broken: Store) -> None:
    before = read_days(broken.connection, INSTALLATION_ID, "")
    decide(broken)

    assert read_days(broken.connection, INSTALLATION_ID, "") == before


def test_active_installation_is_not_enabled_again(broken: Store) -> None:
    assert enabled(broken) == Decision.declined("it is active already")
    assert effects(broken) == (0, 0, 0)


def test_both_decisions_draw_the_daemons_attention(broken: Store) -> None:
    versions = [change_version(broken.connection)]
    decide(broken)
    versions.append(change_version(broken.connection))
    enabled(broken)
    versions.append(change_version(broken.connection))

    assert versions[0] < versions[1] < versions[2]


def by_a_person(store: Store) -> Decision:
    return decide(store, BY_PERSON)


@pytest.mark.parametrize("decision", [by_a_person, enabled])
def test_removed_installation_is_neither_disabled_nor_enabled(broken: Store, decision: Any) -> None:
    remove(broken)

    with pytest.raises(RejectedError, match="is removed"):
        decision(broken)


@pytest.mark.parametrize("decision", [decide, enabled])
def test_unknown_installation_is_not_found(store: Store, decision: Any) -> None:
    with pytest.raises(NotFoundError):
        decision(store)


@pytest.mark.parametrize("table", ["audit", "outbox"])
def test_failure_in_the_middle_leaves_nothing(broken: Store, table: str) -> None:
    before = last_position(broken.connection)
    broken.connection.execute(f"CREATE TRIGGER fault BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'fault'); END")
    with pytest.raises(Exception, match="fault"):
        decide(broken)

    assert last_position(broken.connection) == before
    assert effects(broken) == (0, 0, 0)
    assert find_installation(broken.connection, INSTALLATION_ID).is_active
    assert count_mails(broken.connection) == {"requested": 0, "sent": 0, "failed": 0}


def test_append_that_raises_leaves_nothing(broken: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Transaction.append

    def crash(self: Transaction, *new_events: NewEvent, **options: Any) -> None:
        real(self, *new_events, **options)
        raise RuntimeError

    monkeypatch.setattr(Transaction, "append", crash)
    with pytest.raises(RuntimeError):
        decide(broken)

    assert effects(broken) == (0, 0, 0)
    assert find_installation(broken.connection, INSTALLATION_ID).is_active
