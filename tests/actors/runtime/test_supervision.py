import threading
from collections.abc import Callable
from typing import Any

import pykka
import pytest
import structlog
from structlog.typing import EventDict

from actors.runtime.manual_pool import ManualPool
from actors.runtime.pooled_actor import ActorInterrupted
from actors.runtime.restart_budget import RestartBudget
from actors.runtime.supervision import SupervisedActor
from actors.runtime.thread_pool import Pool, TurnPool

WAIT_S = 60.0


class Clerk(SupervisedActor[Any]):
    """Writes down what happens; crashes on a callable message that raises."""

    def __init__(self, site: "Site", pool: Pool) -> None:
        super().__init__(pool=pool, budget=site.budget, escalate=site.escalate, clock_s=lambda: site.now_s)
        self.site = site

    def on_start(self) -> None:
        self.site.on_start()

    def receive(self, message: Any) -> object:
        if callable(message):
            return message()
        self.site.seen.append(message)
        return f"did {message}"

    def restarted(self, message: Any, error: Exception) -> None:
        self.site.seen.append(("restarted", message, str(error)))
        self.site.on_restart()

    def turn_ended(self) -> None:
        self.site.seen.append("turn")
        self.site.on_turn_end()

    def on_failure(self, *_args: object) -> None:
        self.site.seen.append("failure")

    def on_stop(self) -> None:
        self.site.seen.append("stop")


def _nothing() -> None:
    """Do as a hook without faults."""


class Site:
    """One actor with everything around it."""

    def __init__(self, intensity: int = 5) -> None:
        self.pool = ManualPool()
        self.budget = RestartBudget(intensity, period_s=60.0)
        self.now_s = 0.0
        self.seen: list[Any] = []
        self.on_start: Callable[[], None] = _nothing
        self.on_restart: Callable[[], None] = _nothing
        self.on_turn_end: Callable[[], None] = _nothing

    def escalate(self, reason: str) -> None:
        self.seen.append(("escalated", reason))

    def start(self, pool: Pool | None = None) -> pykka.ActorRef[Clerk]:
        return Clerk.start(self, pool or self.pool)

    def run(self, *messages: Any) -> tuple[pykka.ActorRef[Clerk], list[EventDict]]:
        ref = self.start()
        with structlog.testing.capture_logs() as lines:
            for message in messages:
                ref.tell(message)
            self.pool.run_all()
            was_alive = ref.is_alive()
            before = list(self.seen)
            ref.stop(block=False)
            self.pool.run_all()
        self.seen[:] = before
        assert was_alive == (("failure") not in before)
        return ref, lines


def fail() -> None:
    raise ValueError("on purpose")


def interrupt() -> None:
    raise SystemExit(3)


def fail_once() -> Callable[[], None]:
    faults = iter([fail])

    def take_a_fault() -> None:
        next(faults, _nothing)()

    return take_a_fault


def test_actor_goes_on_with_its_mailbox_after_a_crash() -> None:
    site = Site()

    _, lines = site.run("a", fail, "b", "c")

    assert site.seen == ["a", ("restarted", fail, "on purpose"), "b", "c", "turn"]
    assert [line["event"] for line in lines] == ["actor_crashed"]


def test_crash_is_logged_with_what_was_done() -> None:
    _, lines = Site().run(fail)

    line = lines[0]
    assert line["actor"] == "Clerk"
    assert line["message_type"] == "function"
    assert line["crash_count"] == 1
    assert line["done"] == "restarted"
    assert line["log_level"] == "error"
    assert isinstance(line["exc_info"], ValueError)


def test_asker_gets_the_exception_and_the_recovery_takes_place() -> None:
    site = Site()
    ref = site.start()
    with structlog.testing.capture_logs():
        reply = ref.ask(fail, block=False)
        following = ref.ask("b", block=False)
        site.pool.run_all()

    with pytest.raises(ValueError, match="on purpose"):
        reply.get(timeout=0)
    assert following.get(timeout=0) == "did b"
    assert site.seen == [("restarted", fail, "on purpose"), "b", "turn"]
    _stop(site, ref)


def test_used_up_budget_ends_the_actor_then_escalates() -> None:
    site = Site(intensity=1)

    _, lines = site.run("a", fail, fail, "never")

    assert site.seen[:-1] == ["a", ("restarted", fail, "on purpose"), "turn", "failure"]
    assert site.seen[-1] == (
        "escalated",
        "Clerk crashed and the restart budget is used up: ValueError('on purpose')",
    )
    assert [line["event"] for line in lines] == [
        *("actor_crashed", "actor_crashed", "actor_failed", "messages_dropped"),
    ]
    assert lines[1]["done"] == "escalated"
    assert site.budget.crash_count == 2


