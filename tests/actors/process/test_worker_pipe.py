"""Both ends of the line between a daemon and a worker; the worker is a process of its own where it must be one."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.observability.process_stats import ProcessStats
from actors.process.worker_pipe import Answer, Order, WorkerPipe
from actors.process.worker_process import WorkerProcess

ROOT = Path(__file__).parents[3]
LIMIT_S = 60.0

# A worker that repeats its greeting and the orders it gets, and does as told by the first letter of its greeting.
ECHO = """
import os, sys, time
from actors.process.worker_pipe import Answer, Order, WorkerPipe
line = WorkerPipe(0, 1)
greeting = line.read_greeting()
line.end_with_daemon()
line.answer(Answer.DRAINED)
while greeting[:1] == b"b":
    pass
wake, _ = os.pipe()
while Order.STOP not in line.wait(wake, 60.0):
    line.answer(Answer.BUSY)
line.answer(Answer.FAILED, greeting.decode())
sys.exit(8)
"""


class Pair:
    """A line in this process, and the daemon's ends of its pipes."""

    def __init__(self) -> None:
        orders, self.give_orders = os.pipe()
        self.hear_answers, answers = os.pipe()
        self.wake, self.woken = os.pipe()
        self.line = WorkerPipe(orders, answers)
        self._all = [orders, self.give_orders, self.hear_answers, answers, self.wake, self.woken]

    def close(self) -> None:
        for descriptor in self._all:
            os.close(descriptor)


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.close()


def echo(greeting: bytes = b"all is well\n") -> WorkerProcess:
    return WorkerProcess(
        1, [sys.executable, "-c", ECHO], os.environ | {"PYTHONPATH": str(ROOT)}, greeting=greeting, inherited=2
    )


def hear(worker: WorkerProcess, count: int) -> list[Answer] | None:
    """Hear so many answers, or None at the end of the worker."""
    answers: list[Answer] = []
    while len(answers) < count:
        assert select.select([worker.descriptor], [], [], LIMIT_S)[0], "it says nothing"
        heard = worker.hear()
        if heard is None:
            return None
        answers += heard
    return answers


def end(worker: WorkerProcess) -> tuple[int, str]:
    assert hear(worker, 1_000) is None
    return worker.reap()


def test_the_greeting_is_read_and_no_order_after_it_is_lost(pair: Pair) -> None:
    os.write(pair.give_orders, b'{"a":1}\n!?')

    assert pair.line.read_greeting() == b'{"a":1}\n'
    assert pair.line.wait(pair.wake, 0) == {Order.LOOK_AROUND, Order.SAY_WHETHER_DRAINED}


def test_orders_that_have_gathered_come_together(pair: Pair) -> None:
    os.write(pair.give_orders, b"!" * 10_000 + b".")

    assert pair.line.wait(pair.wake, 0) == {Order.LOOK_AROUND, Order.STOP}
    assert pair.line.wait(pair.wake, 0) == set()


def test_it_is_woken_without_an_order(pair: Pair) -> None:
    os.write(pair.woken, b"!!")

    assert pair.line.wait(pair.wake, LIMIT_S) == set()
    assert pair.line.wait(pair.wake, 0) == set()


def test_a_reason_is_one_line_whatever_is_in_it(pair: Pair) -> None:
    pair.line.answer(Answer.FAILED, "disk\nfull \ud800")

    assert os.read(pair.hear_answers, 100) == b"failed disk full \\ud800\n"


def test_a_worker_hears_and_is_heard_and_its_reason_is_kept() -> None:
    worker = echo(b"the disk is full\n")
    begun = hear(worker, 1)
    worker.tell(Order.LOOK_AROUND)
    looked = hear(worker, 1)
    worker.tell(Order.STOP)

    assert (begun, looked) == ([Answer.DRAINED], [Answer.BUSY])
    assert end(worker) == (8, "the disk is full")


