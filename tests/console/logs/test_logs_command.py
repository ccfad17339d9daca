import gzip
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from console.commands.logs import group as logs_command
from console.logs.line_output import LineOutput
from console.shell.exit_codes import ExitCode
from eventstore.home.folder import Home
from tests.console.conftest import Hookfuse
from tests.console.logs.lines import DELIVERY, INSTALLATION, OTHER_INSTALLATION, daemon_log, line, write_as_daemon
from tests.console.shell.test_command_line import SCRIPT


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


def _written(home: Home, count: int = 300) -> list[bytes]:
    """Write lines by the daemon's own log, with rotations on the way."""
    outcomes = {0: "failed", 1: "timed_out"}
    lines = [line(number, outcome=outcomes.get(number % 10, "succeeded")) for number in range(count)]
    write_as_daemon(home.log, lines)
    return lines


def test_all_lines_of_rotated_and_compressed_files_come_in_order(hookfuse: Hookfuse, home: Home) -> None:
    lines = _written(home)

    ended = hookfuse("logs", "--json")

    assert len(list(home.log.parent.iterdir())) > 5
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.encode() == b"".join(lines)


def test_filters_hold_together(hookfuse: Hookfuse, home: Home) -> None:
    lines = _written(home)
    words = ["--installation", INSTALLATION[:7], "--delivery", DELIVERY, "--event", "issue.created"]
    words += ["--outcome", "failed", "--level", "info", "--since", "2025-02-08T00:01", "--until", "2025-02-08T00:02"]

    assert hookfuse("logs", "--json", *words).out.encode() == b"".join(lines[60:121:10])
    assert hookfuse("logs", "--json", *words, "-n", "2").out.encode() == lines[110] + lines[120]
    assert hookfuse("logs", "--installation", OTHER_INSTALLATION).out == ""


def test_a_time_ago_is_counted_from_now(hookfuse: Hookfuse, home: Home) -> None:
    daemon_log(home.log).write(line(11 * 3600) + line(12 * 3600 - 60))

    assert hookfuse("logs", "--since", "5m", "--json").out.encode() == line(12 * 3600 - 60)


def test_files_that_ended_before_are_not_even_opened(hookfuse: Hookfuse, home: Home) -> None:
    _written(home)
    for path in home.log.parent.glob("*.gz"):
        path.write_bytes(b"\x1f\x8b no gzip")  # read, it would be said to be damaged

    assert "damaged" not in hookfuse("logs", "--since", "2025-02-08T00:06").err
    assert "damaged" in hookfuse("logs", "--since", "2020-01-01").err


def test_a_person_in_a_pipe_gets_plain_lines(hookfuse: Hookfuse, home: Home) -> None:
    _written(home, 2)

    first, second = hookfuse("logs").out.splitlines()

    assert first.startswith(f"2025-02-08 00:00:00.000  info      delivery_attempted     {INSTALLATION}  {DELIVERY}  ")
    assert "\x1b" not in first + second


def test_what_is_broken_is_shown_escaped_counted_and_never_a_crash(hookfuse: Hookfuse, home: Home) -> None:
    rubbish = [
        b"\x00" * 100 + b"\n",
        os.urandom(500).replace(b"\n", b"") + b"\n",
        b'{"event":"\xff\xfe"}\n',
        b"[1]\n",
        b'{"attempt":"x"}\n',
        b"\x1b[2J\x1b]0;title\x07\n",
        b"z" * 3_000_000 + b"\n",
        b'{"event":"half',
    ]
    home.log.write_bytes(b"".join(line(number) + bad for number, bad in enumerate(rubbish)))

    ended = hookfuse("logs")
    as_json = hookfuse("logs", "--json")

    assert (ended.code, as_json.code) == (0, 0)
    assert ended.err == as_json.err == "hookfuse: 8 of 16 lines could not be read\n"
    assert sum(one.lstrip().startswith("broken") for one in ended.out.splitlines()) == 8
    assert all(one.isprintable() for one in ended.out.splitlines())
    assert "zzz ...\n" in ended.out
    documents = [json.loads(one) for one in as_json.out.splitlines()]
    assert [set(document) == {"broken_line"} for document in documents] == [False, True] * 8
    assert hookfuse("logs", "--outcome", "failed").err.startswith("hookfuse: ")


def test_files_that_are_named_are_read_instead(hookfuse: Hookfuse, home: Home, tmp_path: Path) -> None:
    _written(home)
    (tmp_path / "b.gz").write_bytes(gzip.compress(line(1)))
    (tmp_path / "a").write_bytes(line(2))

    assert hookfuse("logs", tmp_path / "b.gz", "--json", tmp_path / "a").out.encode() == line(1) + line(2)
    assert hookfuse("logs", "--json", "-", stdin=line(3)).out.encode() == line(3)


@pytest.mark.parametrize("words", ["--event=no_such_event", "--installation=ffffffff", "--outcome=missed"])
def test_where_no_line_is_one_of_those_asked_for_it_is_said(hookfuse: Hookfuse, tmp_path: Path, words: str) -> None:
    (tmp_path / "a").write_bytes(line(1) + line(2))
    ended = hookfuse("logs", words, tmp_path / "a")

    assert (ended.code, ended.out) == (ExitCode.OK, "")
    assert ended.err == "hookfuse: no line to show, of 2 that were read\n"


