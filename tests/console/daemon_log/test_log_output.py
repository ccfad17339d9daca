import gzip
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from console.daemon_log.log_file import LogFile
from console.daemon_log.log_output import configure_command_logging, configure_daemon_logging
from eventstore.home.folder import Home
from eventstore.settings.sections import LogSettings


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


@pytest.fixture
def log_file(home: Home) -> Iterator[LogFile]:
    file = configure_daemon_logging(home, LogSettings(), is_terminal=False)
    yield file
    file.close()


def _lines(file: LogFile) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.path.read_bytes().splitlines()]


def test_a_line_has_its_keys_in_order(log_file: LogFile) -> None:
    structlog.get_logger("hookfuse.mailer").info("mail.sent", message_id="<1@x>", attempt=1)

    (line,) = _lines(log_file)
    assert list(line) == ["event", "level", "timestamp", "logger", "message_id", "attempt"]
    assert (line["event"], line["level"], line["logger"]) == ("mail.sent", "info", "hookfuse.mailer")
    assert line["timestamp"].endswith("Z")
    assert len(line["timestamp"]) == 27
    assert log_file.path.stat().st_mode & 0o777 == 0o600


def test_what_is_bound_and_what_is_in_the_context_is_in_the_line(log_file: LogFile) -> None:
    with structlog.contextvars.bound_contextvars(installation_id="i"):
        structlog.get_logger("x").bind(delivery_id="d").info("delivered")

    assert [(line["installation_id"], line["delivery_id"]) for line in _lines(log_file)] == [("i", "d")]


def test_lines_below_the_level_are_not_written(home: Home) -> None:
    file = configure_daemon_logging(home, LogSettings(level="warning"), is_terminal=False)
    structlog.get_logger("x").info("no")
    logging.getLogger("urllib3").info("no")
    structlog.get_logger("x").warning("yes")
    file.close()

    assert [line["event"] for line in _lines(file)] == ["yes"]


def test_an_exception_is_data_on_the_same_line_without_locals(log_file: LogFile) -> None:
    def fail() -> None:
        secret = "not-to-be-logged"
        raise ValueError("broken" + secret[:0])

    try:
        fail()
    except ValueError:
        structlog.get_logger("x").exception("actor.crashed", actor="sender")

    (line,) = _lines(log_file)
    assert line["level"] == "error"
    assert (line["exception"][0]["exc_type"], line["exception"][0]["exc_value"]) == ("ValueError", "broken")
    assert line["exception"][0]["frames"][-1]["name"] == "fail"
    assert "not-to-be-logged" not in log_file.path.read_text()


def test_an_exception_may_be_handed_over(log_file: LogFile) -> None:
    structlog.get_logger("x").error("failed", exc_info=ValueError("handed"))
    structlog.get_logger("x").error("failed", exc_info=True)

    first, second = _lines(log_file)
    assert first["exception"][0]["exc_value"] == "handed"
    assert second["exception"] is None


def test_libraries_join_the_file(log_file: LogFile) -> None:
    logging.getLogger("pykka").error("Unhandled in %s", "actor")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("soon gone", DeprecationWarning, stacklevel=1)

    first, second = _lines(log_file)
    assert (first["event"], first["level"], first["logger"]) == ("Unhandled in actor", "error", "pykka")
    assert second["logger"] == "py.warnings"
    assert "soon gone" in second["event"]


def test_a_library_that_logs_badly_stops_nothing(log_file: LogFile) -> None:
    record = logging.LogRecord("pykka", logging.ERROR, "", 1, "%d", ("no number",), None)
    handlers = [handler for handler in logging.getLogger().handlers if "console" in type(handler).__module__]
    handlers[0].handle(record)  # by hand: pytest's own handlers would raise

    assert log_file.lost_lines == 1


@pytest.mark.parametrize("value", ["\ud800", 2**70, object(), {1, 2}, b"\xff", float("nan"), {(1, 2): 3}])
def test_whatever_is_logged_the_line_is_written(log_file: LogFile, value: object) -> None:
    structlog.get_logger("x").info("odd", value=value)

    assert log_file.lost_lines == 0
    assert [line["event"] for line in _lines(log_file)] == ["odd"]


