"""The worker_pool, cranked by hand: its workers are pipes to nobody."""

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest
from structlog.typing import EventDict

from actors.observability.process_stats import ProcessStats
from actors.process.worker_pipe import Answer, Order
from actors.process.worker_pool import WorkerPool
from actors.runtime.restart_budget import RestartBudget
from tests.actors.stage import lines_of


class FakeWorker:
    """A worker that does what the test says."""

    def __init__(self, number: int, pid: int) -> None:
        self.number = number
        self.pid = pid
        self.process_stats = ProcessStats()
        self.health = ""
        self.orders: list[Order] = []
        self.answers: list[Answer] = []
        self.end: tuple[int, str] | None = None
        self.is_deaf = False
        self.is_killed = False
        self.descriptor, self._other_end = os.pipe()
        os.write(self._other_end, b"!")  # there is always something to hear, so that no test waits

    def tell(self, order: Order) -> bool:
        if self.is_deaf:
            return False
        self.orders.append(order)
        return True

    def hear(self) -> list[Answer] | None:
        if self.end is not None:
            return None
        answers, self.answers = self.answers, []
        return answers

    def kill(self) -> None:
        self.is_killed = True
        self.end = (-signal.SIGKILL, "killed by SIGKILL")

    def reap(self) -> tuple[int, str]:
        assert self.end is not None
        self.close()
        return self.end

    def close(self) -> None:
        for descriptor in (self.descriptor, self._other_end):
            with suppress(OSError):
                os.close(descriptor)


class Troop:
    """A worker_pool of fake workers, and what was told of it."""

    def __init__(self, count: int = 2, restarts: int = 3) -> None:
        self.now_s = 0.0
        self.started: list[FakeWorker] = []
        self.fault: OSError | None = None
        self.named: list[list[int]] = []
        self.worker_pool = WorkerPool(
            self._start,
            count,
            budget=RestartBudget(restarts, 60.0),
            silence_s=20.0,
            changed=self.named.append,
            clock_s=self._clock_s,
        )

    def _start(self, number: int) -> FakeWorker:
        if self.fault:
            raise self.fault
        self.started.append(FakeWorker(number, pid=1_000 + len(self.started)))
        return self.started[-1]

    def _clock_s(self) -> float:
        self.now_s += 0.5  # each look takes a while, so that no deadline is waited for
        return self.now_s

    def end(self, worker: FakeWorker, code: int = -signal.SIGKILL, reason: str = "killed by SIGKILL") -> None:
        worker.end = (code, reason)
        self.worker_pool.attend()

    def answer(self, *answers: Answer) -> None:
        """Answer for each worker, in their order; return whether the worker pool is drained then."""
        for worker, answer in zip(self.started, answers, strict=True):
            worker.answers.append(answer)
        self.worker_pool.attend()


@pytest.fixture
def troop() -> Iterator[Troop]:
    troop = Troop()
    troop.worker_pool.start()
    yield troop
    for worker in troop.started:
        worker.close()


def asked(troop: Troop) -> list[int]:
    return [worker.orders.count(Order.SAY_WHETHER_DRAINED) for worker in troop.started]


def test_there_is_a_worker_for_each_share_and_their_processes_are_named(troop: Troop) -> None:
    assert [worker.number for worker in troop.started] == [1, 2]
    assert troop.named == [[1_000, 1_001]]


def test_a_ring_reaches_all_also_beside_one_that_does_not_listen(troop: Troop) -> None:
    troop.started[0].is_deaf = True
    troop.worker_pool.look_around()

    assert [worker.orders for worker in troop.started] == [[], [Order.LOOK_AROUND]]


def test_one_that_has_ended_is_started_again_and_the_other_left_alone(troop: Troop, lines: list[EventDict]) -> None:
    first, second = troop.started
    troop.end(first)

    assert [worker.number for worker in troop.started] == [1, 2, 1]
    assert troop.named[-1] == [1_002, 1_001]
    assert (second.orders, second.is_killed, troop.worker_pool.failure) == ([], False, "")
    (line,) = lines_of(lines, "worker_ended")
    assert (line["worker"], line["pid"], line["reason"]) == (1, 1_000, "killed by SIGKILL")


