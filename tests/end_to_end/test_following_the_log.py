"""`hookfuse logs -f` as a process beside a log that the daemon's own code rotates and compresses."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from console.shell.exit_codes import ExitCode
from eventstore.home.folder import Home
from tests.console.logs.lines import daemon_log, line
from tests.end_to_end.stage import LIMIT_S

_ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


@contextmanager
def _following(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "--home", str(home.path), "logs", "-f", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=_ROOT,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        yield process
    finally:
        process.kill()
        process.wait(LIMIT_S)
        process.stdout.close()
        process.stderr.close()


def _numbers(process: subprocess.Popen[bytes], last: int) -> list[int]:
    """Read what it says until the line with the last number."""
    numbers: list[int] = []
    assert process.stdout is not None
    while not numbers or numbers[-1] != last:
        numbers.append(json.loads(process.stdout.readline())["position"])
    return numbers


def test_no_line_is_lost_and_none_comes_twice_across_rotations_until_ctrl_c(home: Home) -> None:
    file = daemon_log(home.log, rotate_bytes=20_000)
    file.write(line(0))

    with _following(home) as process:
        seen = _numbers(process, 0)  # it is at work from here on
        for number in range(1, 5000):
            file.write(line(number))
        seen += _numbers(process, 4999)
        process.send_signal(signal.SIGINT)
        code = process.wait(LIMIT_S)
        assert process.stderr is not None
        said = process.stderr.read()

    file.close()
    assert seen == list(range(5000))
    assert len(list(home.log.parent.glob("hookfuse.jsonl.*"))) > 50  # compressed by now, or by the next daemon
    assert (code, said) == (ExitCode.INTERRUPTED, b"")


_WRITER = """
import sys
from pathlib import Path
from tests.console.logs.lines import daemon_log, line
from tests.end_to_end.stage import LIMIT_S
file = daemon_log(Path(sys.argv[1]), rotate_bytes=20_000)
for number in range(int(sys.argv[2]), 6000, 3):
    file.write(line(number))
file.close()
"""


def test_the_lines_of_several_processes_come_once_each(home: Home) -> None:
    """They rotate the same log, and go on writing to a rotated file until they notice."""
    home.log.parent.mkdir(exist_ok=True)
    home.log.write_bytes(line(9999))

    with _following(home) as process:
        _numbers(process, 9999)
        writers = [
            subprocess.Popen([sys.executable, "-c", _WRITER, str(home.log), str(number)], cwd=_ROOT)
            for number in range(3)
        ]
        assert process.stdout is not None
        seen = [json.loads(process.stdout.readline())["position"] for _ in range(6000)]
        assert [writer.wait(LIMIT_S) for writer in writers] == [0, 0, 0]

    assert sorted(seen) == list(range(6000))
    # Each rotates at 20 kB of its own or notices that another has, so a file holds at most 60 kB of these 1.9 MB.
    assert len(list(home.log.parent.glob("hookfuse.jsonl.*"))) > 25


def test_a_pipe_that_nobody_reads_any_more_ends_it_quietly_even_when_nothing_is_written(home: Home) -> None:
    home.log.write_bytes(line(0))

    with _following(home) as process:
        _numbers(process, 0)
        assert process.stdout is not None
        process.stdout.close()
        code = process.wait(LIMIT_S)
        assert process.stderr is not None
        said = process.stderr.read()

    assert (code, said) == (ExitCode.BROKEN_PIPE, b"")
