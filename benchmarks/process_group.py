"""A process with all that it starts: its CPU time and memory, and its end."""

import ctypes
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

__all__ = ["BenchmarkError", "Descriptors", "Memory", "ProcessGroup", "Usage", "cpu_seconds", "session_of"]

ROOT = Path(__file__).parent.parent

_PR_SET_PDEATHSIG = 1
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_STOP_S = 30.0
_WAIT_LOOK_S = 0.005
_LAST_WORDS_CHARACTERS = 2000

_libc = ctypes.CDLL(None)


class BenchmarkError(Exception):
    """A figure could not be measured; what was measured would have been something else."""


class Memory(NamedTuple):
    """Resident memory of one process, now and at its highest, in MB."""

    process_id: int
    resident_mb: float
    peak_mb: float


class Descriptors(NamedTuple):
    """Open file descriptors: sockets, which are connections or about to be, and all others."""

    connections: int
    others: int


class Usage(NamedTuple):
    """What a process has used until its end: seconds by the wall clock, and the most memory of its own, in MB."""

    seconds: float
    peak_mb: float


class ProcessGroup:
    """Owns a process in a session of its own; whatever it started ends with it, and all of it with the harness."""

    def __init__(self, name: str, arguments: Sequence[str], *, folder: Path, settings: Mapping[str, str]) -> None:
        self.name = name
        self._log = folder / f"{name}.txt"
        # Settings of the one who measures are not for what is measured.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HOOKFUSE_")}
        # A file, and not a pipe that fills up while nobody reads it.
        self._output = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed in kill()
        self.started_s = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                arguments,
                cwd=ROOT,
                env=environment | dict(settings) | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - the harness has one thread
            )
        self.process_id = self._process.pid

    def first_line(self, timeout_s: float = 30.0) -> str:
        """Wait for the first line that it prints. Raises BenchmarkError when it ends before."""
        end_s = time.monotonic() + timeout_s
        while "\n" not in (text := self.output()):
            if time.monotonic() > end_s or self.is_over():
                raise BenchmarkError(f"{self.name} did not start{self.last_words()}")
            time.sleep(_WAIT_LOOK_S)
        return text.splitlines()[0]

    def require_running(self) -> None:
        """Raise BenchmarkError when it has ended."""
        if self._process.poll() is not None:
            raise BenchmarkError(f"{self.name} ended with {self._process.returncode}{self.last_words()}")

    def is_over(self) -> bool:
        """Return whether it has ended."""
        return self._process.poll() is not None

    def wait_for_all(self, timeout_s: float) -> bool:
        """Wait for the end of all its processes, and return whether that came."""
        end_s = time.monotonic() + timeout_s
        while not self.is_over() or any(session_of(self.process_id)):
            if time.monotonic() > end_s:
                return False
            time.sleep(0.05)
        return True

    def wait(self, timeout_s: float) -> None:
        """Wait for its end. Raises BenchmarkError when that is none of success, or does not come."""
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise BenchmarkError(f"{self.name} did not end within {timeout_s:.0f} s{self.last_words()}") from error
        if status:
            raise BenchmarkError(f"{self.name} ended with {status}{self.last_words()}")

    def usage(self, timeout_s: float) -> Usage:
        """Wait for its end, and return what it has used. Raises BenchmarkError as wait() does."""
        end_s = time.monotonic() + timeout_s
        peak_mb = 0.0
        while time.monotonic() < end_s and self._process.poll() is None:
            # Not ru_maxrss, which begins with what the harness had when it was forked.
            memory = _memory_of(self.process_id)
            peak_mb = max(peak_mb, memory.peak_mb if memory else 0.0)
            time.sleep(_WAIT_LOOK_S)
        seconds = time.monotonic() - self.started_s
        self.wait(0)
        return Usage(seconds, peak_mb)

    def output(self) -> str:
        """Return what it has printed so far."""
        # Without a seek: the file's offset is the process's too.
        descriptor = self._output.fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode()

    def cpu_s(self) -> float:
        """Return the CPU seconds that its processes have used, those that have ended included."""
        return sum(cpu_seconds(process_id) for process_id in session_of(self.process_id))

    def memory(self) -> list[Memory]:
        """Return the memory of each of its processes."""
        return [memory for one in session_of(self.process_id) if (memory := _memory_of(one)) is not None]

    def descriptors(self) -> Descriptors:
        """Count the open file descriptors of its processes."""
        targets = [target for one in session_of(self.process_id) for target in _descriptor_targets(one)]
        count = sum(target.startswith("socket:") for target in targets)
        return Descriptors(count, len(targets) - count)

    def stop(self) -> None:
        """Ask it to end, and end it and all that it started if it does not."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_S)
        self.kill()

    def kill(self) -> None:
        """End it and all that it started, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process_id, signal.SIGKILL)
        for process_id in session_of(self.process_id):  # what has made itself a group of its own
            with suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)
        self._process.wait()
        self._output.close()

    def last_words(self) -> str:
        """Return the end of what it wrote to standard error."""
        text = self._log.read_text(errors="replace")[-_LAST_WORDS_CHARACTERS:].strip()
        return f":\n{text}" if text else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()


def session_of(leader: int) -> Iterator[int]:
    """Return the processes that live in a session, without those that have ended and are waited for."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat_fields(int(entry.name))
            if fields and int(fields[3]) == leader and fields[0] != "Z":
                yield int(entry.name)


def cpu_seconds(process_id: int) -> float:
    """Return the CPU seconds of a process and of its children that have ended, 0 when it is gone."""
    fields = _stat_fields(process_id)
    # utime, stime, cutime and cstime of proc(5), counted from the state.
    return sum(int(field) for field in fields[11:15]) / _TICKS_A_SECOND


def _stat_fields(process_id: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on, none when there is no such process."""
    try:
        text = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()  # a command's name may hold spaces and parentheses


def _descriptor_targets(process_id: int) -> Iterator[str]:
    with suppress(OSError):  # it has ended
        for descriptor in Path(f"/proc/{process_id}/fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                yield str(descriptor.readlink())


def _memory_of(process_id: int) -> Memory | None:
    try:
        lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    except OSError:
        return None
    values = {name: rest.split()[0] for name, _, rest in (line.partition(":") for line in lines) if rest.strip()}
    if "VmRSS" not in values:  # a zombie
        return None
    return Memory(process_id, int(values["VmRSS"]) / 1024, int(values["VmHWM"]) / 1024)


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
