import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.logs.follower import Follower
from console.logs.line_filter import LineFilter
from console.logs.log_reader import LogReader
from tests.console.logs.lines import compress, daemon_log, line, rotate

Step = Callable[[], object]


class Stage:
    """A log, and what happens to it whenever the follower has seen all there is."""

    def __init__(self, log: Path, *steps: Step) -> None:
        self.log = log
        self.waits = 0
        self._steps = iter(steps)

    def wait(self) -> bool:
        self.waits += 1
        step = next(self._steps, None)
        if step is None:
            return False
        step()
        return True

    def follow(self, reader: LogReader | None = None) -> list[bytes]:
        follower = Follower(self.log, reader or LogReader(), self.wait)
        list(LogReader().read(follower.before))
        return [raw for raw, _ in follower.lines()]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "hookfuse.jsonl"


def _add(log: Path, *datas: bytes) -> Step:
    def add() -> None:
        with log.open("ab") as stream:
            stream.writelines(datas)

    return add


def test_what_is_added_is_given_and_what_was_there_is_not(log: Path) -> None:
    _add(log, b"1\n")()

    assert Stage(log, _add(log, b"2\n"), _add(log, b"3\n", b"4\n")).follow() == [b"2", b"3", b"4"]


def test_a_line_is_given_when_it_is_whole(log: Path) -> None:
    _add(log, b"1\n2")()

    assert Stage(log, _add(log, b"2\n3"), _add(log, b"3\n")).follow() == [b"22", b"33"]


def test_it_waits_once_for_each_look_that_finds_nothing(log: Path) -> None:
    stage = Stage(log, *[lambda: None] * 5)

    assert stage.follow() == []
    assert stage.waits == 6


def test_a_log_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "hookfuse.jsonl"

    assert Stage(log, lambda: None, log.parent.mkdir, _add(log, b"1\n"), _add(log, b"2\n")).follow() == [b"1", b"2"]


def test_what_was_written_before_and_after_a_rotation_is_given_once(log: Path) -> None:
    def rotate_and_go_on() -> None:
        _add(log, b"2\n")()
        compress(rotate(log, "20250201T100000.000000"))
        _add(log, b"3\n")()

    assert Stage(log, _add(log, b"1\n"), rotate_and_go_on, _add(log, b"4\n")).follow() == [b"1", b"2", b"3", b"4"]


def test_several_rotations_between_two_looks_lose_nothing(log: Path) -> None:
    def rotate_often() -> None:
        for number in range(1, 5):
            _add(log, b"%d\n" % number)()
            rotated = rotate(log, f"2025020{number}T100000.000000")
            if number % 2:
                compress(rotated)
        _add(log, b"5\n")()

    assert Stage(log, rotate_often).follow() == [b"1", b"2", b"3", b"4", b"5"]


def test_while_the_new_file_is_not_there_yet_the_old_one_is_followed(log: Path) -> None:
    _add(log, b"0\n")()
    rotated = log.with_name(f"{log.name}.20250201T100000.000000Z")

    steps = (lambda: log.rename(rotated), _add(rotated, b"1\n"), _add(log, b"2\n"))
    assert Stage(log, *steps).follow() == [b"1", b"2"]


def test_a_file_that_is_emptied_is_read_from_its_beginning(log: Path) -> None:
    _add(log, b"a long line\n")()

    def empty() -> None:
        os.truncate(log, 0)

    assert Stage(log, empty, _add(log, b"1\n"), _add(log, b"2\n")).follow() == [b"1", b"2"]


def test_a_file_that_was_taken_away_is_not_taken_for_one_that_was_rotated(log: Path) -> None:
    """The first rotated file that is new need not be the one that was followed."""
    _add(log, b"0\n")()

    def replace() -> None:
        log.unlink()
        _add(log, b"1\n")()
        rotate(log, "20250201T100000.000000")
        _add(log, b"2\n")()

    assert Stage(log, replace).follow() == [b"1", b"2"]


def test_half_a_line_at_the_end_of_a_rotated_file_is_broken_when_that_is_final(log: Path) -> None:
    reader = LogReader(LineFilter())

    def rotate_and_go_on() -> None:
        rotate(log, "20250201T100000.000000")
        _add(log, line())()

    def compress_it() -> None:
        (rotated,) = log.parent.glob("*Z")
        compress(rotated)

    found = Stage(log, _add(log, line(), b'{"half'), rotate_and_go_on, compress_it).follow(reader)

    assert [raw + b"\n" for raw in found] == [line(), line(), b'{"half\n']
    assert (reader.lines, reader.broken) == (3, 1)


