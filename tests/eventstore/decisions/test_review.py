"""The ladder before the end: owners are warned at 50 and 90 percent, once an episode."""

import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from eventstore.common.clock import ManualClock
from eventstore.common.identifiers import installation_stream
from eventstore.decisions import review as review_module
from eventstore.decisions.decision import Change, Decision
from eventstore.decisions.disable import DisableRequest, disable, enable
from eventstore.decisions.review import ReviewRequest, needs_review, review
from eventstore.errors import NotFoundError
from eventstore.events.catalogue import (
    InstallationRemoved,
    InstallationWarned,
    InstallationWarningLifted,
    MailRequested,
)
from eventstore.home.folder import Home
from eventstore.log.event_log import NewEvent, last_position, read_events
from eventstore.policies.evaluation import Evaluation
from eventstore.policies.policy import BALANCED
from eventstore.projections.registry import Installation, find_installation
from eventstore.unit_of_work import Store
from eventstore.views.evaluation import read_evaluation
from tests.eventstore.facts import INSTALLATION_ID, OWNERS, failed, record, register, succeeded

REQUEST = ReviewRequest(INSTALLATION_ID, BALANCED, "internal", "hookfuse.example")


def reviewed(store: Store, request: ReviewRequest = REQUEST) -> Decision:
    with store.transaction() as transaction:
        return review(transaction, request)


def fail(store: Store, clock: ManualClock, *failures_a_day: int) -> None:
    """Record so many failures on each day; the clock stays on the last. `balanced` is broken at ten over three."""
    for number, failures in enumerate(failures_a_day):
        if number:
            clock.advance(days=1)
        record(store, *[failed(response_body="boom")] * failures)


def of(store: Store, event_class: type[Any]) -> list[Any]:
    return [stored.event for stored in read_events(store.connection) if isinstance(stored.event, event_class)]


def levels(store: Store) -> list[int]:
    return [event.level for event in of(store, InstallationWarned)]


@pytest.fixture
def store(store: Store) -> Store:
    register(store)
    return store


@pytest.mark.parametrize(
    ("failures", "expected"),
    [((4, 4), [50]), ((2, 2), []), ((3, 2), [50]), ((4, 3, 1), [50]), ((4, 4, 1), [90]), ((9,), [])],
)
def test_owners_are_warned_by_how_near_the_limit_is(
    store: Store, clock: ManualClock, failures: Iterable[int], expected: list[int]
) -> None:
    fail(store, clock, *failures)
    decision = reviewed(store)

    assert levels(store) == expected
    assert decision.is_changed is bool(expected)


def test_one_mail_goes_to_each_owner_about_the_warning(store: Store, clock: ManualClock) -> None:
    fail(store, clock, 4, 4)
    decision = reviewed(store)
    mails = of(store, MailRequested)

    assert (decision.change, decision.mail_count) == (Change.WARNED, 2)
    assert sorted(mail.recipient for mail in mails) == list(OWNERS)
    assert {(mail.kind, mail.about_position) for mail in mails} == {("integration-warned", decision.position)}
    assert all(mail.message_id == f"<{mail.mail_id}@hookfuse.example>" for mail in mails)


def test_an_owner_who_stands_there_twice_gets_one_mail(store: Store, clock: ManualClock) -> None:
    register(store, owners=("ada@acme.example", "ada@acme.example"))
    fail(store, clock, 4, 4)
    reviewed(store)

    assert [mail.recipient for mail in of(store, MailRequested)] == ["ada@acme.example"]


def test_the_warning_says_what_fails_since_when_and_how_near_the_limit_is(store: Store, clock: ManualClock) -> None:
    fail(store, clock, 4, 4)
    reviewed(store)

    (event,) = of(store, InstallationWarned)
    assert (event.level, event.progress, event.webhook_url) == (50, 0.667, "https://pager.example/hook")
    assert [(day.day, day.server_error) for day in event.evidence.days] == [("2025-02-03", 4), ("2025-02-04", 4)]
    assert (event.evidence.rule, event.evidence.policy) == ("no-success", "balanced")
    assert event.evidence.first_failure.at == "2025-02-03T12:00:00.000000Z"
    assert (event.evidence.last_failure.status_code, event.evidence.last_failure.excerpt) == (500, "boom")


def test_each_level_is_warned_of_once_however_many_failures_follow(store: Store, clock: ManualClock) -> None:
    for day in range(3):
        for _ in range(3):
            record(store, failed())
            for _ in range(3):
                reviewed(store)
        clock.advance(days=1 if day < 2 else 0)

    assert levels(store) == [50, 90]
    assert len(of(store, MailRequested)) == 2 * len(OWNERS)