def test_one_that_ends_without_a_fault_is_started_again_too(troop: Troop, lines: list[EventDict]) -> None:
    troop.end(troop.started[1], 0, "exit code 0")

    assert [worker.number for worker in troop.started] == [1, 2, 2]


def test_more_ends_than_the_budget_has_are_the_failure_and_nothing_is_started_any_more(
    troop: Troop, lines: list[EventDict]
) -> None:
    for _ in range(4):
        troop.end(troop.started[-1], 8, "JournalActor crashed")

    assert len(troop.started) == 2 + 3
    assert troop.worker_pool.failure == "worker 2 ended (JournalActor crashed), and the restart budget is used up"


def test_ends_that_are_far_from_each_other_are_no_failure(troop: Troop, lines: list[EventDict]) -> None:
    for _ in range(10):
        troop.end(troop.started[-1])
        troop.now_s += 61

    assert troop.worker_pool.failure == ""


def test_a_worker_that_cannot_be_started_is_the_failure(troop: Troop, lines: list[EventDict]) -> None:
    troop.fault = OSError(11, "Resource temporarily unavailable")
    troop.end(troop.started[0])

    assert "worker 1 cannot be started" in troop.worker_pool.failure


def test_it_is_drained_when_all_have_said_so_twice(troop: Troop) -> None:
    found = [troop.worker_pool.is_drained()]
    for _ in range(2):
        troop.answer(Answer.DRAINED, Answer.DRAINED)
        found.append(troop.worker_pool.is_drained())

    assert found == [False, False, True]
    assert asked(troop) == [2, 2]


def test_nobody_is_asked_again_before_all_have_answered(troop: Troop) -> None:
    troop.worker_pool.is_drained()
    troop.started[0].answers.append(Answer.DRAINED)
    troop.worker_pool.attend()

    assert not troop.worker_pool.is_drained()
    assert asked(troop) == [1, 1]


def test_one_that_is_busy_begins_the_counting_anew(troop: Troop) -> None:
    troop.worker_pool.is_drained()
    found = []
    for answers in ("db", "dd", "bd", "dd", "dd"):
        troop.answer(*(Answer.DRAINED if letter == "d" else Answer.BUSY for letter in answers))
        found.append(troop.worker_pool.is_drained())

    assert found == [False, False, False, False, True]


def test_one_that_ends_while_it_is_asked_begins_the_counting_anew(troop: Troop, lines: list[EventDict]) -> None:
    troop.worker_pool.is_drained()
    troop.answer(Answer.DRAINED, Answer.DRAINED)
    troop.worker_pool.is_drained()
    troop.started[0].answers.append(Answer.DRAINED)
    troop.end(troop.started[1])
    found = [troop.worker_pool.is_drained()]
    for _ in range(2):
        for worker in (troop.started[0], troop.started[2]):
            worker.answers.append(Answer.DRAINED)
        troop.worker_pool.attend()
        found.append(troop.worker_pool.is_drained())

    assert found == [False, False, True]


def test_one_that_does_not_listen_is_not_drained(troop: Troop) -> None:
    troop.started[1].is_deaf = True
    troop.worker_pool.is_drained()
    for _ in range(3):
        troop.started[0].answers.append(Answer.DRAINED)
        troop.worker_pool.attend()

        assert not troop.worker_pool.is_drained()


def test_stopping_waits_for_all_and_starts_none_again(troop: Troop, lines: list[EventDict]) -> None:
    for worker in troop.started:
        worker.end = (0, "exit code 0")
    troop.worker_pool.stop(10.0)

    assert [worker.orders for worker in troop.started] == [[Order.STOP], [Order.STOP]]
    assert len(troop.started) == 2
    assert troop.worker_pool.failure == ""
    assert troop.worker_pool.descriptors == []