def test_files_need_no_home(hookfuse: Hookfuse, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(line(2))

    assert hookfuse("logs", "--json", tmp_path / "a", home=tmp_path / "none").code == 0


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["{tmp}/none"], ExitCode.BAD_INPUT, "No such file"),
        (["{tmp}"], ExitCode.BAD_INPUT, "Is a directory"),
        (["--installation", "7c1"], ExitCode.BAD_INPUT, "'7c1' is neither"),
        (["--installation", "2025-13-45"], ExitCode.BAD_INPUT, "'2025-13-45' is neither"),
        (["--event", ""], ExitCode.BAD_INPUT, "--event does not name an event"),
        (["--delivery", "nothing"], ExitCode.BAD_INPUT, "'nothing' is neither"),
        (["--since", "soon"], ExitCode.BAD_INPUT, "'soon' is not a time"),
        (["--level", "loud"], ExitCode.USAGE, "'loud' is not one of"),
        (["--outcome", "lost"], ExitCode.USAGE, "'lost' is not one of"),
        (["-n", "-1"], ExitCode.USAGE, "-1 is not in the range"),
        (["-f", "--until", "1h"], ExitCode.USAGE, "--until"),
        (["-f", "-"], ExitCode.USAGE, "one file"),
        (["-f", "{tmp}/gz"], ExitCode.BAD_INPUT, "is compressed"),
        (["-f", "{tmp}/gz", "{tmp}/gz"], ExitCode.USAGE, "one file"),
    ],
)
@pytest.mark.usefixtures("home")
def test_what_cannot_be_is_one_line(
    hookfuse: Hookfuse, tmp_path: Path, words: list[str], code: ExitCode, text: str
) -> None:
    (tmp_path / "gz").write_bytes(gzip.compress(b"x"))

    ended = hookfuse("logs", *[word.replace("{tmp}", str(tmp_path)) for word in words])

    assert (ended.code, ended.out, ended.err.count("\n")) == (code, "", 1)
    assert text in ended.err


@pytest.mark.parametrize("words", [(), ("-f",), ("summary",)])
def test_a_home_that_is_not_there_is_said(hookfuse: Hookfuse, tmp_path: Path, words: tuple[str, ...]) -> None:
    ended = hookfuse("logs", *words, home=tmp_path / "none")

    assert (ended.code, ended.out) == (ExitCode.HOME, "")
    assert "does not exist" in ended.err


def test_a_home_without_a_log_is_said_and_no_error(hookfuse: Hookfuse, home: Home) -> None:
    ended = hookfuse("logs")

    assert (ended.code, ended.out) == (0, "")
    assert ended.err == f"hookfuse: there is no log at {home.log} yet, or not of that time\n"


class _Looks:
    """Stands in for waiting: each look finds what the next step did, and Ctrl-C comes after the last."""

    def __init__(self, *steps: object) -> None:
        self.steps = list(steps)

    def __call__(self, output: LineOutput) -> bool:
        output.flush()
        if not self.steps:
            raise KeyboardInterrupt
        step = self.steps.pop(0)
        assert callable(step)
        step()
        return True


def test_following_shows_the_last_ten_and_what_comes_and_ends_by_ctrl_c(
    hookfuse: Hookfuse, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = _written(home, 30)
    file = daemon_log(home.log)
    monkeypatch.setattr(logs_command, "_look_again", _Looks(lambda: file.write(line(31) + b"rubbish\n")))

    ended = hookfuse("logs", "-f", "--json")

    file.close()
    assert ended.code == ExitCode.INTERRUPTED
    assert ended.out.encode() == b"".join(lines[20:]) + line(31) + b'{"broken_line":"rubbish"}\n'
    assert ended.err == "hookfuse: 1 of 32 lines could not be read\n"


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (("-n", "2"), [28, 29, 30, 31]),
        (("-n", "0"), [30, 31]),
        (("--since", "2025-02-08T00:00:25"), [25, 26, 27, 28, 29, 30, 31]),
        (("--outcome", "failed"), [0, 10, 20, 30]),
        (("--outcome", "failed", "-n", "1"), [20, 30]),
    ],
)
def test_following_begins_where_it_is_told(
    hookfuse: Hookfuse, home: Home, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], numbers: list[int]
) -> None:
    _written(home, 30)
    file = daemon_log(home.log)
    monkeypatch.setattr(
        logs_command,
        "_look_again",
        _Looks(lambda: file.write(line(30, outcome="failed")), lambda: file.write(line(31))),
    )

    ended = hookfuse("logs", "-f", "--json", *words)

    file.close()
    assert [json.loads(one)["position"] for one in ended.out.splitlines()] == numbers


def test_a_home_that_is_empty_at_first_is_followed(
    hookfuse: Hookfuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    monkeypatch.setattr(logs_command, "_look_again", _Looks(lambda: None, lambda: daemon_log(home.log).write(line())))

    assert hookfuse("logs", "-f", "--json").out.encode() == line()


def test_a_person_at_a_terminal_sees_short_ids_and_no_bar_between_lines(home: Home) -> None:
    home.log.write_bytes(line(level="warning") + b"\x1b[2Jrubbish\n")
    master, slave = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "--home", str(home.path), "logs"],
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=subprocess.PIPE,
        check=True,
    )
    os.close(slave)
    shown = os.read(master, 100_000).decode()
    os.close(master)
    assert done.stderr == b"hookfuse: 1 of 2 lines could not be read\n"
    assert f"  {INSTALLATION[:8]}  {DELIVERY}  " in shown
    assert "\x1b" not in shown
    assert "\\x1b[2Jrubbish" in shown


def test_the_format_file_for_lnav_is_where_it_is_said_to_be(hookfuse: Hookfuse) -> None:
    assert Path(hookfuse("logs", "--lnav-format").out.strip()).name == "hookfuse.lnav.json"
