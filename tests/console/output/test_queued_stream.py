"""Standard error behind its queue: nobody waits for who does not read, and what is dropped is said."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from console.output.queued_stream import QueuedStream
from tests.end_to_end.waiting import wait_until


@dataclass
class Pipe:
    """A pipe; nobody reads it until `begin_to_read`."""

    reader: int
    writer: int
    text: bytearray = field(default_factory=bytearray)
    thread: threading.Thread | None = None
    streams: list[QueuedStream] = field(default_factory=list)

    def stream(self, **arguments: Any) -> QueuedStream:
        """Return a stream into it, which has written all before the pipe's number can be another's."""
        self.streams.append(QueuedStream(self.writer, **arguments))
        return self.streams[-1]

    def fill(self) -> None:
        os.set_blocking(self.writer, False)
        try:
            while True:
                os.write(self.writer, b"." * 1024)
        except BlockingIOError:
            os.set_blocking(self.writer, True)

    def begin_to_read(self) -> None:
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        while piece := os.read(self.reader, 65_536):
            self.text += piece

    def said(self) -> str:
        return self.text.decode().lstrip(".")


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe(*os.pipe())
    yield pipe
    if pipe.thread is None:
        pipe.begin_to_read()  # lets a thread that waits for the pipe go on
    assert all(stream.drain(20) for stream in pipe.streams)
    os.close(pipe.writer)
    assert pipe.thread is not None
    pipe.thread.join(20)
    os.close(pipe.reader)


def test_what_is_written_arrives_in_order(pipe: Pipe) -> None:
    stream = pipe.stream()
    for number in range(100):
        stream.write(f"line {number}\n".encode())

    assert stream.drain(20)
    pipe.begin_to_read()
    wait_until(lambda: pipe.said().count("\n") == 100, "all lines are read")
    assert pipe.said() == "".join(f"line {number}\n" for number in range(100))
    assert stream.dropped_lines == 0


def test_a_line_that_comes_in_pieces_goes_as_one_and_half_a_line_at_the_end(pipe: Pipe) -> None:
    stream = pipe.stream()
    for piece in (b"a ", b"li", b"ne\nand half"):
        stream.write(piece)

    assert stream.drain(20)
    pipe.begin_to_read()
    wait_until(lambda: pipe.said() == "a line\nand half\n", "both have come")


def test_nobody_waits_for_a_pipe_that_nobody_reads_and_what_did_not_fit_is_counted(pipe: Pipe) -> None:
    pipe.fill()
    stream = pipe.stream(queue_bytes=1_000)
    for _ in range(1_000):
        stream.write(b"nine more\n")  # returns, or this test never ends

    # One is with the thread, a hundred fill the queue.
    assert 899 <= stream.dropped_lines <= 900


def test_once_it_is_read_again_that_lines_were_dropped_is_a_line_and_is_told(pipe: Pipe) -> None:
    pipe.fill()
    told: list[int] = []
    stream = pipe.stream(queue_bytes=1_000, on_dropped=told.append)
    for _ in range(1_000):
        stream.write(b"nine more\n")
    dropped = stream.dropped_lines
    pipe.begin_to_read()
    wait_until(lambda: told, "it is told")
    stream.write(b"and on it goes\n")
    wait_until(lambda: pipe.said().endswith("and on it goes\n"), "what comes then is written")

    assert told == [dropped]
    assert f"hookfuse: {dropped} lines were dropped here, as nobody read standard error" in pipe.said()
    assert pipe.said().count("nine more\n") == 1_000 - dropped


def test_an_end_does_not_wait_for_a_pipe_that_nobody_reads(pipe: Pipe) -> None:
    pipe.fill()
    stream = pipe.stream()
    stream.write(b"one\ntwo\nthree\n")

    assert not stream.drain(0.0)
    assert stream.dropped_lines >= 2  # the first may be with the thread


def test_a_pipe_whose_reader_has_gone_takes_nothing_and_stops_nobody() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = QueuedStream(writer)
    stream.write(b"one\ntwo\n")

    assert stream.drain(20)
    assert stream.dropped_lines == 2
    os.close(writer)


def test_a_pipe_that_somebody_has_made_one_that_does_not_wait_loses_no_line(pipe: Pipe) -> None:
    pipe.fill()
    os.set_blocking(pipe.writer, False)
    stream = pipe.stream()
    stream.write(b"patience\n")
    pipe.begin_to_read()

    assert stream.drain(20)
    wait_until(lambda: pipe.said() == "patience\n", "it is read")


_PROGRAM = """
import sys
from console.output.queued_stream import queue_standard_error
queue_standard_error()
print("a line of a library", file=sys.stderr)
raise ValueError("a traceback")
"""


def test_all_that_a_process_says_goes_through_the_queue_and_arrives_before_its_end() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False, timeout=60)

    assert done.stderr.startswith("a line of a library\nTraceback")
    assert done.stderr.endswith("ValueError: a traceback\n")


def test_a_process_ends_though_nobody_reads_what_it_has_said(pipe: Pipe) -> None:
    pipe.fill()
    done = subprocess.run([sys.executable, "-c", _PROGRAM], stderr=pipe.writer, check=False, timeout=60)

    assert done.returncode == 1
