import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import NoReturn

import click
import pytest

from console.shell.cli import cli
from console.shell.command_line import run_command_line
from console.shell.exit_codes import ExitCode
from eventstore.errors import DatabaseError, DiskFullError
from tests.console.conftest import Hookfuse, World

SCRIPT = (
    "from console.shell.cli import cli\nfrom console.shell.command_line import run_command_line\nrun_command_line(cli)"
)


def _run(action: Callable[[], object]) -> int:
    with pytest.raises(SystemExit) as end:
        run_command_line(click.Command("action", callback=action), [])
    assert isinstance(end.value.code, int)
    return end.value.code


def _raise(error: BaseException) -> Callable[[], NoReturn]:
    def action() -> NoReturn:
        raise error

    return action


def test_an_error_of_the_store_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(_raise(DiskFullError("the disk\nis \x1b[2Jfull"))) == ExitCode.DATABASE

    assert capsys.readouterr().err == "hookfuse: the disk is \\x1b[2Jfull\n"


def test_an_error_of_sqlite_itself_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    import sqlite3

    assert _run(_raise(sqlite3.OperationalError("no such table: events"))) == ExitCode.DATABASE

    assert capsys.readouterr().err == "hookfuse: events.db: no such table: events\n"


def test_what_was_not_foreseen_is_called_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(_raise(KeyError("x"))) == ExitCode.FAILED

    shown = capsys.readouterr().err
    assert shown == "hookfuse: KeyError: 'x': this is a bug (HOOKFUSE_DEBUG=1 shows where)\n"


def test_bytes_that_are_no_text_are_bad_input_and_no_bug(capsys: pytest.CaptureFixture[str]) -> None:
    command = click.Command("action", callback=lambda name: name.encode(), params=[click.Argument(["name"])])

    with pytest.raises(SystemExit) as end:
        run_command_line(command, ["ac\udcffme"])

    assert end.value.code == ExitCode.BAD_INPUT
    assert capsys.readouterr().err == "hookfuse: 'ac\\udcffme' is not UTF-8, and every name and key is\n"


def test_text_that_cannot_be_written_is_a_bug_where_no_argument_is_to_blame(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _run("\udcff".encode) == ExitCode.FAILED

    assert "this is a bug" in capsys.readouterr().err


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HOOKFUSE_DEBUG", "1")

    assert _run(_raise(KeyError("x"))) == ExitCode.FAILED
    assert "Traceback" in capsys.readouterr().err


def test_a_missing_file_is_the_environment_and_no_bug(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(_raise(FileNotFoundError(2, "No such file", "x"))) == ExitCode.BAD_INPUT

    assert capsys.readouterr().err == "hookfuse: x: cannot be used (No such file)\n"


def test_a_file_of_the_home_and_a_full_disk_have_codes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOKFUSE_HOME", "a/place")

    assert _run(_raise(PermissionError(13, "Permission denied", "a/place/logs"))) == ExitCode.HOME
    assert _run(_raise(PermissionError(13, "Permission denied", "a/place-of-others"))) == ExitCode.BAD_INPUT
    assert _run(_raise(OSError(28, "No space left on device", "a/place/logs"))) == ExitCode.DATABASE
    assert _run(_raise(OSError(5, "Input/output error"))) == ExitCode.FAILED


def test_ctrl_c_is_130_and_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(_raise(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == ""


def test_a_command_may_return_its_exit_code() -> None:
    assert _run(lambda: ExitCode.CRASHED) == 8
    assert _run(lambda: None) == 0
    assert _run(lambda: click.get_current_context().exit(9)) == 9


def test_the_cause_of_a_known_error_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    error = DatabaseError("damaged")
    error.__cause__ = ValueError("detail")

    _run(_raise(error))
    assert capsys.readouterr().err == "hookfuse: damaged\n"


def test_usage_errors_are_one_line_that_names_the_command(hookfuse: Hookfuse) -> None:
    ended = hookfuse("audit", "--limit", "many")

    assert ended.code == ExitCode.USAGE
    assert ended.err == (
        "hookfuse: audit: Invalid value for '--limit': 'many' is not a valid integer range."
        " (see hookfuse audit --help)\n"
    )


def test_an_unknown_command_is_one_line(hookfuse: Hookfuse) -> None:
    ended = hookfuse("statsu")

    assert ended.code == ExitCode.USAGE
    assert ended.err.count("\n") == 1
    assert "Did you mean 'status'?" in ended.err


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run_command_line(cli, [])

    assert end.value.code == ExitCode.USAGE
    assert "Commands:" in capsys.readouterr().err


def test_a_closed_pipe_is_quiet(world: World) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, "--home", str(world.home.path), "events", "--json"],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)

    assert (ended.returncode, ended.stderr) == (ExitCode.BROKEN_PIPE, b"")


def test_a_standard_output_that_is_closed_is_no_success(world: World) -> None:
    command = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", SCRIPT, "--home", str(world.home.path), "audit"]
    ended = subprocess.run(command, stderr=subprocess.PIPE, check=False)

    assert ended.returncode == ExitCode.OUTPUT_LOST
    assert ended.stderr.startswith(b"hookfuse: done, but the output could not be written")


def test_standard_output_on_a_full_disk_is_one_line(world: World) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        ended = subprocess.run(
            [sys.executable, "-c", SCRIPT, "--home", str(world.home.path), "audit"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )

    assert ended.returncode == ExitCode.OUTPUT_LOST
    assert ended.stderr == (b"hookfuse: done, but the output could not be written: No space left on device\n")


def test_sigint_while_a_command_waits_ends_it_with_130(world: World) -> None:
    command = [sys.executable, "-c", SCRIPT, "--home", str(world.home.path), "send", "--batch", "-"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(b"\n" * 100_000)  # more than a pipe holds: it is reading when this returns
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate()

    assert (process.returncode, shown) == (130, b"")


def test_output_in_an_encoding_without_the_letters_is_escaped(world: World) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, "--home", str(world.home.path), "enable", "ñandú", "--reason", "x"],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )

    assert ended.returncode == ExitCode.BAD_INPUT
    assert rb"'\xf1and\xfa'" in ended.stderr