def test_warnings_are_short_lines_on_standard_error(log_file: LogFile, capsys: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger("x").info("quiet")
    structlog.get_logger("x").warning("mail.sent.failure", error="try\nagain\x1b[2J", n=1)
    try:
        int("no")
    except ValueError:
        structlog.get_logger("x").exception("actor.crashed")

    first, second = capsys.readouterr().err.splitlines()
    assert first[9:] == "warning mail.sent.failure error=try again\\x1b[2J n=1"
    assert second[9:].startswith("error actor.crashed exception=ValueError: invalid literal for int()")
    assert len(_lines(log_file)) == 3


def test_on_standard_error_a_value_is_shown_as_the_log_has_it_and_never_as_python_writes_it(
    log_file: LogFile, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = {"2026-12-01": {"success": 4}}
    structlog.get_logger("x").warning("seen", is_dry_run=False, left=None, names=("a", "b"), counts=counts, text="b c")

    shown = capsys.readouterr().err
    assert shown.endswith(
        'seen is_dry_run=false left=null names=["a","b"] counts={"2026-12-01":{"success":4}} text=b c\n'
    )


def test_levels_are_coloured_for_a_person(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    file = configure_daemon_logging(home, LogSettings(), is_terminal=True)
    structlog.get_logger("x").error("bad")
    file.close()

    assert "\x1b[31merror\x1b[0m bad" in capsys.readouterr().err


def test_a_closed_standard_error_stops_nothing(log_file: LogFile, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull) as closed:  # noqa: PTH123
        monkeypatch.setattr(sys, "stderr", closed)
    structlog.get_logger("x").warning("still written")

    assert [line["event"] for line in _lines(log_file)] == ["still written"]


def test_commands_log_warnings_to_standard_error_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    configure_command_logging()
    structlog.get_logger("hookfuse.producer").info("quiet")
    structlog.get_logger("hookfuse.producer").warning("heard", n=1)

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err[9:] == "warning heard n=1\n"


def _file(path: Path, complaints: list[str], rotate_bytes: int = 10_000, keep_files: int = 2) -> LogFile:
    return LogFile(path, rotate_bytes=rotate_bytes, keep_files=keep_files, complain=complaints.append)


def _rotated(path: Path) -> list[Path]:
    return sorted(path.parent.glob(path.name + ".*"))


def test_a_full_file_is_rotated_compressed_and_private(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    file = _file(path, [])
    for number in range(15):
        file.write(b"%04d" % number + b"x" * 995 + b"\n")
    file.close()

    (rotated,) = _rotated(path)
    assert rotated.suffix == ".gz"
    assert rotated.stat().st_mode & 0o777 == 0o600
    kept = gzip.decompress(rotated.read_bytes()) + path.read_bytes()
    assert [line[:4] for line in kept.splitlines()] == [b"%04d" % number for number in range(15)]


def test_only_the_newest_rotated_files_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for number in range(5):
        file = _file(path, [])
        for _ in range(11):
            file.write(b"%04d" % number + b"x" * 995 + b"\n")
        file.close()

    last_lines = [gzip.decompress(rotated.read_bytes())[-1_000:-996] for rotated in _rotated(path)]
    assert last_lines == [b"0003", b"0004"]


def test_what_a_crash_left_uncompressed_is_compressed_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    left = tmp_path / "log.jsonl.20250201T100000.000000Z"
    left.write_bytes(b"old\n")
    (tmp_path / "log.jsonl.20250201T100000.000000Z.gz.partial").write_bytes(b"half")

    _file(path, []).close()

    (rotated,) = _rotated(path)
    assert gzip.decompress(rotated.read_bytes()) == b"old\n"


def test_a_full_disk_is_said_once_and_the_lines_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complaints: list[str] = []
    file = _file(tmp_path / "log.jsonl", complaints)
    file.write(b"before\n")
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", _no_space)
        file.write(b"lost\n")
        file.write(b"lost\n")
    file.write(b"after\n")
    file.close()

    assert file.lost_lines == 2
    assert complaints == [
        f"the log {file.path} cannot be written (No space left on device): lines are lost, the work goes on"
    ]
    assert (tmp_path / "log.jsonl").read_bytes() == b"before\nafter\n"


def _no_space(_descriptor: int, _data: bytes) -> int:
    raise OSError(28, "No space left on device")


def test_a_line_that_was_cut_off_does_not_spoil_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _file(tmp_path / "log.jsonl", [])
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
        file.write(b"cut off\n")
    file.write(b"after\n")
    file.close()

    assert file.lost_lines == 1
    assert (tmp_path / "log.jsonl").read_bytes() == b"cut\nafter\n"


def test_a_log_that_cannot_be_opened_stops_nothing(tmp_path: Path) -> None:
    complaints: list[str] = []
    file = _file(tmp_path / "missing" / "log.jsonl", complaints)
    file.write(b"lost\n")
    file.write(b"lost\n")
    file.close()

    assert file.lost_lines == 2
    assert len(complaints) == 1


def test_what_is_rotated_now_counts_as_newer_than_what_a_clock_that_was_ahead_has_rotated(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    (tmp_path / "log.jsonl.20361127T235442.000000Z.gz").write_bytes(b"")
    file = _file(path, [], keep_files=1)
    for number in range(15):
        file.write(b"%04d" % number + b"x" * 995 + b"\n")
    file.close()

    (rotated,) = _rotated(path)
    assert gzip.decompress(rotated.read_bytes())[:4] == b"0000"


def test_a_log_that_cannot_be_rotated_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complaints: list[str] = []
    file = _file(tmp_path / "log.jsonl", complaints)

    def refuse(_self: Path, _target: Path) -> Path:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    for _ in range(15):
        file.write(b"x" * 999 + b"\n")
    file.close()

    assert file.lost_lines == 0
    assert (tmp_path / "log.jsonl").stat().st_size == 15_000
    assert len(complaints) == 1


def test_a_line_after_the_end_is_passed_over(tmp_path: Path) -> None:
    file = _file(tmp_path / "log.jsonl", [])
    file.close()
    file.write(b"late\n")
    file.close()

    assert (tmp_path / "log.jsonl").read_bytes() == b""


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    file = _file(tmp_path / "log.jsonl", [], rotate_bytes=20_000, keep_files=1000)

    def write(digit: bytes) -> None:
        for _ in range(500):
            file.write(digit * 99 + b"\n")

    threads = [threading.Thread(target=write, args=(digit,)) for digit in (b"1", b"2", b"3", b"4")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.close()

    lines = b"".join(map(_content, [*_rotated(file.path), file.path])).splitlines()
    assert len(lines) == 2_000
    assert all(len(set(line)) == 1 and len(line) == 99 for line in lines)


_WRITE = """
import sys
from pathlib import Path
from console.daemon_log import log_file
log_file._LOOK_S = 0.0  # it looks before each line, so that how often it rotates is a matter of bytes
file = log_file.LogFile(Path(sys.argv[1]), rotate_bytes=20_000, keep_files=1000, complain=print)
sys.stdin.readline()
for number in range(2_000):
    file.write(f"{sys.argv[2]} {number:04d} ".encode() + sys.argv[2].encode() * 90 + b"\\n")
file.close()
print(file.lost_lines)
"""


def test_processes_write_whole_lines_and_lose_none_while_each_rotates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.jsonl"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITE, str(path), digit],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        for digit in "123"
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    answers = [writer.communicate(timeout=60)[0] for writer in writers]
    monkeypatch.setattr("console.daemon_log.log_file._LOOK_S", 0.0)
    _file(path, [], keep_files=1000).close()  # as the next daemon does, it compresses what was left

    lines = b"".join(map(_content, [*_rotated(path), path])).decode().splitlines()
    assert answers == ["0\n"] * 3
    assert all(rotated.suffix == ".gz" for rotated in _rotated(path))
    assert len(_rotated(path)) > 10
    assert all(set(line[7:]) == {line[0]} and len(line) == 97 for line in lines)
    assert sorted(line[:6] for line in lines) == sorted(
        f"{digit} {number:04d}" for digit in "123" for number in range(2_000)
    )


def test_a_rotation_by_another_process_is_followed_and_only_then_is_the_file_compressed(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    first, second = _file(path, []), _file(path, [])
    first.write(b"1" * 10_000 + b"\n")
    first.write(b"after\n")
    second.write(b"late\n")
    first.close()  # its compressor has found the file in use
    (before,) = _rotated(path)
    second.look()
    second.write(b"in the new one\n")
    second.close()
    (after,) = _rotated(path)

    assert (before.suffix == ".gz", after.suffix == ".gz") == (False, True)
    assert gzip.decompress(after.read_bytes()).endswith(b"1\nlate\n")
    assert path.read_bytes() == b"after\nin the new one\n"


def test_the_size_that_all_have_made_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.daemon_log.log_file._LOOK_S", 0.0)
    path = tmp_path / "log.jsonl"
    first, second = _file(path, []), _file(path, [])
    first.write(b"1" * 9_990 + b"\n")
    second.write(b"2" * 9_990 + b"\n")
    first.write(b"after\n")
    first.close()
    second.close()

    assert len(_rotated(path)) == 1
    assert path.read_bytes() == b"after\n"


def test_a_file_that_a_person_has_moved_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    file = _file(path, [])
    path.rename(tmp_path / "moved")
    file.look()
    file.write(b"line\n")
    file.close()

    assert path.read_bytes() == b"line\n"


def test_each_line_of_a_worker_says_which(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    file = configure_daemon_logging(home, LogSettings(), is_terminal=False, worker=2)
    structlog.get_logger("x").warning("bad", n=1)
    logging.getLogger("pykka").error("worse")
    file.close()

    assert [(line["event"], line["worker"]) for line in _lines(file)] == [("bad", 2), ("worse", 2)]
    assert "bad worker=2 n=1" in capsys.readouterr().err


def _content(path: Path) -> bytes:
    # A file that was rotated just as the compressor ended stays as it is until the next one.
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
