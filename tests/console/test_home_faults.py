import json
import random
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from console.shell.exit_codes import ExitCode
from tests.console.conftest import CHAT, PAGER, Hookfuse, World
from tests.console.shell.test_command_line import SCRIPT

READING = [
    ("status",),
    ("show", PAGER),
    ("requests",),
    ("audit",),
    ("events",),
    ("deliveries",),
    ("app", "secret", "5", "--to", "x"),
]
WRITING = [
    ("disable", PAGER, "--reason", "x"),
    ("enable", PAGER, "--reason", "x"),
    ("deliveries", "resend", "--installation", PAGER),
    ("deliveries", "drop", "x", "--reason", "x"),
    ("send", "--batch", "-"),
    ("send", "--installation", PAGER, "--event", "a.b", "--data", "-"),
]


@pytest.mark.parametrize("words", READING + WRITING, ids=" ".join)
def test_no_command_makes_a_home_that_was_mistyped(hookfuse: Hookfuse, tmp_path: Path, words: tuple[str, ...]) -> None:
    ended = hookfuse(*words, home=tmp_path / "hoem", stdin="{}")

    assert ended.code == ExitCode.HOME
    assert ended.err == (
        f"hookfuse: no home at {tmp_path / 'hoem'} (it does not exist): start the daemon or apply a registry first,"
        " or name another with --home or HOOKFUSE_HOME\n"
    )
    assert not (tmp_path / "hoem").exists()


def test_a_folder_that_is_no_home_is_left_alone(hookfuse: Hookfuse, tmp_path: Path) -> None:
    ended = hookfuse("status", home=tmp_path)

    assert ended.code == ExitCode.HOME
    assert "it is not a home" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_is_a_file_is_one_line(hookfuse: Hookfuse, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    (tmp_path / "registry.toml").write_text("")

    ended = hookfuse("apply", tmp_path / "registry.toml")

    assert ended.code == ExitCode.HOME
    assert (ended.out, ended.err.count("\n")) == ("", 1)
    assert f"home {tmp_path / 'home'} cannot be used" in ended.err


@pytest.mark.parametrize("words", READING[:-1] + WRITING[:4], ids=" ".join)
def test_a_file_that_is_no_database_is_one_line(hookfuse: Hookfuse, world: World, words: tuple[str, ...]) -> None:
    for path in world.home.path.glob("events.db*"):
        path.unlink()
    world.home.database.write_text("this is a shopping list, and not a database at all\n" * 100)

    ended = hookfuse(*words)

    assert ended.code == ExitCode.DATABASE
    assert (ended.out, ended.err.count("\n")) == ("", 1)
    assert f"{world.home.database}: this file is not a SQLite database" in ended.err


@pytest.mark.parametrize("words", [READING[0], WRITING[0]], ids=" ".join)
def test_a_database_of_a_newer_schema_is_one_line(hookfuse: Hookfuse, world: World, words: tuple[str, ...]) -> None:
    connection = sqlite3.connect(world.home.database)
    connection.execute("PRAGMA user_version = 999")
    connection.close()

    ended = hookfuse(*words)

    assert ended.code == ExitCode.DATABASE
    assert "the database has schema 999" in ended.err
    assert ended.err.count("\n") == 1


def test_a_full_disk_is_one_line_and_nothing_is_half_done(hookfuse: Hookfuse, world: World) -> None:
    before = hookfuse("events", "--json").out
    chance = random.Random(7)  # what is all alike is compressed, and fits
    data = [{"x": chance.randbytes(500).hex()} for _ in range(5_000)]
    lines = "".join(json.dumps({"installation": PAGER, "event": "a.b", "data": one}) + "\n" for one in data)

    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, "--home", str(world.home.path), "send", "--batch", "-"],
        input=lines.encode(),
        capture_output=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000)),
    )

    assert ended.returncode == ExitCode.DATABASE
    assert (ended.stdout, ended.stderr.count(b"\n")) == (b"", 1)
    assert b"nothing was changed" in ended.stderr
    assert hookfuse("events", "--json").out == before
    assert len(hookfuse("deliveries", "--json", "--limit", 10_000).json) == 5


def test_commands_work_while_a_daemon_holds_the_home(hookfuse: Hookfuse, world: World) -> None:
    with world.home.ownership.held():
        for words in READING[:-1]:
            assert hookfuse(*words).code == 0
        assert hookfuse("enable", CHAT, "--reason", "x").code == 0


def test_the_home_comes_from_the_environment(hookfuse: Hookfuse, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, "deliveries", "--json"],
        capture_output=True,
        check=False,
        env={"HOOKFUSE_HOME": str(world.home.path)},
    )

    assert ended.returncode == 0
    assert ended.stdout.count(b"\n") == 7


def test_a_producer_in_the_same_process_finds_the_home(hookfuse: Hookfuse, world: World) -> None:
    import os

    hookfuse("status")

    assert os.environ["HOOKFUSE_HOME"] == str(world.home.path)
