import threading
from collections.abc import Callable

import pytest
import structlog

from actors.runtime.manual_pool import ManualPool
from actors.runtime.thread_pool import PoolStopped, TurnPool

WAIT_S = 60.0


@pytest.fixture(params=["manual", "one thread"])
def ordered_pool(request: pytest.FixtureRequest) -> ManualPool | TurnPool:
    return ManualPool() if request.param == "manual" else TurnPool("ordered", max_threads=1)


def test_tasks_run_in_the_order_in_which_they_come(ordered_pool: ManualPool | TurnPool) -> None:
    ran: list[int] = []

    for number in range(100):
        ordered_pool.submit(lambda number=number: ran.append(number))  # type: ignore[misc]

    assert ordered_pool.stop(timeout_s=WAIT_S)
    assert ran == list(range(100))


def test_stopped_pool_refuses_tasks(ordered_pool: ManualPool | TurnPool) -> None:
    ordered_pool.stop(timeout_s=WAIT_S)

    with pytest.raises(PoolStopped):
        ordered_pool.submit(lambda: None)


def test_manual_pool_runs_nothing_by_itself() -> None:
    pool = ManualPool()
    ran: list[str] = []

    pool.submit(lambda: ran.append("first"))
    pool.submit(lambda: ran.append("second"))

    assert ran == []
    assert pool.run_one()
    assert ran == ["first"]
    assert pool.run_all() == 1
    assert not pool.run_one()


def test_manual_pool_stops_at_its_limit() -> None:
    pool = ManualPool()

    def again() -> None:
        pool.submit(again)

    again()

    assert pool.run_all(limit=7) == 7
    assert pool.queued_tasks == 1


def test_manual_pool_raises_what_a_task_raises() -> None:
    pool = ManualPool()
    pool.submit(_fail)

    with pytest.raises(ValueError, match="on purpose"):
        pool.run_all()


def test_tasks_run_side_by_side_up_to_the_limit() -> None:
    pool = TurnPool("wide", max_threads=3)
    meeting = threading.Barrier(3 + 1)

    for _ in range(3):
        pool.submit(lambda: _meet(meeting))
    pool.submit(lambda: _meet(meeting))
    _meet(meeting)
    most_threads = len(pool._threads)
    pool.submit(lambda: _meet(meeting))
    pool.submit(lambda: _meet(meeting))
    _meet(meeting)

    assert pool.stop(WAIT_S)
    assert most_threads == 3
    assert len(pool._threads) == 0


def test_idle_thread_is_used_again() -> None:
    pool = TurnPool("reuse", max_threads=4)
    threads = set()

    for _ in range(50):
        threads.add(_thread_of_a_task(pool))
        while len(pool._idle_wakeups) < len(pool._threads):
            threading.Event().wait(0.0001)

    assert len(pool._threads) == 1
    assert len(threads) == 1
    assert pool.stop(WAIT_S)


def test_idle_threads_end_and_new_ones_follow() -> None:
    pool = TurnPool("short", max_threads=2, idle_s=0.001)

    first = _thread_of_a_task(pool)
    first.join(WAIT_S)
    second = _thread_of_a_task(pool)

    assert not first.is_alive()
    assert second is not first
    assert pool.stop(WAIT_S)


def test_a_ready_pool_keeps_one_thread_and_needs_none_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = TurnPool("ready", max_threads=2, idle_s=0.001, is_ready=True)
    first = _thread_of_a_task(pool)
    monkeypatch.setattr(threading.Thread, "start", _fail_to_start)
    first.join(0.02)  # twenty times as long as an idle thread has patience

    assert [_thread_of_a_task(pool) for _ in range(3)] == [first] * 3
    assert pool.stop(WAIT_S)
    assert len(pool._threads) == 0


def test_no_task_is_lost_when_a_ready_pool_s_thread_is_woken_at_the_last_moment() -> None:
    pool = TurnPool("impatient", max_threads=1, idle_s=0.00001, is_ready=True)
    ran = threading.Semaphore(0)

    for _ in range(3000):
        pool.submit(ran.release)
        assert ran.acquire(timeout=WAIT_S)

    assert pool.stop(WAIT_S)