def test_a_greeting_that_is_larger_than_a_pipe_arrives_whole() -> None:
    worker = echo(b"x" * 200_000 + b"\n")
    hear(worker, 1)
    worker.tell(Order.STOP)

    assert end(worker) == (8, "x" * 200_000)


def test_a_worker_that_is_killed_says_by_what() -> None:
    worker = echo()
    hear(worker, 1)
    worker.kill()

    assert end(worker) == (-signal.SIGKILL, "killed by SIGKILL")


def test_one_that_has_ended_is_told_in_vain_and_harmlessly() -> None:
    worker = WorkerProcess(1, [sys.executable, "-c", "pass"], os.environ, greeting=b"x" * 200_000, inherited=2)

    assert hear(worker, 1) is None
    assert not worker.tell(Order.STOP)
    assert worker.reap() == (0, "exit code 0")


def test_one_that_reads_nothing_does_not_block_its_daemon() -> None:
    worker = WorkerProcess(
        1, [sys.executable, "-c", "import time; time.sleep(60)"], os.environ, greeting=b"\n", inherited=2
    )
    told = [worker.tell(Order.LOOK_AROUND) for _ in range(70_000)]
    worker.kill()

    assert told.index(False) > 1_000
    assert end(worker)[0] == -signal.SIGKILL


def test_what_is_no_answer_is_passed_over() -> None:
    program = "print('warning: hello'); print('drained', end='', flush=True); print()"
    worker = WorkerProcess(1, [sys.executable, "-c", program], os.environ, greeting=b"\n", inherited=2)

    assert hear(worker, 1) == [Answer.DRAINED]
    assert end(worker) == (0, "exit code 0")


def test_the_numbers_that_a_worker_has_said_last_are_kept() -> None:
    program = "print('fares 1 2 3 4 0'); print('fares 5 6 7 8 9'); print('fares'); print('fares what?')"
    worker = WorkerProcess(1, [sys.executable, "-c", program], os.environ, greeting=b"\n", inherited=2)

    assert worker.process_stats == ProcessStats()
    assert hear(worker, 4) == [Answer.FARES] * 4
    assert worker.process_stats == ProcessStats(5, 6, 7, 8, 9)
    assert end(worker) == (0, "exit code 0")


def test_what_is_wrong_with_a_worker_is_known_until_it_says_otherwise() -> None:
    program = "print('health journal has been in one turn for 75 s', flush=True); input(); print('health ', flush=True)"
    worker = WorkerProcess(1, [sys.executable, "-c", program], os.environ, greeting=b"", inherited=2)

    assert worker.health == ""
    assert hear(worker, 1) == [Answer.HEALTH]
    assert worker.health == "journal has been in one turn for 75 s"
    worker._orders.write(b"\n")
    assert hear(worker, 1) == [Answer.HEALTH]
    assert worker.health == ""
    assert end(worker) == (0, "exit code 0")


def test_a_ctrl_c_at_the_terminal_does_not_reach_a_worker() -> None:
    worker = echo()
    hear(worker, 1)
    os.kill(worker.pid, signal.SIGINT)
    worker.tell(Order.LOOK_AROUND)

    assert hear(worker, 1) == [Answer.BUSY]
    worker.tell(Order.STOP)
    assert end(worker)[0] == 8


PARENT = f"""
import os, sys
from actors.process.worker_process import WorkerProcess
command, greeting = [sys.executable, "-c", {ECHO!r}], sys.argv[1].encode() + b"\\n"
worker = WorkerProcess(1, command, os.environ, greeting=greeting, inherited=2)
os.set_blocking(worker.descriptor, True)
worker.hear()
print(worker.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("greeting", ["waits", "busy for ever"])
def test_a_worker_ends_with_its_daemon_whatever_it_is_doing(greeting: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, greeting],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    watch = os.pidfd_open(pid)
    parent.kill()
    parent.wait()
    has_ended = bool(select.select([watch], [], [], LIMIT_S)[0])
    os.close(watch)
    parent.stdin.close()
    parent.stdout.close()

    assert has_ended
