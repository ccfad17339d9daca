from collections.abc import Callable, Iterator

import pytest

from console.commands import probe_test
from console.shell.exit_codes import ExitCode
from eventstore.deliveries.record_attempts import DeliveryRecord, record_deliveries
from eventstore.events.catalogue import AttemptEvent, InstallationEnabled, ProbeFailed, ProbeSucceeded
from eventstore.log.event_log import read_events
from eventstore.queue.delivery import QueuedDelivery
from eventstore.queue.queries import read_deliveries
from tests.console.conftest import CHAT, PAGER, Hookfuse, World, attempt

Answer = Callable[[QueuedDelivery], AttemptEvent]


@pytest.fixture
def daemon(world: World) -> Iterator[World]:
    with world.home.ownership.held():
        yield world


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the pauses that the command makes; time passes by them only."""
    passed: list[float] = []
    monkeypatch.setattr(probe_test, "_pause", passed.append)
    monkeypatch.setattr(probe_test, "_monotonic_s", lambda: sum(passed))
    return passed


@pytest.fixture
def answering(daemon: World, seconds: list[float], monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], None]:
    """Answer the test delivery as a daemon does, while the command waits."""

    def answer_with(answer: Answer) -> None:
        def pause(pause_s: float) -> None:
            seconds.append(pause_s)
            with daemon.store() as store, store.transaction() as transaction:
                for delivery in _probes(daemon):
                    record_deliveries(transaction, [DeliveryRecord(delivery, answer(delivery))])

        monkeypatch.setattr(probe_test, "_pause", pause)

    return answer_with


def _probes(world: World) -> list[QueuedDelivery]:
    with world.store() as store:
        return [delivery for delivery in read_deliveries(store.connection, limit=-1) if delivery.is_probe]


def _types(world: World) -> list[str]:
    with world.store() as store:
        return [stored.type for stored in read_events(store.connection)]


def succeeding(delivery: QueuedDelivery) -> AttemptEvent:
    fields = attempt(6, "chat", status_code=204, delivery_id=delivery.delivery_id, event_name=delivery.event_name)
    return ProbeSucceeded(**fields)


def failing(delivery: QueuedDelivery) -> AttemptEvent:
    fields = attempt(
        6,
        "chat",
        status_code=500,
        error_class="server_error",
        detail="500 Internal Server Error",
        response_body="still [bold]broken\x1b[2J",
        delivery_id=delivery.delivery_id,
        event_name=delivery.event_name,
    )
    return ProbeFailed(**fields)


def test_a_test_delivery_that_succeeds_shows_its_answer(
    hookfuse: Hookfuse, world: World, answering: Callable[[Answer], None]
) -> None:
    answering(succeeding)

    ended = hookfuse("test", "7c1f0a99")

    assert (ended.code, ended.err) == (0, "")
    assert "test delivery  succeeded" in ended.out
    assert "answer         204" in ended.out
    assert "duration       12 ms" in ended.out
    assert _probes(world) == []


def test_a_test_delivery_that_fails_shows_what_came_back_and_exits_with_9(
    hookfuse: Hookfuse, world: World, answering: Callable[[Answer], None]
) -> None:
    answering(failing)

    ended = hookfuse("test", CHAT)

    assert (ended.code, ended.err) == (ExitCode.PROBE_FAILED, "")
    assert "error class    server_error" in ended.out
    assert "excerpt        still [bold]broken\\x1b[2J" in ended.out


def test_a_program_gets_one_document(hookfuse: Hookfuse, world: World, answering: Callable[[Answer], None]) -> None:
    answering(failing)

    ended = hookfuse("test", CHAT, "--json")

    assert ended.code == ExitCode.PROBE_FAILED
    assert (ended.json["is_success"], ended.json["response_code"]) == (False, 500)
    assert ended.json["installation_id"] == CHAT


def test_it_says_who_sent_it(hookfuse: Hookfuse, world: World, answering: Callable[[Answer], None]) -> None:
    seen: list[str] = []
    answering(lambda delivery: seen.append(delivery.data) or failing(delivery))  # type: ignore[func-returns-value]

    hookfuse("test", CHAT, "--by", "bea")

    assert '"sent_by":"person:bea"' in seen[0]


@pytest.mark.parametrize("words", [("test", CHAT), ("enable", CHAT, "--probe", "--reason", "fixed")])
def test_without_a_daemon_nothing_is_queued_and_the_command_to_type_is_said(
    hookfuse: Hookfuse, world: World, words: tuple[str, ...]
) -> None:
    before = _types(world)

    ended = hookfuse(*words)

    assert ended.code == ExitCode.PROBE_FAILED
    assert ended.err == (
        f"hookfuse: no daemon runs on home {world.home.path}: start one with: hookfuse --home {world.home.path} run\n"
    )
    assert (_probes(world), _types(world)) == ([], before)


def test_a_test_delivery_without_outcome_in_time_is_dropped_again(
    hookfuse: Hookfuse, daemon: World, seconds: list[float]
) -> None:
    ended = hookfuse("test", CHAT, "--timeout", "2s")

    assert (ended.code, ended.out) == (ExitCode.PROBE_FAILED, "")
    assert ended.err == "hookfuse: no outcome after 2 s; the test delivery is dropped\n"
    assert sum(seconds) == pytest.approx(2, abs=0.11)
    assert _probes(daemon) == []


def test_a_daemon_that_stops_meanwhile_is_not_waited_for(
    hookfuse: Hookfuse, daemon: World, seconds: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = iter([7, 7, None])
    monkeypatch.setattr("eventstore.home.ownership.HomeOwnership.daemon_pid", lambda _ownership: next(pids))

    ended = hookfuse("test", CHAT)

    assert ended.err == (
        "hookfuse: the daemon stopped before the test delivery was answered; the test delivery is dropped\n"
    )
    assert _probes(daemon) == []


def test_an_interrupted_command_leaves_nothing_behind(
    hookfuse: Hookfuse, daemon: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_pause_s: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(probe_test, "_pause", interrupted)

    assert hookfuse("test", CHAT).code == ExitCode.INTERRUPTED
    assert _probes(daemon) == []


def test_an_outcome_of_the_last_moment_counts(
    hookfuse: Hookfuse, world: World, answering: Callable[[Answer], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(succeeding)
    monkeypatch.setattr(probe_test, "_wait", lambda *_: probe_test._pause(0) or (None, "too late"))  # type: ignore[func-returns-value]

    assert hookfuse("test", CHAT).code == 0


def test_a_running_daemon_is_woken(hookfuse: Hookfuse, daemon: World, seconds: list[float]) -> None:

    doorbell = daemon.home.doorbell.listen()
    try:
        hookfuse("test", CHAT, "--timeout", "0.1s")
        assert doorbell.heard()
    finally:
        doorbell.close()


@pytest.mark.parametrize("text", ["", "0", "soon", "2h", "-3s"])
def test_a_timeout_that_is_none_is_one_line(hookfuse: Hookfuse, world: World, text: str) -> None:
    ended = hookfuse("test", CHAT, f"--timeout={text}")

    assert (ended.code, ended.out, ended.err.count("\n")) == (ExitCode.USAGE, "", 1)


def test_an_unknown_installation_is_not_tested(hookfuse: Hookfuse, daemon: World) -> None:
    assert hookfuse("test", "ffffff00-0000-4000-8000-000000000000").code == ExitCode.NOT_FOUND


def test_enable_with_probe_enables_on_success_only(
    hookfuse: Hookfuse, world: World, answering: Callable[[Answer], None]
) -> None:
    answering(succeeding)

    ended = hookfuse("enable", CHAT, "--probe", "--recover", "--reason", "fixed")

    assert ended.code == 0
    assert "test delivery  succeeded" in ended.out
    assert f"enabled installation {CHAT}" in ended.out
    assert "recovering 3 missed deliveries" in ended.out


def test_enable_with_a_probe_that_fails_leaves_it_disabled(
    hookfuse: Hookfuse, world: World, answering: Callable[[Answer], None]
) -> None:
    answering(failing)

    ended = hookfuse("enable", CHAT, "--probe", "--recover", "--reason", "fixed")

    assert ended.code == ExitCode.PROBE_FAILED
    assert "answer         500" in ended.out
    assert ended.out.splitlines()[-1] == f"installation {CHAT} stays disabled: the test delivery did not succeed"
    assert InstallationEnabled.type_name not in _types(world)


def test_an_active_installation_may_be_tested_too(
    hookfuse: Hookfuse, world: World, answering: Callable[[Answer], None]
) -> None:
    answering(succeeding)

    assert hookfuse("test", PAGER).code == 0
