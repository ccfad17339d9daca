"""What if: a history evaluated by another policy is told as it would have gone, by the same evaluation."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eventstore.decisions.review
import eventstore.policies.evaluation
import eventstore.projections.broken_state_buffer
import eventstore.views.evaluation
import replay.what_if.what_if
from benchmarks.history import Shape, write_history
from eventstore.common.clock import time_text
from eventstore.common.identifiers import app_stream, installation_stream
from eventstore.errors import UnknownEventError
from eventstore.events.catalogue import AppChanged, InstallationCountsImported, InstallationRemoved
from eventstore.home.folder import Home
from eventstore.policies.policy import BALANCED, SENTRY_2024, DayRule, NoSuccessRule, Policy
from eventstore.sqlite.database import open_database
from replay.timeline.episode import Episode, InstallationOutcome
from replay.what_if.simulated_installation import SimulatedInstallation
from replay.what_if.what_if import Supposition, WhatIf, what_if
from tests.eventstore.policy_strategies import policies
from tests.replay.histories import (
    FROZEN,
    INSTALLATIONS,
    THAWED,
    Fact,
    History,
    app,
    blocked,
    disabled,
    enabled,
    failed,
    histories,
    lifted,
    missed,
    succeeded,
    timed_out,
    warned,
)

HOUR, DAY = 3_600.0, 86_400.0
# One failure on one day is the end.
HASTY = Policy("hasty", 1, 7, ("server_error",), (NoSuccessRule("quiet", 1, 1),))


def supposed(history: History, policy: Policy = BALANCED, **fields: Any) -> list[InstallationOutcome]:
    fold = WhatIf(Supposition(policy, **fields))
    fold.fold(history.rows)
    return list(fold.outcomes())


def only_episode(history: History, policy: Policy = BALANCED, **fields: Any) -> Episode:
    (episode,) = supposed(history, policy, **fields)[0].episodes
    return episode


def fail_daily(history: History, *failures_a_day: int, fact: Fact | None = None) -> None:
    for number, count in enumerate(failures_a_day):
        if number:
            history.advance(DAY)
        for _ in range(count):
            history.record(fact or failed())


# --- the very function ---


def test_it_judges_by_the_very_function_that_the_live_actors_ask() -> None:
    functions = {
        id(module.evaluate)
        for module in (
            replay.what_if.what_if,
            eventstore.policies.evaluation,
            eventstore.views.evaluation,
        )
    }

    assert functions == {id(eventstore.policies.evaluation.evaluate)}
    assert replay.what_if.what_if.what_follows is eventstore.decisions.review.what_follows  # type: ignore[attr-defined]
    assert replay.what_if.what_if.may_be_disabled is eventstore.decisions.review.may_be_disabled  # type: ignore[attr-defined]


def test_no_verdict_comes_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[date] = []

    def healthy(policy: Policy, days: Any, today: date) -> Any:
        asked.append(today)
        return eventstore.policies.evaluation.evaluate(policy, (), today)

    history = History()
    fail_daily(history, 4, 4, 4)
    monkeypatch.setattr(replay.what_if.what_if, "evaluate", healthy)
    episode = only_episode(history)

    assert asked
    assert (episode.disabled, episode.warned) == (None, ())


def test_it_follows_every_event_that_the_buffer_follows() -> None:
    names = {event_class.type_name for event_class in eventstore.projections.broken_state_buffer.HANDLERS}

    assert names <= set(WhatIf(Supposition(BALANCED))._handlers) | replay.what_if.what_if._FOLLOWED


class JudgeAlways(WhatIf):
    """The naive one: it evaluates after every outcome that a live actor would look at."""

    def _review(self, simulated: SimulatedInstallation, recorded_at: str, position: int) -> None:
        self._evaluate(simulated, recorded_at, position)
        simulated.make_due()


suppositions = st.builds(
    Supposition,
    policy=policies() | st.sampled_from((BALANCED, SENTRY_2024, HASTY)),
    scope=st.sampled_from(("internal", "all")),
    is_warned=st.booleans(),
    since=st.sampled_from(("", "", "2026-03-04T00:00:00.000000Z", "2026-03-20T00:00:00.000000Z")),
)


@settings(max_examples=200)
@given(histories, suppositions)
def test_judging_only_where_something_can_have_changed_gives_what_judging_always_gives(
    rows: Any, supposition: Supposition
) -> None:
    fast, naive = WhatIf(supposition), JudgeAlways(supposition)
    fast.fold(rows)
    naive.fold(rows)

    assert fast.outcomes() == naive.outcomes()


@settings(max_examples=50)
@given(histories, suppositions, st.integers(1, 20))
def test_how_the_events_are_cut_into_batches_makes_no_difference(
    rows: Any, supposition: Supposition, batch_events: int
) -> None:
    whole, cut = WhatIf(supposition), WhatIf(supposition)
    whole.fold(rows)
    for begin in range(0, len(rows), batch_events):
        cut.fold(rows[begin : begin + batch_events])

    assert cut.outcomes() == whole.outcomes()


@pytest.mark.parametrize("failing", [0.05, 0.5])
def test_hardly_anybody_is_judged_in_a_large_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: float
) -> None:
    write_history(Home(tmp_path), Shape(events=20_000, installations=20, failing=failing, broken=0.2, days=20))
    evaluated = 0

    def counting(policy: Policy, days: Any, today: date) -> Any:
        nonlocal evaluated
        evaluated += 1
        return eventstore.policies.evaluation.evaluate(policy, days, today)

    monkeypatch.setattr(replay.what_if.what_if, "evaluate", counting)
    outcomes = what_if(open_database(tmp_path / "events.db", is_writer=False), Supposition(BALANCED))
    decisions = [
        one for outcome in outcomes for episode in outcome.episodes for one in (*episode.warned, episode.disabled)
    ]

    assert len(outcomes) == 20
    assert evaluated <= 2 * len(decisions) < 200


# --- what would have happened ---


def test_a_supposed_disabling_says_when_where_by_which_rule_and_why() -> None:
    history = History()
    fail_daily(history, 4, 4, 4)
    episode = only_episode(history)

    assert episode.disabled is not None
    position, stream, _, _, recorded_at, _ = history.rows[4 + 9]
    assert (episode.disabled.position, episode.disabled.at) == (position, recorded_at)
    assert stream == installation_stream(INSTALLATIONS[0])
    assert (episode.disabled.cause, episode.disabled.rule) == ("policy", "no-success")
    assert episode.disabled.explanation == (
        "no success within 7 days, 10 failures over 3 days (the limit is 10 over 3)"
    )
    assert [(one.level, one.rule) for one in episode.warned] == [(50, "no-success"), (90, "no-success")]
    assert episode.is_different


def test_what_is_attempted_after_it_would_have_been_missed() -> None:
    history = History()
    history.record(failed())  # the end, for a hasty one
    history.advance(HOUR)
    for fact in (failed(attempt=2), succeeded(), failed(), timed_out(), failed(attempt=2), succeeded(attempt=2)):
        history.record(fact)
    episode = only_episode(history, HASTY)

    assert (episode.missed, episode.attempts_saved, episode.delivered) == (3, 6, 2)
    assert episode.avoided == 0


def test_an_attempt_that_was_under_way_at_the_disabling_would_have_been_made_all_the_same() -> None:
    history = History()
    history.record(failed())
    history.advance(3)
    history.record(failed(duration_ms=5_000.0))
    history.record(failed(duration_ms=1_000.0))

    assert only_episode(history, HASTY).attempts_saved == 1


def test_it_stays_disabled_until_it_was_really_enabled() -> None:
    history = History()
    history.record(failed())
    history.advance(DAY)
    history.record(failed())
    history.record(disabled())
    history.record(missed())
    history.record(enabled())
    history.record(succeeded())
    before, after = supposed(history, HASTY)[0].episodes

    assert (before.missed, before.avoided) == (1, 0)
    assert before.actually_disabled is not None
    assert after == Episode(history.rows[-2][4], history.rows[-2][0])


def test_what_was_really_missed_and_would_have_been_sent_is_spared() -> None:
    history = History()
    fail_daily(history, 4, 4, 4)
    history.record(disabled())
    for _ in range(5):
        history.record(missed())
    episode = only_episode(history, SENTRY_2024)

    assert episode.disabled is None
    assert episode.actually_disabled is not None
    assert (episode.avoided, episode.missed) == (5, 0)
    assert episode.is_different


def test_what_both_would_have_disabled_at_once_is_no_difference() -> None:
    history = History()
    fail_daily(history, 4)
    history.advance(DAY)
    fail_daily(history, 4)
    history.record(warned(level=50))
    history.advance(DAY)
    history.record(failed())
    history.record(warned(level=90))
    history.record(failed())
    history.record(disabled())
    history.record(missed())
    episode = only_episode(history)

    assert episode.disabled is not None
    assert not episode.is_different


def test_a_person_s_disabling_stands_and_is_no_difference() -> None:
    history = History()
    history.record(disabled(cause="person"))
    history.record(missed())
    history.record(failed())  # it was under way
    episode = only_episode(history, HASTY)

    assert episode.actually_disabled is not None
    assert episode.disabled is None
    assert (episode.avoided, episode.attempts_saved) == (0, 0)
    assert not episode.is_different


def test_410_disables_at_once_where_the_policy_says_so() -> None:
    history = History()
    history.record(failed(error_class="gone"))
    history.record(disabled(cause="receiver"))
    history.record(missed())

    same, other = only_episode(history, BALANCED), only_episode(history, SENTRY_2024)
    assert same.disabled is not None
    assert (same.disabled.cause, same.disabled.rule) == ("receiver", "receiver")
    assert not same.is_different
    assert other.disabled is None
    assert other.avoided == 1


def test_a_receiver_s_wish_is_heard_even_while_disabling_is_frozen() -> None:
    history = History()
    history.record(FROZEN)
    history.record(failed(error_class="gone"))

    assert only_episode(history).disabled is not None


def test_a_success_brings_it_back_and_what_was_warned_of_is_over() -> None:
    history = History()
    fail_daily(history, 4, 4)
    history.record(succeeded())
    history.advance(DAY)
    fail_daily(history, 4, 4, 4, 4)
    episode = only_episode(history)

    assert [one.level for one in episode.warned] == [50, 50]
    assert episode.disabled is None


def test_warnings_that_were_really_given_are_told_beside_those_that_would_have_been() -> None:
    history = History()
    history.record(failed())
    history.record(warned())
    history.record(lifted())
    episode = only_episode(history)

    assert (episode.warned, [one.level for one in episode.actually_warned]) == ((), [50])
    assert episode.actually_warned[0].explanation == "it actually was"
    assert episode.is_different


def test_without_warnings_there_are_only_endings() -> None:
    history = History()
    fail_daily(history, 4, 4, 4)
    episode = only_episode(history, is_warned=False)

    assert episode.warned == ()
    assert episode.disabled is not None


def test_failures_while_disabling_is_frozen_count_for_nothing_and_successes_do() -> None:
    history = History()
    fail_daily(history, 4, 4)
    history.record(FROZEN)
    history.advance(DAY)
    fail_daily(history, 40)
    frozen = only_episode(history)
    history.record(THAWED)
    history.record(failed())
    thawed = only_episode(history)

    assert [one.level for one in frozen.warned] == [50]
    assert [one.level for one in thawed.warned] == [50, 90]


def test_what_is_broken_while_frozen_is_disabled_by_the_first_failure_after_it() -> None:
    history = History()
    history.record(succeeded())
    history.advance(DAY)
    fail_daily(history, 4, 4, 4)
    history.record(FROZEN)
    history.advance(4 * DAY)
    history.record(failed())  # by now the success has left the window
    assert only_episode(history).disabled is None

    history.record(THAWED)
    history.record(failed(error_class="rate_limited"))
    assert only_episode(history).disabled is not None


def test_only_apps_that_the_machine_may_disable_are_judged() -> None:
    history = History(status="published")
    fail_daily(history, 4, 4, 4)

    assert only_episode(history) == only_episode(History(status="published"))
    assert only_episode(history, scope="all").disabled is not None


def test_an_app_that_becomes_internal_is_judged_by_all_its_days_from_then_on() -> None:
    history = History(status="published")
    fail_daily(history, 4, 4, 4)
    history.record((app_stream(1), app(1, "internal", AppChanged)))
    assert only_episode(history).disabled is None

    history.record(failed(error_class="internal"))
    assert only_episode(history).disabled is not None


def test_enabling_and_creating_empty_the_days() -> None:
    history = History()
    fail_daily(history, 4, 4)
    history.record(disabled(cause="person"))
    history.record(enabled())
    history.advance(DAY)
    fail_daily(history, 4)

    assert [episode.disabled for episode in supposed(history)[0].episodes] == [None, None]


def test_a_removed_one_is_judged_no_more() -> None:
    history = History()
    fail_daily(history, 4, 4)
    history.record((installation_stream(INSTALLATIONS[0]), InstallationRemoved(INSTALLATIONS[0])))
    history.advance(DAY)
    fail_daily(history, 4)

    episode = only_episode(history)
    assert episode.disabled is None
    assert episode.attempts_saved == 0


def test_imported_counts_are_judged_with_the_next_outcome() -> None:
    history = History()
    counts = InstallationCountsImported(INSTALLATIONS[0], "2026-02-28", "redis", "person:ann", fatal=1)
    history.record((installation_stream(INSTALLATIONS[0]), counts))
    assert only_episode(history, SENTRY_2024).disabled is None

    history.record(failed(error_class="client_error"))
    episode = only_episode(history, SENTRY_2024)
    assert episode.disabled is not None
    assert episode.disabled.rule == "fatal-day"


NEVER_RECORDED = [
    failed(error_class=name) for name in ("redirect", "rate_limited", "server_error", "unavailable", "internal")
]


@pytest.mark.parametrize("fact", [*NEVER_RECORDED, blocked(), succeeded()], ids=str)
def test_sentry_2024_checks_after_nothing_that_the_original_does_not_record(fact: Fact) -> None:
    history = History()
    counts = InstallationCountsImported(INSTALLATIONS[0], "2026-02-28", "redis", "person:ann", timeout=1000)
    history.record((installation_stream(INSTALLATIONS[0]), counts))
    history.record(fact)
    assert only_episode(history, SENTRY_2024).disabled is None

    history.record(timed_out())
    assert only_episode(history, SENTRY_2024).disabled is not None


@pytest.mark.parametrize("cause", ["person", "policy"])
def test_no_disabling_of_any_cause_has_sentry_2024_check_what_it_would_not_have_checked(cause: str) -> None:
    history = History()
    counts = InstallationCountsImported(INSTALLATIONS[0], "2026-02-28", "redis", "person:ann", timeout=1000)
    history.record((installation_stream(INSTALLATIONS[0]), counts))
    history.record(failed(error_class="server_error"))
    history.record(disabled(cause=cause))

    assert only_episode(history, SENTRY_2024).disabled is None


def test_a_person_s_disabling_is_no_review() -> None:
    """By then the last success has left the window, but nobody looks: a person's hand comes first."""
    history = History()
    history.record(succeeded())
    history.advance(DAY)
    fail_daily(history, 4, 4, 4)
    history.advance(4 * DAY)
    history.record(disabled(cause="person"))

    assert only_episode(history).disabled is None


