"""What if it had been the policy that it was? Then as it was: histories that the real actors have lived through."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eventstore.common.clock import ManualClock
from eventstore.decisions.disable import DisableRequest, disable, enable
from eventstore.events.catalogue import InstallationDisabled, InstallationWarned
from eventstore.log.event_log import read_events
from eventstore.policies.outage_rule import OutageRule
from eventstore.policies.policy import BALANCED, DayRule, NoSuccessRule, Policy, StreakRule
from replay.timeline.episode import Ending, Episode
from replay.what_if.what_if import Supposition, what_if
from tests.actors.stage import GONE, ONE, READ_TIMEOUT, SERVER_ERROR, START, THREE, TWO, Receiver, Stage, Works, outcome
from webhook import ErrorClass

INSTALLATIONS = (ONE, TWO, THREE)
ANSWERS = {
    "success": outcome(),
    "server_error": SERVER_ERROR,
    "client_error": outcome(ErrorClass.CLIENT_ERROR, 404),
    "rate_limited": outcome(ErrorClass.RATE_LIMITED, 429),
    "timeout": READ_TIMEOUT,
    "gone": GONE,
}
HOUR_S, DAY_S = 3_600.0, 86_400.0


class TickingClock(ManualClock):
    """Each look at it is a moment of its own, as each commit of a real daemon is."""

    __slots__ = ()

    def now(self) -> datetime:
        self.moment += timedelta(microseconds=1)
        return self.moment


@pytest.fixture(autouse=True, scope="module")
def _without_log_lines() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@dataclass(frozen=True)
class Step:
    """Some time passes, then somebody does something to an installation: deliveries are sent, a person decides."""

    after_s: float
    number: int
    action: str
    count: int = 1


few = st.integers(1, 4)
rules = st.one_of(
    st.builds(StreakRule, name=st.just("streak"), days=few),
    st.builds(NoSuccessRule, name=st.just("silence"), failures_min=st.integers(1, 8), failing_days_min=few),
    st.builds(
        DayRule,
        name=st.just("day"),
        timeout_min=st.integers(1, 6),
        timeout_share_above=st.sampled_from((-1.0, 0.3, 0.5)),
    ),
)
policies = st.just(BALANCED) | st.builds(
    lambda window_days, errors, rules, gone, after: Policy("mine", 1, window_days, errors, tuple(rules), gone, after),
    st.integers(2, 6),
    st.sampled_from((("server_error",), ("client_error", "server_error"), ())),
    st.lists(rules, min_size=1, max_size=3, unique_by=lambda rule: rule.name),
    st.booleans(),
    st.sampled_from(((), ("timeout",), ("client_error", "timeout"))),
)
steps = st.builds(
    Step,
    st.sampled_from((0.0, HOUR_S, 6 * HOUR_S, DAY_S, DAY_S, 3 * DAY_S)),
    st.sampled_from((0, 0, 0, 1, 2)),
    st.sampled_from((*ANSWERS, "server_error", "server_error", "timeout", "enable", "enable", "disable", "restart")),
    st.integers(1, 6),
)
_BROKEN = [Step(DAY_S, 0, "server_error", 4)] * 3


@settings(max_examples=30)
@given(policies, st.lists(steps, min_size=5, max_size=25), st.booleans())
@example(BALANCED, [*_BROKEN, Step(DAY_S, 0, "success"), Step(DAY_S, 0, "enable"), *_BROKEN], True)
@example(BALANCED, [Step(0, 0, "success"), *_BROKEN, Step(3 * DAY_S, 0, "success")], True)
@example(BALANCED, [Step(DAY_S, 0, "gone", 3), Step(0, 1, "gone"), Step(HOUR_S, 0, "success", 2)], True)
@example(BALANCED, [*_BROKEN[1:], Step(0, 1, "server_error"), Step(0, 2, "server_error"), *_BROKEN], False)
def test_by_the_policy_that_it_was_it_would_have_gone_as_it_did(
    policy: Policy, lived: Sequence[Step], is_warned: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder, closing(Stage(Path(folder), TickingClock(START))) as stage:
        live(stage, policy, lived, is_warned=is_warned)
        outcomes = what_if(stage.store.connection, Supposition(policy, is_warned=is_warned))
        real_endings = [one for one in stage.events(InstallationDisabled.type_name) if one.cause != "person"]
        real_warnings = stage.events(InstallationWarned.type_name)

    episodes = [episode for one in outcomes for episode in one.episodes]
    assert len(outcomes) == len(INSTALLATIONS)
    assert len(real_endings) == sum(1 for episode in episodes if episode.disabled)
    assert len(real_warnings) == sum(len(episode.warned) for episode in episodes)
    for episode in episodes:
        assert_is_as_it_was(episode)


def assert_is_as_it_was(episode: Episode) -> None:
    actually = episode.actually_disabled
    assert actually is None or actually.cause == "person" or same(episode.disabled, actually)
    assert [(one.level, one.rule, one.explanation) for one in episode.warned] == [
        (one.level, one.rule, one.explanation) for one in episode.actually_warned
    ]
    assert (episode.missed, episode.attempts_saved, episode.avoided) == (0, 0, 0)
    assert not episode.is_different


def same(supposed: Ending | None, real: Ending) -> bool:
    """Return whether it is the same decision; the real one is written down after the outcome that led to it."""
    assert supposed is not None
    assert supposed.position <= real.position
    assert supposed.at[:19] == real.at[:19]
    return (supposed.cause, supposed.rule, supposed.explanation) == (real.cause, real.rule, real.explanation)


def live(stage: Stage, policy: Policy, lived: Sequence[Step], *, is_warned: bool) -> None:
    """Run dispatcher, installations, journal and supervisor through it, on a clock that is moved by hand."""
    receiver = Receiver()
    stage.register(*INSTALLATIONS)
    works = Works(
        stage,
        receiver=receiver,
        outage_rule=OutageRule(share=0.5, window_s=300, installations_min=2),
        limits={"per_installation": 1},
        policy=policy,
        is_warned=is_warned,
        delays_s=(HOUR_S,),
    )
    for step in lived:
        works.look_around(after_s=step.after_s)
        installation_id = INSTALLATIONS[step.number]
        if step.action in ANSWERS:
            receiver.answers[installation_id] = ANSWERS[step.action]
            stage.enqueue(installation_id, step.count)
        elif step.action == "restart":
            works.restart()
        else:
            decide(stage, installation_id, step.action, policy)
        works.look_around()


def decide(stage: Stage, installation_id: str, action: str, policy: Policy) -> None:
    with stage.store.transaction() as transaction:
        if action == "enable":
            enable(transaction, installation_id, by="person:ann", reason="fixed")
        else:
            disable(transaction, DisableRequest(installation_id, "person:ann", "on purpose", policy))


@pytest.mark.parametrize(
    ("lived", "expected"),
    [
        (_BROKEN, {"installation.warned", "installation.disabled"}),
        ([*_BROKEN, Step(0, 0, "enable")], {"installation.enabled"}),
        ([*_BROKEN[1:], Step(0, 0, "success")], {"installation.warning_lifted"}),
        ([Step(0, number, "server_error") for number in range(3)], {"disabling.frozen"}),
    ],
)
def test_what_is_lived_through_here_is_what_real_actors_decide(
    tmp_path: Path, lived: Sequence[Step], expected: set[str]
) -> None:
    with closing(Stage(tmp_path, TickingClock(START))) as stage:
        live(stage, BALANCED, lived, is_warned=True)

        assert expected <= {stored.type for stored in read_events(stage.store.connection)}