def test_a_warning_is_remembered_over_a_restart(store: Store, clock: ManualClock, home: Home) -> None:
    fail(store, clock, 4, 4)
    reviewed(store)
    with Store(home.database, clock) as other:
        record(other, failed())
        decision = reviewed(other)

    assert decision == Decision.declined("nothing has changed")
    assert levels(store) == [50]


def test_who_leaps_over_50_is_told_of_90_only(store: Store, clock: ManualClock) -> None:
    fail(store, clock, 4, 4, 1)
    reviewed(store)
    reviewed(store)

    assert levels(store) == [90]


def test_a_drop_from_90_to_50_is_the_same_episode(store: Store, clock: ManualClock) -> None:
    fail(store, clock, 4, 4, 1)
    reviewed(store)
    clock.advance(days=5)  # the first of the three days has left the window: 5 of 10 failures, on 2 of 3 days
    decision = reviewed(store)
    record(store, *[failed()] * 4)
    reviewed(store)

    assert decision.why == "nothing has changed"
    assert (levels(store), of(store, InstallationWarningLifted)) == ([90], [])


def test_below_half_of_the_way_it_is_calm_again(store: Store, clock: ManualClock) -> None:
    fail(store, clock, 4, 4)
    reviewed(store)
    record(store, succeeded())
    decisions = [reviewed(store) for _ in range(2)]

    assert [decision.change for decision in decisions] == [Change.WARNING_LIFTED, Change.NOTHING]
    assert of(store, InstallationWarningLifted) == [InstallationWarningLifted(INSTALLATION_ID)]
    assert decisions[0].mail_count == 0


def test_a_new_episode_is_warned_of_again(store: Store, clock: ManualClock) -> None:
    fail(store, clock, 4, 4)
    reviewed(store)
    clock.advance(days=9)
    record(store, failed())
    lifted = reviewed(store)
    fail(store, clock, 4, 4)
    reviewed(store)

    assert lifted.change is Change.WARNING_LIFTED
    assert levels(store) == [50, 50]


def test_after_an_enabling_a_new_episode_begins(store: Store, clock: ManualClock) -> None:
    fail(store, clock, 4, 4)
    reviewed(store)
    with store.transaction() as transaction:
        disable(transaction, DisableRequest(INSTALLATION_ID, "person:ada", "repairing", BALANCED))
        enable(transaction, INSTALLATION_ID, by="person:ada", reason="fixed")
    before = reviewed(store)
    fail(store, clock, 4, 4)
    reviewed(store)

    assert not before.is_changed
    assert levels(store) == [50, 50]


def test_what_is_broken_is_disabled_and_not_warned_of(store: Store, clock: ManualClock) -> None:
    fail(store, clock, 4, 4, 4)
    decision = reviewed(store)

    assert decision.change is Change.DISABLED
    assert {mail.kind for mail in of(store, MailRequested)} == {"integration-disabled"}
    assert levels(store) == []


def test_without_warnings_nobody_is_warned_but_the_end_comes_all_the_same(store: Store, clock: ManualClock) -> None:
    silent = replace(REQUEST, is_warned=False)
    fail(store, clock, 4, 4)
    warned = reviewed(store, silent)
    clock.advance(days=1)
    record(store, *[failed()] * 4)

    assert not warned.is_changed
    assert reviewed(store, silent).change is Change.DISABLED
    assert levels(store) == []


def test_without_warnings_an_episode_that_was_warned_of_ends_too(store: Store, clock: ManualClock) -> None:
    fail(store, clock, 4, 4)
    reviewed(store)
    record(store, succeeded())

    assert reviewed(store, replace(REQUEST, is_warned=False)).change is Change.WARNING_LIFTED


@pytest.mark.parametrize(("scope", "expected"), [("internal", []), ("all", [50])])
def test_a_published_app_is_warned_of_only_where_it_may_be_disabled(
    store: Store, clock: ManualClock, scope: str, expected: list[int]
) -> None:
    register(store, status="published")
    fail(store, clock, 4, 4)
    decision = reviewed(store, replace(REQUEST, scope=scope))

    assert levels(store) == expected
    assert decision.is_changed or "only internal apps may be disabled" in decision.why


def test_one_that_is_disabled_or_removed_is_not_warned_of(store: Store, clock: ManualClock) -> None:
    fail(store, clock, 4, 4)
    with store.transaction() as transaction:
        disable(transaction, DisableRequest(INSTALLATION_ID, "person:ada", "", BALANCED, is_mailed=False))
    disabled = reviewed(store)
    with store.transaction() as transaction:
        transaction.append(NewEvent(installation_stream(INSTALLATION_ID), InstallationRemoved(INSTALLATION_ID)))
    removed = reviewed(store)

    assert (disabled.why, removed.why) == ("it is disabled", "it is removed")
    assert of(store, MailRequested) == []