def test_budget_recovers_with_time() -> None:
    site = Site(intensity=1)

    def later() -> None:
        site.now_s = 61.0

    site.run(fail, later, fail, "b")

    assert site.seen[-2:] == ["b", "turn"]


def test_budget_is_shared_by_actors() -> None:
    site = Site(intensity=1)
    site.run(fail)
    site.run(fail)

    assert site.seen[-1][0] == "escalated"


def test_asker_gets_the_exception_when_the_budget_is_used_up() -> None:
    site = Site(intensity=0)
    ref = site.start()
    with structlog.testing.capture_logs():
        reply = ref.ask(fail, block=False)
        waiting = ref.ask("b", block=False)
        site.pool.run_all()

    with pytest.raises(ValueError, match="on purpose"):
        reply.get(timeout=0)
    with pytest.raises(pykka.ActorDeadError):
        waiting.get(timeout=0)
    assert not ref.is_alive()


def test_failing_restart_escalates() -> None:
    site = Site()
    site.on_restart = interrupt

    _, lines = site.run(fail, "never")

    assert "never" not in site.seen
    assert "its restart failed" in site.seen[-1][1]
    assert [line["done"] for line in lines[:2]] == ["restarted", "escalated"]


def test_failing_on_start_is_retried_through_restarted() -> None:
    site = Site()
    site.on_start = fail

    site.run("a")

    assert site.seen == [("restarted", None, "on purpose"), "a", "turn"]


def test_failing_turn_end_is_a_crash_without_a_message() -> None:
    site = Site()
    site.on_turn_end = fail_once()

    _, lines = site.run("a")

    assert site.seen == ["a", "turn", ("restarted", None, "on purpose")]
    assert lines[0]["message_type"] is None


def test_stop_goes_through_when_the_turn_before_it_fails() -> None:
    site = Site()
    site.on_turn_end = fail
    ref = site.start()
    ref.tell("a")
    with structlog.testing.capture_logs():
        stopped = ref.stop(block=False)
        site.pool.run_all()

    assert stopped.get(timeout=0) is True
    assert site.seen == ["a", "turn", ("restarted", None, "on purpose"), "stop"]


def test_turn_that_fails_while_the_actor_ends_is_logged_and_escalated_once() -> None:
    site = Site(intensity=0)
    site.on_turn_end = fail

    _, lines = site.run(fail)

    assert [entry[0] for entry in site.seen if isinstance(entry, tuple)] == ["escalated"]
    assert [line["done"] for line in lines if line["event"] == "actor_crashed"] == [
        "escalated",
        "actor is ending already",
    ]


def test_interrupt_escalates_at_once_and_stops_nobody_else() -> None:
    site, neighbour_site = Site(), Site()
    neighbour = neighbour_site.start()

    site.run(interrupt, "never")

    assert "it was interrupted" in site.seen[-1][1]
    assert "never" not in site.seen
    assert neighbour.is_alive()
    _stop(neighbour_site, neighbour)


def test_interrupt_does_not_spread_to_the_asker() -> None:
    site = Site()
    ref = site.start()
    with structlog.testing.capture_logs():
        reply = ref.ask(interrupt, block=False)
        site.pool.run_all()

    with pytest.raises(ActorInterrupted):
        reply.get(timeout=0)


def test_actor_ends_when_even_escalating_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(intensity=0)
    monkeypatch.setattr(site, "escalate", lambda _reason: interrupt())
    ref, _ = site.run(fail)

    assert not ref.is_alive()
    assert site.seen == ["turn", "failure"]


def test_crashes_on_a_real_pool_lose_no_other_message() -> None:
    site = Site(intensity=1000)
    pool = TurnPool("supervised", max_threads=4)
    done = threading.Event()
    ref = site.start(pool)
    with structlog.testing.capture_logs():
        for number in range(200):
            ref.tell(fail)
            ref.tell(number)
        ref.tell(done.set)
        assert done.wait(WAIT_S)
        assert ref.stop(timeout=WAIT_S)

    assert [entry for entry in site.seen if isinstance(entry, int)] == list(range(200))
    assert site.budget.crash_count == 200
    assert pool.stop(WAIT_S)


def _stop(site: Site, ref: pykka.ActorRef[Clerk]) -> None:
    ref.stop(block=False)
    site.pool.run_all()