def test_a_review_sees_all_that_was_committed_with_the_outcome() -> None:
    history = History()
    history.record(failed(), succeeded())
    assert only_episode(history, HASTY).disabled is None

    history = History()
    history.record(failed(), FROZEN)
    assert only_episode(history, HASTY).disabled is None


def test_a_moment_at_which_it_was_really_reviewed_is_one_at_which_it_is_supposed_to_be() -> None:
    """An actor that starts reviews what it finds: after the last success has left the window, say."""
    history = History()
    history.record(succeeded())
    history.advance(DAY)
    fail_daily(history, 4, 4, 4)
    history.advance(4 * DAY)
    history.record(disabled())
    episode = only_episode(history)

    assert episode.disabled is not None
    assert episode.disabled.position == history.rows[-1][0]
    assert not episode.attempts_saved


# --- since, and of whom ---


def test_since_a_moment_it_begins_with_things_as_they_were() -> None:
    history = History()
    fail_daily(history, 4, 4)
    history.record(warned(level=50))
    history.advance(DAY)
    since = time_text(history.now)
    fail_daily(history, 4)
    episode = only_episode(history, since=since)

    assert [one.level for one in episode.warned] == [90]
    assert episode.disabled is not None
    assert episode.begins_at > since


def test_what_was_decided_before_it_stays_as_it_was() -> None:
    history = History()
    history.record(failed())
    history.record(failed())
    history.record(disabled())
    history.advance(DAY)
    history.record(missed())
    episode = only_episode(history, HASTY, since=history.rows[-1][4])

    assert (episode.disabled, episode.actually_disabled) == (None, None)
    assert (episode.avoided, episode.missed, episode.is_different) == (0, 0, False)


