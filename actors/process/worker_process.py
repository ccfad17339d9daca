"""A worker process as its daemon sees it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from actors.observability.process_stats import ProcessStats
from actors.process.worker_pipe import Answer, Order
from eventstore.home.folder import Home

__all__ = ["WorkerProcess", "worker_starter"]

_CHUNK_BYTES = 65_536
# A process that has closed its pipes is gone within moments.
_REAP_S = 10.0


class WorkerProcess:
    """A process that was started for a share of the installations. `greeting`: a line that it reads first.

    `inherited`: a descriptor that it has too; `process_stats` and `health`: the numbers it said last, and what is
    wrong with it. A Ctrl-C at the terminal does not reach it: the daemon does, and says.
    """

    def __init__(
        self, number: int, command: Sequence[str], environment: Mapping[str, str], *, greeting: bytes, inherited: int
    ) -> None:
        self.number = number
        self.process_stats = ProcessStats()
        self.health = ""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which the process inherits
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                pass_fds=(inherited,),
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        assert self._process.stdin is not None  # noqa: S101 - asked for
        assert self._process.stdout is not None  # noqa: S101 - asked for
        self._orders, self._answers = self._process.stdin, self._process.stdout
        self.pid = self._process.pid
        self._partial = b""
        self._reason = ""
        with suppress(BrokenPipeError):  # it has ended already, which is noticed where it is listened to
            while greeting:
                greeting = greeting[self._orders.write(greeting) :]
        os.set_blocking(self._orders.fileno(), False)
        os.set_blocking(self.descriptor, False)

    @property
    def descriptor(self) -> int:
        """Return what can be read from when it has answered, or has ended."""
        return self._answers.fileno()

    def tell(self, order: Order) -> bool:
        """Return an order; False = it has ended, or does not listen: so many orders wait."""
        try:
            return self._orders.write(order.value.encode()) is not None
        except BrokenPipeError:
            return False

    def hear(self) -> list[Answer] | None:
        """Return what it has answered since, None = it has ended."""
        try:
            heard = os.read(self.descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            return []
        if not heard:
            return None
        *lines, self._partial = (self._partial + heard).split(b"\n")
        return [answer for line in lines for answer in self._understand(line.decode(errors="replace"))]

    def _understand(self, line: str) -> list[Answer]:
        word, _, rest = line.partition(" ")
        if word == Answer.FAILED:
            self._reason = rest
        elif word == Answer.HEALTH:
            self.health = rest
        elif word == Answer.FARES:  # without numbers: its dispatcher was too busy to say
            self.process_stats = ProcessStats.from_text(rest) or self.process_stats
        return [answer for answer in Answer if answer == word]  # what a library prints is not an answer

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def reap(self) -> tuple[int, str]:
        """Wait for its end; return its exit code (negative: the signal that ended it), and the reason in words."""
        try:
            code = self._process.wait(_REAP_S)
        except subprocess.TimeoutExpired:  # its pipes are closed, and it lives: it is of no use any more
            self.kill()
            code = self._process.wait()
        self._orders.close()
        self._answers.close()
        return code, self._reason or _in_words(code)


def worker_starter(home: Home, settings: bytes, count: int, workers_lock: int) -> Callable[[int], WorkerProcess]:
    """Return what starts the worker of a number: a fresh interpreter that finds the modules that this one finds."""
    # By their path, and not by the working directory, in which there may be another runner.py.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(str(Path(folder).absolute()) for folder in sys.path)}

    def start(number: int) -> WorkerProcess:
        command = [sys.executable, "-P", "-m", "runner", "--home", str(home.path)]
        command += ["worker", "--number", str(number), "--of", str(count)]
        return WorkerProcess(number, command, environment, greeting=settings + b"\n", inherited=workers_lock)

    return start


def _in_words(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
