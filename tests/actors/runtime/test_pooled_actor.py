import contextlib
import gc
import inspect
import threading
import weakref
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, ClassVar

import pykka
import pytest
import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pykka._envelope import Envelope
from pykka.messages import ProxyCall, _ActorStop

from actors.runtime.mailbox import Mailbox, MailboxFull, TurnOver, mailbox_depth
from actors.runtime.manual_pool import ManualPool
from actors.runtime.pooled_actor import ActorInterrupted, PooledActor
from actors.runtime.thread_pool import Pool, PoolStopped, TurnPool

WAIT_S = 60.0


class Recorder(PooledActor):
    """Writes down what happens to it; a callable message is called."""

    def __init__(self, pool: Pool, seen: list[Any]) -> None:
        super().__init__(pool=pool)
        self.seen = seen

    def on_start(self) -> None:
        self.seen.append("start")

    def on_receive(self, message: Any) -> Any:
        if callable(message):
            return message()
        self.seen.append(message)
        return message

    def turn_ended(self) -> None:
        self.seen.append("turn")

    def on_stop(self) -> None:
        self.seen.append("stop")

    def on_failure(self, *_args: object) -> None:
        self.seen.append("failure")


class Small(Recorder):
    mailbox_bound: ClassVar[int] = 3
    turn_messages: ClassVar[int] = 2


@pytest.fixture
def pool() -> ManualPool:
    return ManualPool()


@pytest.fixture
def seen() -> list[Any]:
    return []


@pytest.fixture
def ref(pool: ManualPool, seen: list[Any]) -> Iterator[pykka.ActorRef[Recorder]]:
    ref = Recorder.start(pool, seen)
    yield ref
    ref.stop(block=False)
    pool.run_all()
    pykka.ActorRegistry.unregister(ref)


@pytest.fixture
def small(pool: ManualPool, seen: list[Any]) -> Iterator[pykka.ActorRef[Small]]:
    ref = Small.start(pool, seen)
    yield ref
    ref.stop(block=False)
    pool.run_all()
    pykka.ActorRegistry.unregister(ref)


def _fail() -> None:
    raise ValueError("on purpose")


def _exit() -> None:
    raise SystemExit(3)


# Turns


def test_on_start_runs_in_the_first_turn_before_any_message(
    pool: ManualPool, seen: list[Any], ref: pykka.ActorRef[Recorder]
) -> None:
    ref.tell("a")

    assert seen == []
    assert pool.run_all() == 1
    assert seen == ["start", "a", "turn"]


def test_start_without_a_message_is_no_turn_to_end(
    pool: ManualPool, seen: list[Any], ref: pykka.ActorRef[Recorder]
) -> None:
    pool.run_all()

    assert seen == ["start"]


def test_messages_that_wait_are_one_turn(pool: ManualPool, seen: list[Any], ref: pykka.ActorRef[Recorder]) -> None:
    for message in "abc":
        ref.tell(message)

    assert pool.queued_tasks == 1
    pool.run_all()
    assert seen == ["start", "a", "b", "c", "turn"]


def test_idle_actor_is_scheduled_again(pool: ManualPool, seen: list[Any], ref: pykka.ActorRef[Recorder]) -> None:
    pool.run_all()

    ref.tell("a")
    ref.tell("b")

    assert pool.run_all() == 1
    assert seen == ["start", "a", "b", "turn"]


def test_actor_goes_behind_the_others_when_its_turn_is_used_up(
    pool: ManualPool, seen: list[Any], small: pykka.ActorRef[Small]
) -> None:
    for message in "abc":
        small.tell(message)
    pool.submit(lambda: seen.append("another"))
    pool.run_all()

    assert seen == ["start", "a", "b", "turn", "another", "c", "turn"]