def test_one_that_does_not_stop_is_killed_and_that_is_no_failure(troop: Troop, lines: list[EventDict]) -> None:
    troop.started[0].end = (0, "exit code 0")
    troop.worker_pool.stop(5.0)

    assert [worker.is_killed for worker in troop.started] == [False, True]
    assert troop.worker_pool.failure == ""
    (line,) = lines_of(lines, "worker_did_not_stop")
    assert line["worker"] == 2


def test_what_could_not_be_committed_while_stopping_is_a_failure(troop: Troop, lines: list[EventDict]) -> None:
    troop.started[0].end = (0, "exit code 0")
    troop.started[1].end = (8, "DiskFullError")
    troop.worker_pool.stop(5.0)

    assert troop.worker_pool.failure == "worker 2 ended (DiskFullError), and it was stopping"


def test_whoever_ends_by_the_same_signal_as_the_daemon_has_stopped(troop: Troop, lines: list[EventDict]) -> None:
    for worker in troop.started:
        worker.end = (-signal.SIGTERM, "killed by SIGTERM")
    troop.worker_pool.stop(5.0)

    assert troop.worker_pool.failure == ""


def fares(troop: Troop, *workers: FakeWorker) -> None:
    for worker in workers:
        worker.answers.append(Answer.FARES)
    troop.worker_pool.attend()


def test_all_are_asked_how_they_fare(troop: Troop) -> None:
    troop.worker_pool.ask_how_they_fare()

    assert [worker.orders for worker in troop.started] == [[Order.REPORT_STATUS]] * 2


def test_the_numbers_are_those_of_all_together(troop: Troop) -> None:
    troop.started[0].process_stats = ProcessStats(1, 2, 3, 4)
    troop.started[1].process_stats = ProcessStats(10, 20, 30, 40)

    assert troop.worker_pool.process_stats() == ProcessStats(11, 22, 33, 44)


def test_the_crashes_of_one_that_has_ended_stay_counted_and_its_actors_do_not(
    troop: Troop, lines: list[EventDict]
) -> None:
    troop.started[0].process_stats = ProcessStats(actors=5, crashes=4)
    troop.end(troop.started[0])
    troop.started[2].process_stats = ProcessStats(actors=6, crashes=1)

    assert troop.worker_pool.process_stats() == ProcessStats(actors=6, crashes=5)
    assert troop.worker_pool.restarts == 1


def test_it_is_ready_when_each_share_has_a_worker_that_has_been_heard(troop: Troop, lines: list[EventDict]) -> None:
    found = [troop.worker_pool.readiness()["shares"]]
    fares(troop, troop.started[0])
    found.append(troop.worker_pool.readiness()["shares"])
    fares(troop, troop.started[1])
    found.append(troop.worker_pool.readiness()["shares"])
    troop.end(troop.started[0])
    found.append(troop.worker_pool.readiness()["shares"])
    fares(troop, troop.started[2])
    found.append(troop.worker_pool.readiness()["shares"])

    half = "1 of 2 have a worker"
    assert found == ["0 of 2 have a worker", half, "ok", half, "ok"]


def test_one_that_is_silent_for_long_is_no_sign_of_life(troop: Troop) -> None:
    assert troop.worker_pool.liveness() == {"workers": "ok"}
    fares(troop, troop.started[1])
    troop.now_s += 6
    fares(troop, troop.started[0])
    troop.now_s += 6

    assert troop.worker_pool.liveness()["workers"].startswith("worker 2 has not been heard from for ")
    fares(troop, troop.started[1])
    assert troop.worker_pool.liveness() == {"workers": "ok"}


def test_one_that_is_silent_for_longer_is_killed_and_started_again(troop: Troop, lines: list[EventDict]) -> None:
    first, second = troop.started
    fares(troop, second)
    for _ in range(4):  # seconds in which one of the two answers
        troop.now_s += 6
        fares(troop, first)
    troop.worker_pool.attend()  # where its end is heard

    assert (first.is_killed, second.is_killed) == (False, True)
    assert [worker.number for worker in troop.started] == [1, 2, 2]
    (silent,) = lines_of(lines, "worker_silent")
    assert (silent["worker"], silent["pid"]) == (2, second.pid)
    assert lines_of(lines, "worker_ended")[0]["done"] == "started again"