def test_what_another_process_writes_to_a_rotated_file_is_given_until_it_is_compressed(log: Path) -> None:
    """Each process of a daemon notices a rotation by itself, and writes to the old file until then."""
    _add(log, b"before\n")()
    first, second = (log.with_name(f"{log.name}.2025020{day}T100000.000000Z") for day in (1, 2))

    def rotate_to(rotated: Path, data: bytes) -> None:
        log.rename(rotated)
        _add(log, data)()

    def write_late() -> None:
        _add(first, b"later\n")()
        _add(second, b"late too\n")()

    def write_the_last_and_compress() -> None:
        _add(first, b"last\n")()
        compress(first)

    steps = (
        partial(rotate_to, first, b"new 1\n"),
        _add(first, b"late\n"),
        partial(rotate_to, second, b"new 2\n"),
        write_late,
        write_the_last_and_compress,
        _add(second, b"end\n"),
    )

    assert Stage(log, *steps).follow() == [b"new 1", b"late", b"new 2", b"later", b"late too", b"last", b"end"]


def test_rotated_files_that_nobody_compresses_take_up_few_descriptors(log: Path) -> None:
    numbers = iter(range(100))

    def rotate_once() -> None:
        number = next(numbers)
        _add(log, b"%d\n" % number)()
        rotate(log, f"20250201T100000.{number:06}")

    for _ in range(20):
        log.touch()
        rotate_once()
    opened: list[int] = []

    def count() -> None:
        opened.append(len(list(Path("/proc/self/fd").iterdir())))

    found = Stage(log, count, *[step for _ in range(30) for step in (rotate_once, count)]).follow()

    assert found == [b"%d" % number for number in range(20, 50)]
    assert max(opened) - len(list(Path("/proc/self/fd").iterdir())) <= 12


def test_a_rotated_file_is_followed_from_the_beginning_on_where_others_still_write_to_it(log: Path) -> None:
    _add(log, b"before\n")()
    rotated = rotate(log, "20250201T100000.000000")
    _add(log, b"before too\n")()

    stage = Stage(log, _add(rotated, b"late\n"), _add(log, b"new\n"))
    follower = Follower(log, LogReader(), stage.wait)
    _add(rotated, b"half")()
    before = [raw for raw, _ in LogReader().read(follower.before)]
    _add(rotated, b" a line\n")()
    after = [raw for raw, _ in follower.lines()]

    assert before == [b"before", b"before too"]
    assert after == [b"half a line", b"late", b"new"]


def test_a_filter_holds_for_what_comes(log: Path) -> None:
    steps = _add(log, line(1)), _add(log, line(2, outcome="failed"))

    found = Stage(log, *steps).follow(LogReader(LineFilter(outcome="failed")))

    assert [raw + b"\n" for raw in found] == [line(2, outcome="failed")]


class _World:
    """A log that is written to, rotated and compressed; its lines are numbers."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.written = 0
        self._rotated: list[Path] = []
        log.touch()

    def act(self, actions: list[str]) -> None:
        for action in actions:
            getattr(self, action)()

    def write(self) -> None:
        self.written += 1
        _add(self.log, b"%d\n" % self.written)()

    def rotate(self) -> None:
        self._rotated.append(rotate(self.log, f"20250201T100000.{len(self._rotated):06}"))

    def compress(self) -> None:
        for path in self._rotated:
            if path.exists():
                compress(path)


_ACTIONS = st.lists(st.lists(st.sampled_from(["write", "write", "rotate", "compress"]), max_size=6), max_size=8)


@settings(max_examples=50)
@given(_ACTIONS)
def test_whatever_happens_between_two_looks_no_line_is_lost_and_none_twice(looks: list[list[str]]) -> None:
    with TemporaryDirectory() as folder:
        world = _World(Path(folder) / "hookfuse.jsonl")

        found = Stage(world.log, *(partial(world.act, actions) for actions in looks)).follow()

        assert [int(raw) for raw in found] == list(range(1, world.written + 1))


def test_the_daemon_s_own_rotation_and_compression_beside_it_lose_nothing(log: Path) -> None:
    """A thread writes as fast as it can, and the follower looks as often as it can."""
    file = daemon_log(log)
    count = 5000

    def write() -> None:
        for number in range(count):
            file.write(b"%d" % number + b" " * 80 + b"\n")
        file.close()

    writer = threading.Thread(target=write)
    seen: list[int] = []

    def wait() -> bool:
        return len(seen) < count

    follower = Follower(log, LogReader(), wait)
    writer.start()
    seen.extend(int(raw.split()[0]) for raw, _ in follower.lines())
    writer.join()

    assert seen == list(range(count))
    assert len(list(log.parent.glob(f"{log.name}.*"))) > 20  # compressed by now, or by the next daemon