def test_an_installation_that_is_not_known_is_refused(store: Store) -> None:
    with pytest.raises(NotFoundError):
        reviewed(store, replace(REQUEST, installation_id="unheard-of"))


def test_two_threads_at_once_warn_once(store: Store, clock: ManualClock, home: Home) -> None:
    fail(store, clock, 4, 4)
    barrier, decisions = threading.Barrier(2), list[Decision]()

    def warn() -> None:
        with Store(home.database, clock) as other:
            barrier.wait(60)
            decisions.append(reviewed(other))

    threads = [threading.Thread(target=warn) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(decision.is_changed for decision in decisions) == [False, True]
    assert levels(store) == [50]
    assert len(of(store, MailRequested)) == len(OWNERS)


@pytest.mark.parametrize(
    ("progress", "warned_level", "is_warned", "expected"),
    [
        (0.49, 0, True, False),
        (0.5, 0, True, True),
        (0.5, 0, False, False),
        (0.89, 50, True, False),
        (0.9, 50, True, True),
        (0.9, 90, True, False),
        (0.6, 90, True, False),
        (0.49, 50, True, True),
        (0.49, 90, False, True),
        (1.0, 90, False, True),
    ],
)
def test_a_review_is_asked_for_only_when_it_would_change_something(
    progress: float, warned_level: int, is_warned: bool, expected: bool
) -> None:
    evaluation = Evaluation(progress == 1.0, "no-success", "", progress, "balanced", 1, ())
    row = Installation(INSTALLATION_ID, 42, 17, "active", "2025-02-03T12:00:00.000000Z", None, warned_level)

    assert needs_review(evaluation, row, is_warned=is_warned) is expected


def test_the_ask_and_the_review_agree(store: Store, clock: ManualClock) -> None:
    from eventstore.views.evaluation import read_evaluation

    for letter in "---n---+n----n--n--":
        clock.advance(days=1 if letter == "n" else 0)
        if letter != "n":
            record(store, succeeded() if letter == "+" else failed())
        with store.transaction() as transaction:
            evaluation = read_evaluation(transaction.connection, INSTALLATION_ID, BALANCED, clock.now())
            row = find_installation(transaction.connection, INSTALLATION_ID)
            expected = needs_review(evaluation, row, is_warned=True) and row.is_active
            assert review(transaction, REQUEST).is_changed is expected


def gone_at(store: Store) -> int:
    record(store, failed("gone", 410))
    return last_position(store.connection)


def test_a_410_disables_in_the_receiver_s_name_whatever_came_after_it(store: Store) -> None:
    request = replace(REQUEST, gone_at=gone_at(store))
    record(store, succeeded(), failed())
    decision = reviewed(store, request)

    assert (decision.change, decision.cause) == (Change.DISABLED, "receiver")


def test_a_410_that_a_person_s_enabling_came_after_disables_nothing(store: Store) -> None:
    request = replace(REQUEST, gone_at=gone_at(store))
    with store.transaction() as transaction:
        disable(transaction, DisableRequest(INSTALLATION_ID, "person:ada", "moving", BALANCED, is_mailed=False))
        enable(transaction, INSTALLATION_ID, by="person:ada", reason="moved")

    assert reviewed(store, request) == Decision.declined("nothing has changed")


def test_a_review_that_comes_twice_finds_it_done(store: Store) -> None:
    request = replace(REQUEST, gone_at=gone_at(store))

    assert [reviewed(store, request).change for _ in range(2)] == [Change.DISABLED, Change.NOTHING]
    assert len(of(store, MailRequested)) == len(OWNERS)


def test_whatever_follows_rests_on_one_evaluation(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(store, clock, 4, 4, 4)
    asked: list[Evaluation] = []

    def reading(*arguments: Any) -> Evaluation:
        asked.append(read_evaluation(*arguments))
        return asked[-1]

    monkeypatch.setattr(review_module, "read_evaluation", reading)
    decision = reviewed(store)

    (evaluation,) = asked
    assert decision.change is Change.DISABLED
    assert decision.evidence is not None
    assert decision.evidence.days == tuple(day.record() for day in evaluation.days)
    assert (decision.evidence.rule, decision.evidence.explanation) == (evaluation.rule, evaluation.explanation)
    assert decision.evidence.remediation.endswith("would have prevented it.")