def test_message_from_turn_ended_gets_a_turn_of_its_own(
    pool: ManualPool, seen: list[Any], ref: pykka.ActorRef[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    once = iter(["late"])

    def send_once(self: Recorder) -> None:
        seen.append("turn")
        for message in once:
            self.actor_ref.tell(message)

    monkeypatch.setattr(Recorder, "turn_ended", send_once)
    ref.tell("a")
    pool.run_all()

    assert seen == ["start", "a", "turn", "late", "turn"]


def test_messages_that_wait_in_a_stopped_pool_are_still_handled(
    pool: ManualPool, seen: list[Any], small: pykka.ActorRef[Small]
) -> None:
    for message in "abc":
        small.tell(message)

    assert pool.stop()
    assert seen == ["start", "a", "b", "turn", "c", "turn"]


# The bound


def test_message_beyond_the_bound_is_refused_to_its_sender(
    pool: ManualPool, seen: list[Any], small: pykka.ActorRef[Small]
) -> None:
    for message in "abc":
        small.tell(message)

    with pytest.raises(MailboxFull):
        small.tell("d")
    with pytest.raises(MailboxFull):
        small.ask("d")
    pool.run_all()
    assert "d" not in seen


def test_full_mailbox_can_be_stopped(pool: ManualPool, seen: list[Any], small: pykka.ActorRef[Small]) -> None:
    for message in "abc":
        small.tell(message)
    stopped = small.stop(block=False)
    pool.run_all()

    assert stopped.get(timeout=0) is True
    assert seen == ["start", "a", "b", "turn", "c", "turn", "stop"]


def test_actor_with_a_full_mailbox_can_stop_itself(pool: ManualPool, seen: list[Any]) -> None:
    actor = Small(pool, seen)
    for message in "abc":
        actor.actor_ref.tell(message)
    actor.stop()
    actor._start_actor_loop()
    pool.run_all()

    assert seen[-1] == "stop"


def test_what_waits_is_counted_also_beyond_the_bound(pool: ManualPool, small: pykka.ActorRef[Small]) -> None:
    small.tell("a")

    assert mailbox_depth(small) == 1
    small.tell("b")
    small.tell("c")
    small.stop(block=False)
    assert mailbox_depth(small) == 4
    pool.run_all()
    assert mailbox_depth(small) == 0


# Ask and stop


def test_ask_is_answered(pool: ManualPool, ref: pykka.ActorRef[Recorder]) -> None:
    reply = ref.ask("a", block=False)
    pool.run_all()

    assert reply.get(timeout=0) == "a"


def test_ask_times_out_when_no_turn_comes(ref: pykka.ActorRef[Recorder]) -> None:
    with pytest.raises(pykka.Timeout):
        ref.ask("a", timeout=0.001)


def test_proxy_call_is_answered(pool: ManualPool, ref: pykka.ActorRef[Recorder]) -> None:
    reply = ref.ask(ProxyCall(("on_receive",), ("a",), {}), block=False)
    pool.run_all()

    assert reply.get(timeout=0) == "a"


def test_turn_ends_before_on_stop(pool: ManualPool, seen: list[Any], ref: pykka.ActorRef[Recorder]) -> None:
    ref.tell("a")
    ref.stop(block=False)
    pool.run_all()

    assert seen == ["start", "a", "turn", "stop"]
    assert not ref.is_alive()
    assert ref not in pykka.ActorRegistry.get_all()


def test_stop_alone_is_no_turn_to_end(pool: ManualPool, seen: list[Any], ref: pykka.ActorRef[Recorder]) -> None:
    ref.stop(block=False)
    pool.run_all()

    assert seen == ["start", "stop"]


def test_message_after_a_stop_is_refused_at_once(pool: ManualPool, ref: pykka.ActorRef[Recorder]) -> None:
    ref.stop(block=False)
    reply = ref.ask("late", block=False)

    with pytest.raises(pykka.ActorDeadError):
        ref.tell("late")
    with pytest.raises(pykka.ActorDeadError):
        reply.get(timeout=0)


def test_stop_says_whether_the_actor_was_alive(pool: ManualPool, ref: pykka.ActorRef[Recorder]) -> None:
    first, second = ref.stop(block=False), ref.stop(block=False)
    pool.run_all()
    third = ref.stop(block=False)

    assert [future.get(timeout=0) for future in (first, second, third)] == [True, True, False]


def test_mailbox_of_an_ended_actor_refuses_what_has_passed_the_check_of_the_ref(
    pool: ManualPool, ref: pykka.ActorRef[Recorder]
) -> None:
    ref.stop(block=False)
    pool.run_all()
    reply: pykka.Future[Any] = pykka.ThreadingFuture()

    ref.actor_inbox.put(Envelope("late", reply_to=reply))

    with pytest.raises(pykka.ActorDeadError):
        reply.get(timeout=0)
    with pytest.raises(pykka.ActorDeadError):
        ref.actor_inbox.put(Envelope("late"))


def test_idle_actor_on_a_stopped_pool_refuses_messages(
    pool: ManualPool, seen: list[Any], ref: pykka.ActorRef[Recorder]
) -> None:
    pool.stop()
    reply = ref.ask("late", block=False)

    with pytest.raises(pykka.ActorDeadError):
        ref.tell("late")
    with pytest.raises(pykka.ActorDeadError):
        reply.get(timeout=0)
    assert ref.stop(timeout=0) is False
    assert mailbox_depth(ref) == 0


@pytest.mark.parametrize("is_registered", [True, False])
def test_actor_can_not_be_started_on_a_stopped_pool(
    pool: ManualPool, is_registered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "is_registered", is_registered)
    pool.stop()

    with pytest.raises(PoolStopped):
        Recorder.start(pool, [])
    assert pykka.ActorRegistry.get_by_class(Recorder) == []


def test_unregistered_actor_works_without_the_registry(
    pool: ManualPool, seen: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "is_registered", False)
    ref = Recorder.start(pool, seen)
    ref.tell("a")
    pool.run_all()

    assert pykka.ActorRegistry.get_by_class(Recorder) == []
    ref.stop(block=False)
    pool.run_all()
    assert seen == ["start", "a", "turn", "stop"]


@pytest.mark.parametrize("end", [lambda ref: ref.stop(block=False), lambda ref: ref.tell(_fail)])
def test_ended_actor_is_freed_while_its_ref_is_kept(pool: ManualPool, end: Callable[[Any], object]) -> None:
    ref = Recorder.start(pool, [])
    actor = ref._actor_weakref
    with structlog.testing.capture_logs():
        end(ref)
        pool.run_all()

    gc.collect()
    assert actor() is None


def test_ended_actor_is_not_kept_by_an_idle_thread() -> None:
    pool = TurnPool("free", max_threads=1)
    ref = Recorder.start(pool, [])
    gone = threading.Event()
    weakref.finalize(ref._actor_weakref(), gone.set)

    ref.stop(timeout=WAIT_S)

    assert gone.wait(WAIT_S)
    assert pool.stop(WAIT_S)


# Failures


def test_failing_tell_ends_the_turn_then_the_actor(
    pool: ManualPool, seen: list[Any], ref: pykka.ActorRef[Recorder]
) -> None:
    with structlog.testing.capture_logs() as lines:
        ref.tell("a")
        ref.tell(_fail)
        ref.tell("lost")
        reply = ref.ask("lost", block=False)
        pool.run_all()

    assert seen == ["start", "a", "turn", "failure"]
    assert [line["event"] for line in lines] == ["actor_failed", "messages_dropped"]
    assert lines[1]["messages"] == {"str": 1}
    with pytest.raises(pykka.ActorDeadError):
        reply.get(timeout=0)


def test_failing_ask_tells_the_asker_and_the_actor_lives_on(
    pool: ManualPool, seen: list[Any], ref: pykka.ActorRef[Recorder]
) -> None:
    reply = ref.ask(_fail, block=False)
    ref.tell("next")
    pool.run_all()

    with pytest.raises(ValueError, match="on purpose"):
        reply.get(timeout=0)
    assert seen == ["start", "next", "turn"]


@pytest.mark.parametrize("hook", ["turn_ended", "on_start"])
def test_failing_hook_ends_the_actor(
    pool: ManualPool,
    seen: list[Any],
    ref: pykka.ActorRef[Recorder],
    monkeypatch: pytest.MonkeyPatch,
    hook: str,
) -> None:
    monkeypatch.setattr(Recorder, hook, lambda _self: _exit())
    with structlog.testing.capture_logs() as lines:
        ref.tell("a")
        pool.run_all()

    assert seen[-1] == "failure"
    assert seen.count("failure") == 1
    assert lines[0]["event"] == "actor_failed"
    assert not ref.is_alive()


def test_turn_that_fails_before_a_stop_ends_the_actor_and_answers_the_stopper(
    pool: ManualPool, seen: list[Any], ref: pykka.ActorRef[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "turn_ended", lambda _self: _fail())
    with structlog.testing.capture_logs():
        ref.tell("a")
        stopped = ref.stop(block=False)
        pool.run_all()

    assert stopped.get(timeout=0) is True
    assert seen == ["start", "a", "failure"]


@pytest.mark.parametrize("fail", [_fail, _exit])
def test_failing_on_stop_is_logged_and_the_actor_is_stopped(
    pool: ManualPool, ref: pykka.ActorRef[Recorder], monkeypatch: pytest.MonkeyPatch, fail: Callable[[], None]
) -> None:
    monkeypatch.setattr(Recorder, "on_stop", lambda _self: fail())
    with structlog.testing.capture_logs() as lines:
        stopped = ref.stop(block=False)
        pool.run_all()

    assert stopped.get(timeout=0) is True
    assert [line["event"] for line in lines] == ["actor_failed"]


def test_exit_in_a_handler_ends_that_actor_only(pool: ManualPool, ref: pykka.ActorRef[Recorder]) -> None:
    other = Recorder.start(pool, [])
    with structlog.testing.capture_logs():
        reply = ref.ask(_exit, block=False)
        pool.run_all()

    with pytest.raises(ActorInterrupted):
        reply.get(timeout=0)
    assert not ref.is_alive()
    assert other.is_alive()
    other.stop(block=False)
    pool.run_all()


def test_nobody_waits_for_an_actor_whose_turn_breaks_down(
    pool: ManualPool, ref: pykka.ActorRef[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.runtime.pooled_actor.log.error", lambda *_args, **_keywords: _fail())
    ref.tell(_fail)
    reply = ref.ask("a", block=False)

    with pytest.raises(ValueError, match="on purpose"):
        pool.run_all()
    with pytest.raises(pykka.ActorDeadError):
        reply.get(timeout=0)
    assert not ref.is_alive()


# Many threads


class Counter(PooledActor):
    turn_messages: ClassVar[int] = 7
    mailbox_bound: ClassVar[int] = 1_000_000

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool=pool)
        self.numbers: dict[int, list[int]] = {}
        self.turns = 0
        self.inside = threading.Lock()

    def on_receive(self, message: tuple[int, int] | None) -> dict[int, list[int]] | None:
        assert self.inside.acquire(blocking=False), "two turns at once"
        if message is None:
            self.inside.release()
            return self.numbers
        sender, number = message
        self.numbers.setdefault(sender, []).append(number)
        self.inside.release()
        return None


def test_every_actor_sees_each_sender_in_order_and_nothing_is_lost() -> None:
    pool = TurnPool("stress", max_threads=8)
    refs = [Counter.start(pool) for _ in range(300)]

    def send(sender: int) -> None:
        for number in range(40):
            for ref in refs:
                ref.tell((sender, number))

    _run_threads([lambda sender=sender: send(sender) for sender in range(4)])  # type: ignore[misc]
    answers = [ref.ask(None, timeout=WAIT_S) for ref in refs]

    assert all(answer == {sender: list(range(40)) for sender in range(4)} for answer in answers)
    for stopped in [ref.stop(block=False) for ref in refs]:
        assert stopped.get(timeout=WAIT_S)
    assert pool.stop(WAIT_S)


def test_message_that_races_with_a_stop_is_handled_or_refused() -> None:
    pool = TurnPool("race", max_threads=4)
    for _ in range(300):
        ref = Counter.start(pool)
        actor = ref._actor_weakref()
        assert actor is not None
        told, futures = _race_with_stop(ref)

        assert ref.actor_stopped.wait(WAIT_S)
        assert actor.numbers.get(1, []) == list(range(told))
        for future in futures:
            _expect_an_end(future)
    assert pool.stop(WAIT_S)


def _race_with_stop(ref: pykka.ActorRef[Counter]) -> tuple[int, list[pykka.Future[Any]]]:
    start = threading.Barrier(3)
    told: list[int] = []
    futures: list[pykka.Future[Any]] = []

    def tell() -> None:
        start.wait(WAIT_S)
        try:
            for number in range(20):
                ref.tell((1, number))
                told.append(number)
        except pykka.ActorDeadError:
            return

    def ask() -> None:
        start.wait(WAIT_S)
        futures.extend(ref.ask((2, number), block=False) for number in range(20))

    def stop() -> None:
        start.wait(WAIT_S)
        futures.append(ref.stop(block=False))

    _run_threads([tell, ask, stop])
    return len(told), futures


def _expect_an_end(future: pykka.Future[Any]) -> None:
    with contextlib.suppress(pykka.ActorDeadError):
        assert future.get(timeout=WAIT_S) in (None, True)


def _run_threads(targets: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)


# The state machine, cranked by hand


class MailboxMachine(RuleBasedStateMachine):
    """Whatever the order of tells, asks, stops, turns: all is handled in order or refused to its sender."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = ManualPool()
        self.seen: list[Any] = []
        self.ref = Small.start(self.pool, self.seen)
        self.accepted: list[int] = []
        self.replies: dict[int, pykka.Future[Any]] = {}
        self.stops: list[pykka.Future[bool]] = []
        self.next_number = 0

    def _send(self, send: Callable[[int], None]) -> None:
        number = self.next_number
        self.next_number += 1
        room = max(0, Small.mailbox_bound - mailbox_depth(self.ref))
        try:
            send(number)
        except MailboxFull:
            assert room == 0
        except pykka.ActorDeadError:
            assert self.stops
        else:
            self.accepted.append(number)

    @rule()
    def tell(self) -> None:
        self._send(self.ref.tell)

    @rule()
    def ask(self) -> None:
        def send(number: int) -> None:
            reply = self.ref.ask(number, block=False)
            if self.stops:
                reply.get(timeout=0)
            self.replies[number] = reply

        self._send(send)

    @rule()
    def stop(self) -> None:
        self.stops.append(self.ref.stop(block=False))

    @precondition(lambda self: self.pool.queued_tasks)
    @rule(turns=st.integers(1, 3))
    def crank(self, turns: int) -> None:
        for _ in range(turns):
            self.pool.run_one()

    @invariant()
    def at_most_one_turn_is_scheduled(self) -> None:
        assert self.pool.queued_tasks <= 1

    @invariant()
    def waiting_message_has_a_turn(self) -> None:
        assert self.pool.queued_tasks or not mailbox_depth(self.ref)

    @invariant()
    def messages_are_handled_in_order(self) -> None:
        handled = [entry for entry in self.seen if isinstance(entry, int)]
        assert handled == self.accepted[: len(handled)]

    @invariant()
    def each_turn_with_messages_is_ended_once(self) -> None:
        assert not any(pair == ("turn", "turn") for pair in pairwise(self.seen))
        assert not self.seen or self.seen[-1] in ("start", "turn", "stop")

    def teardown(self) -> None:
        self.stops.append(self.ref.stop(block=False))
        self.pool.run_all()
        assert [entry for entry in self.seen if isinstance(entry, int)] == self.accepted
        assert all(reply.get(timeout=0) == number for number, reply in self.replies.items())
        assert any(stopped.get(timeout=0) for stopped in self.stops)
        assert self.seen.count("stop") == 1
        assert not self.ref.is_alive()


class TestMailboxMachine(MailboxMachine.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=150, stateful_step_count=30)


# The contract with pykka: what pooled_actor.py relies on. When one of these fails after an upgrade, read it again.


class Probe(pykka.Actor):
    """An actor in pykka's own way whose loop is run by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Any] = []

    @staticmethod
    def _create_actor_inbox() -> Mailbox:
        inbox = Mailbox()
        inbox.begin_turn(100)
        return inbox

    @staticmethod
    def _create_future() -> pykka.Future[Any]:
        return pykka.ThreadingFuture()

    def _start_actor_loop(self) -> None:
        self.calls.append(("loop", self.actor_ref in pykka.ActorRegistry.get_all()))

    def on_receive(self, message: Any) -> Any:
        self.calls.append(message)
        return message

    def on_stop(self) -> None:
        self.calls.append(("stop", self.actor_stopped.is_set(), self.actor_ref in pykka.ActorRegistry.get_all()))

    def _handle_failure(self, *_args: object) -> None:
        self.calls.append("failure")
        self.actor_stopped.set()


@pytest.fixture
def probe() -> Iterator[Probe]:
    actor = Probe()
    yield actor
    pykka.ActorRegistry.unregister(actor.actor_ref)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("_actor_loop", ["self"]),
        ("_actor_loop_setup", ["self"]),
        ("_actor_loop_running", ["self"]),
        ("_actor_loop_teardown", ["self"]),
        ("_start_actor_loop", ["self"]),
        ("_handle_receive", ["self", "message"]),
        ("_handle_failure", ["self", "exception_type", "exception_value", "traceback"]),
        ("_stop", ["self"]),
        ("_create_actor_inbox", []),
        ("_create_future", []),
    ],
)
def test_pykka_has_the_private_method(name: str, parameters: list[str]) -> None:
    method = getattr(pykka.Actor, name, None)

    assert method is not None, f"pykka.Actor.{name} is gone: pooled_actor.py overrides or calls it"
    assert list(inspect.signature(method).parameters) == parameters, f"pykka.Actor.{name} takes other arguments"


def test_pykka_has_no_private_method_that_we_do_not_know() -> None:
    known = {
        *("_actor_loop", "_actor_loop_setup", "_actor_loop_running", "_actor_loop_teardown"),
        *("_start_actor_loop", "_handle_receive", "_handle_failure", "_stop"),
        *("_create_actor_inbox", "_create_future"),
    }
    found = {name for name in vars(pykka.Actor) if name.startswith("_") and not name.startswith(("__", "_abc"))}

    assert found == known, "pykka.Actor has other private methods than those of 4.5: does pooled_actor.py miss a hook?"


def test_pykka_envelope_is_a_message_and_who_waits_for_it() -> None:
    reply: pykka.Future[Any] = pykka.ThreadingFuture()

    assert Envelope.__slots__ == ["message", "reply_to"]
    assert Envelope("a").reply_to is None
    assert Envelope("a", reply_to=reply).reply_to is reply


def test_pykka_calls_get_outside_the_try_of_its_loop(probe: Probe) -> None:
    probe.actor_ref.tell("a")

    with pytest.raises(TurnOver):
        probe._actor_loop_running()

    assert probe.calls == ["a"]
    assert not probe.actor_stopped.is_set()


def test_pykka_loop_is_setup_then_running_then_teardown(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("setup", "running", "teardown"):
        monkeypatch.setattr(probe, f"_actor_loop_{part}", lambda part=part: probe.calls.append(part))

    probe._actor_loop()

    assert probe.calls == ["setup", "running", "teardown"]


def test_pykka_loop_ends_when_the_actor_is_stopped(probe: Probe) -> None:
    probe.actor_ref.tell("a")
    probe.actor_stopped.set()

    probe._actor_loop_running()

    assert probe.calls == []


def test_pykka_start_registers_before_it_starts_the_loop() -> None:
    ref = Probe.start()
    actor = ref._actor_weakref()

    assert actor is None, "pykka must not hold the actor: the mailbox does while it lives"
    assert ref in pykka.ActorRegistry.get_all()
    pykka.ActorRegistry.unregister(ref)


def test_pykka_stop_is_a_message_that_unregisters_then_stops(probe: Probe) -> None:
    pykka.ActorRegistry.register(probe.actor_ref)
    stopped = probe.actor_ref.stop(block=False)

    probe._actor_loop_running()

    assert probe.calls == [("stop", True, False)]
    assert stopped.get(timeout=0) is True
    assert isinstance(_ActorStop(), tuple)


def test_pykka_actor_stop_tells_a_stop_message(probe: Probe) -> None:
    probe.stop()
    envelope = probe.actor_inbox.get()

    assert isinstance(envelope.message, _ActorStop)
    assert envelope.reply_to is None


def test_pykka_gives_the_exception_of_an_ask_to_the_asker_and_goes_on(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_handle_receive", lambda _message: _fail())
    reply = probe.actor_ref.ask("a", block=False)
    with pytest.raises(TurnOver):
        probe._actor_loop_running()

    with pytest.raises(ValueError, match="on purpose"):
        reply.get(timeout=0)
    assert probe.calls == []


def test_pykka_ref_shares_inbox_and_stopped_flag_and_holds_the_actor_weakly(probe: Probe) -> None:
    ref = probe.actor_ref

    assert ref.actor_inbox is probe.actor_inbox
    assert ref.actor_stopped is probe.actor_stopped
    assert isinstance(ref._actor_weakref, weakref.ref)


def test_pykka_ask_lets_what_put_raises_through(probe: Probe) -> None:
    probe.actor_inbox.bound = 0  # type: ignore[attr-defined]

    with pytest.raises(MailboxFull):
        probe.actor_ref.ask("a", block=False)