def _fail_to_start(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_no_task_is_lost_when_threads_lose_patience() -> None:
    pool = TurnPool("impatient", max_threads=3, idle_s=0.00001)
    ran = threading.Semaphore(0)

    for _ in range(3000):
        pool.submit(ran.release)
        assert ran.acquire(timeout=WAIT_S)

    assert pool.stop(WAIT_S)


def test_failing_task_is_logged_and_its_thread_lives_on() -> None:
    pool = TurnPool("sturdy", max_threads=1)
    with structlog.testing.capture_logs() as lines:
        pool.submit(_fail)
        pool.submit(_exit)
        threads = {_thread_of_a_task(pool), _thread_of_a_task(pool)}

    assert [line["event"] for line in lines] == ["pool_task_failed"] * 2
    assert lines[0]["pool"] == "sturdy"
    assert lines[0]["done"] == "task dropped, thread lives on"
    assert len(threads) == 1
    assert pool.stop(WAIT_S)


def test_log_context_of_one_task_is_not_seen_by_the_next() -> None:
    pool = TurnPool("clean", max_threads=1)
    seen: list[dict[str, object]] = []

    def bind() -> None:
        structlog.contextvars.bind_contextvars(delivery_id="1")

    pool.submit(bind)
    pool.submit(lambda: seen.append(structlog.contextvars.get_contextvars()))

    assert pool.stop(WAIT_S)
    assert seen == [{}]


def test_stop_says_no_when_a_task_outlasts_the_deadline() -> None:
    pool = TurnPool("slow", max_threads=1)
    release = threading.Event()

    def outlast() -> None:
        release.wait(WAIT_S)

    pool.submit(outlast)

    assert not pool.stop(0.01)

    release.set()
    assert pool.stop(WAIT_S)


def test_stop_runs_queued_tasks_side_by_side_and_waits_for_each() -> None:
    for _ in range(100):
        pool = TurnPool("drain", max_threads=3)
        meeting = threading.Barrier(3)
        met: list[int] = []

        def meet(meeting: threading.Barrier = meeting, met: list[int] = met) -> None:
            met.append(meeting.wait(WAIT_S))

        for _ in range(6):
            pool.submit(meet)

        assert pool.stop(WAIT_S)
        assert len(met) == 6


def test_stop_called_by_a_task_does_not_wait_for_itself() -> None:
    pool = TurnPool("own", max_threads=1)
    answers: list[bool] = []
    done = threading.Event()

    def stop_from_inside() -> None:
        answers.append(pool.stop(WAIT_S))
        done.set()

    pool.submit(stop_from_inside)

    assert done.wait(WAIT_S)
    assert answers == [False]


def test_pool_without_threads_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one thread"):
        TurnPool("none", max_threads=0)


def test_task_does_not_stay_behind_when_the_process_can_have_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool = TurnPool("poor", max_threads=2)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            pool.submit(_fail)

    assert not pool._tasks
    assert len(pool._threads) == 0
    assert pool.stop(WAIT_S)


def _thread_of_a_task(pool: TurnPool) -> threading.Thread:
    done = threading.Event()
    threads: list[threading.Thread] = []

    def note() -> None:
        threads.append(threading.current_thread())
        done.set()

    pool.submit(note)
    assert done.wait(WAIT_S)
    return threads[0]


def _meet(meeting: threading.Barrier) -> None:
    meeting.wait(WAIT_S)


def _fail() -> None:
    raise ValueError("on purpose")


_exit: Callable[[], None] = lambda: (_ for _ in ()).throw(SystemExit(3))  # noqa: E731


def test_it_says_how_long_the_task_lasts_that_was_begun_first() -> None:
    pool = TurnPool("busy", 2)
    assert pool.longest_task_s() == 0.0
    begun, gate = threading.Barrier(3), threading.Event()

    def hang() -> None:
        begun.wait(20)
        gate.wait(20)

    for _ in range(2):
        pool.submit(hang)
    begun.wait(20)

    first = pool.longest_task_s()
    assert pool.longest_task_s() > first > 0.0
    gate.set()
    assert pool.stop(20)
    assert pool.longest_task_s() == 0.0


def test_a_task_that_fails_is_over_too() -> None:
    pool = TurnPool("failing", 1)

    def fail() -> None:
        raise ZeroDivisionError

    pool.submit(fail)

    assert pool.stop(20)
    assert pool.longest_task_s() == 0.0