def test_since_a_moment_that_has_not_come_there_is_nothing_to_tell() -> None:
    history = History()
    fail_daily(history, 4, 4, 4)

    assert supposed(history, since="2027-01-01") == []


def test_of_some_installations_only_they_are_told() -> None:
    history = History()
    history.record(failed(0))
    history.record(failed(1))
    fold = WhatIf(Supposition(HASTY), only={INSTALLATIONS[1]})
    fold.fold(history.rows)

    (outcome,) = fold.outcomes()
    assert (outcome.installation_id, outcome.app_id) == (INSTALLATIONS[1], 2)
    assert outcome == supposed(history, HASTY)[1]


def test_an_event_that_cannot_be_read_is_an_error_and_not_passed_over() -> None:
    history = History()
    position, stream, _, _, recorded_at, _ = history.rows[-1]
    for row in (
        (position, stream, "delivery.teleported", 1, recorded_at, "{}"),
        (position, stream, "delivery.failed", 1, recorded_at, "{"),
    ):
        with pytest.raises(UnknownEventError):
            WhatIf(Supposition(BALANCED)).fold([*history.rows, row])


def test_days_that_no_window_needs_are_forgotten() -> None:
    history, fold = History(), WhatIf(Supposition(BALANCED))
    for _ in range(100):
        history.advance(DAY)
        history.record(succeeded())
    fold.fold(history.rows)

    assert 14 <= len(fold._simulated[installation_stream(INSTALLATIONS[0])].days) <= 21


def test_a_time_out_day_is_told_by_its_share() -> None:
    policy = Policy("p", 1, 3, (), (DayRule("slow", timeout_min=4, timeout_share_above=0.5),))
    history = History()
    history.record(*[timed_out()] * 4, *[succeeded()] * 4)
    assert only_episode(history, policy).disabled is None

    history.record(timed_out())
    assert only_episode(history, policy).disabled is not None