def test_one_that_has_not_been_heard_yet_is_given_half_a_minute(troop: Troop, lines: list[EventDict]) -> None:
    troop.now_s += 24
    troop.worker_pool.attend()
    assert not any(worker.is_killed for worker in troop.started)

    troop.now_s += 9
    troop.worker_pool.attend()
    assert all(worker.is_killed for worker in troop.started)


def test_one_that_cannot_be_killed_is_not_killed_again_at_once(troop: Troop, lines: list[EventDict]) -> None:
    for worker in troop.started:
        worker.kill = lambda: None  # type: ignore[method-assign]  # the kernel takes its time
    troop.now_s += 40
    for _ in range(5):
        troop.worker_pool.attend()

    assert len(lines_of(lines, "worker_silent")) == 2


def test_a_daemon_that_was_stopped_itself_takes_nobody_for_silent(troop: Troop) -> None:
    troop.worker_pool.ask_how_they_fare()
    troop.now_s += 3_600  # SIGSTOP, and SIGCONT an hour later; nothing was asked, and nothing could be answered
    troop.worker_pool.ask_how_they_fare()
    troop.worker_pool.attend()

    assert not any(worker.is_killed for worker in troop.started)
    assert troop.worker_pool.liveness() == {"workers": "ok"}


def test_while_it_stops_nobody_is_killed_for_being_silent(troop: Troop, lines: list[EventDict]) -> None:
    for worker in troop.started:
        worker.end = (0, "exit code 0")
    troop.now_s += 3_600
    troop.worker_pool.stop(10.0)

    assert lines_of(lines, "worker_silent") == []


def test_what_is_wrong_with_a_worker_is_wrong_with_the_daemon(troop: Troop) -> None:
    troop.started[1].health = "journal has been in one turn for 75 s"
    assert troop.worker_pool.liveness() == {"workers": "worker 2: journal has been in one turn for 75 s"}
    troop.started[1].health = ""
    assert troop.worker_pool.liveness() == {"workers": "ok"}


def test_one_that_was_started_again_is_given_the_time_to_start(troop: Troop, lines: list[EventDict]) -> None:
    troop.now_s += 9
    troop.end(troop.started[0])
    fares(troop, troop.started[1])
    troop.now_s += 4

    assert troop.worker_pool.liveness() == {"workers": "ok"}


def test_while_it_stops_nobody_is_expected_to_be_heard(troop: Troop, lines: list[EventDict]) -> None:
    for worker in troop.started:
        worker.end = (0, "exit code 0")
    troop.worker_pool.stop(10.0)
    troop.now_s += 100

    assert troop.worker_pool.liveness() == {"workers": "ok"}


def test_a_failure_is_no_sign_of_life(troop: Troop, lines: list[EventDict]) -> None:
    for _ in range(4):
        troop.end(troop.started[-1])

    assert troop.worker_pool.liveness() == {"workers": troop.worker_pool.failure}


def test_saying_how_it_fares_is_no_answer_to_whether_it_is_drained(troop: Troop) -> None:
    troop.worker_pool.is_drained()
    troop.answer(Answer.FARES, Answer.FARES)

    assert not troop.worker_pool.is_drained()
    assert asked(troop) == [1, 1]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_worker_that_this_machine_is_too_short_of_something_to_start_is_started_later(
    troop: Troop, lines: list[EventDict], number: int
) -> None:
    troop.fault = OSError(number, os.strerror(number))
    troop.end(troop.started[0])
    for _ in range(10):
        troop.worker_pool.attend()
    assert (troop.worker_pool.failure, len(troop.started)) == ("", 2)
    assert len(lines_of(lines, "shortage_began")) == 1
    assert troop.worker_pool.readiness() == {"shares": "0 of 2 have a worker"}

    troop.fault = None
    for _ in range(3):
        troop.worker_pool.attend()

    assert [worker.number for worker in troop.started] == [1, 2, 1]
    assert troop.named[-1] == [1002, 1001]
