"""Rebuilds beside a daemon at work, and rebuilds that are killed."""

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from benchmarks.history import Shape, write_history
from eventstore.deliveries.producer import Producer
from eventstore.home.folder import Home
from eventstore.queue.delivery import NewDelivery
from eventstore.queue.queries import count_deliveries
from eventstore.sqlite.database import open_database
from replay.check.verification import verify
from replay.rebuild.rebuild import rebuild
from tests.end_to_end.proof import insist_on_all
from tests.end_to_end.stage import LIMIT_S, Stage, installation_id
from tests.end_to_end.waiting import wait_until

_ROOT = Path(__file__).parent.parent.parent
# What somebody may do to a home at work without changing where and what is sent.
_DAMAGES = (
    "DELETE FROM buffer",
    "UPDATE buffer SET success = success + 7",
    "DELETE FROM request_log",
    "UPDATE request_log SET is_error = NOT is_error",
    "DROP TABLE audit",
    "UPDATE queue SET state = 'missed' WHERE state = 'dead'",
    "UPDATE queue SET last_error = 'x' WHERE state = 'dead'",
)
_KILLED_INSIDE = """
import os, signal, sys
from pathlib import Path
from replay.rebuild import rebuild as module
repair, count = module.repair, 0
def repair_and_die(connection, table):
    global count
    done = repair(connection, table)
    count += done.rows
    if count:
        os.kill(os.getpid(), signal.SIGKILL)
    return done
module.repair = repair_and_die
module.rebuild(Path(sys.argv[1]))
"""
# A moment: SQLite begins a statement, or has done so many more steps of one.
# Prints at which moment the live tables began to be written, and how many there were.
_KILLED_AT_A_MOMENT = """
import os, signal, sqlite3, sys
from pathlib import Path
from replay.rebuild.rebuild import rebuild
connect, moments, writing, last = sqlite3.connect, 0, 0, int(sys.argv[2])
def count(statement=""):
    global moments, writing
    moments += 1
    writing = moments if statement == "BEGIN IMMEDIATE" else writing
    if moments == last:
        os.kill(os.getpid(), signal.SIGKILL)
def connect_and_count(*arguments, **options):
    connection = connect(*arguments, **options)
    connection.set_trace_callback(count)
    connection.set_progress_handler(count, 10_000)
    return connection
sqlite3.connect = connect_and_count
rebuild(Path(sys.argv[1]))
print(writing, moments)
"""


@contextmanager
def _database(stage: Stage) -> Iterator[sqlite3.Connection]:
    with closing(open_database(stage.home / "events.db", is_writer=True)) as connection:
        yield connection


def _waiting(connection: sqlite3.Connection) -> int:
    return count_deliveries(connection)["waiting"]


def test_while_a_daemon_delivers_rebuilds_lose_nothing_and_all_is_in_step(stage: Stage) -> None:
    dice = random.Random(7)
    stage.apply({5: "/500", 6: "/flaky", **dict.fromkeys(range(7, 12), "/200")})
    stage.configure('[retry]\nschedule = [0, 0]\n[disabling]\napps = "internal"\n')
    queued: set[str] = set()
    rounds = repaired = 0

    with _database(stage) as connection, stage.daemon() as daemon, Producer(Home(stage.home)) as producer:
        # However fast it delivers, there is something to deliver until enough was repaired beside it.
        while repaired < 3 or _waiting(connection):
            while repaired < 3 and _waiting(connection) < 1_000:
                apps = [dice.choice((5, 6, 7, 8, 9, 10, 11)) for _ in range(500)]
                queued |= set(producer.send([NewDelivery(installation_id(app), "issue.created", "{}") for app in apps]))
            assert rounds < 100, f"in {rounds} rounds {repaired} tables were repaired"
            with suppress(sqlite3.OperationalError):  # a table that was dropped may not be there
                connection.execute(_DAMAGES[rounds % len(_DAMAGES)])
            repaired += len(stage.json("replay", "rebuild")["repaired"])
            rounds += 1
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(LIMIT_S) == 0, daemon.stderr.read() if daemon.stderr else ""
        stage.run("replay", "rebuild")

        insist_on_all(connection, stage, queued)

    assert "no difference" in stage.run("replay", "verify", "--log").stdout


def test_a_daemon_at_work_notices_that_its_registry_was_mended(stage: Stage) -> None:
    stage.apply({5: "/200"})
    with _database(stage) as connection, stage.daemon() as _:
        stage.send([(5, "issue.created")])
        wait_until(lambda: not _waiting(connection), "the first was delivered")
        connection.execute("UPDATE installations SET state = 'disabled'")
        connection.execute("UPDATE attention SET version = version + 1")
        stage.run("replay", "rebuild")
        stage.send([(5, "issue.created")])
        wait_until(lambda: not _waiting(connection), "the second was looked at")

        assert len(stage.json("events", "--type", "delivery.succeeded")) == 2


@pytest.fixture
def damaged_home(tmp_path: Path) -> Path:
    home = Home(tmp_path / "home")
    write_history(home, Shape(events=5_000, installations=200, failing=0.3, days=10))
    rebuild(home.database)
    with closing(sqlite3.connect(home.database, isolation_level=None)) as connection:
        connection.execute("UPDATE buffer SET success = success + 1")
        connection.execute("DELETE FROM request_log WHERE position % 2")
        connection.execute("UPDATE apps SET name = 'changed'")
    return home.database


def _tables(database: Path) -> list[list[tuple[object, ...]]]:
    with closing(sqlite3.connect(database)) as connection:
        return [
            sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr)
            for table in ("buffer", "request_log", "apps", "queue", "attention")
        ]


def test_a_rebuild_that_is_killed_leaves_the_live_tables_as_they_were(damaged_home: Path) -> None:
    before = _tables(damaged_home)

    ended = subprocess.run([sys.executable, "-c", _KILLED_INSIDE, str(damaged_home)], cwd=_ROOT, check=False)

    assert ended.returncode == -signal.SIGKILL
    assert _tables(damaged_home) == before
    assert len(rebuild(damaged_home).repaired) == 3
    assert verify(damaged_home).differences == ()


def _rebuild_killed_at(database: Path, moment: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _KILLED_AT_A_MOMENT, str(database), str(moment)]
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)


def test_a_rebuild_that_is_killed_at_any_moment_is_done_or_not_at_all(damaged_home: Path, tmp_path: Path) -> None:
    dice, before = random.Random(3), _tables(damaged_home)
    whole = shutil.copytree(damaged_home.parent, tmp_path / "whole") / damaged_home.name
    writing, last = map(int, _rebuild_killed_at(whole, moment=0).stdout.split())
    outcomes = []

    for moment in (*sorted(dice.sample(range(1, writing), 3) + dice.sample(range(writing, last), 6)), last):
        ended = _rebuild_killed_at(damaged_home, moment)
        assert ended.returncode == -signal.SIGKILL
        outcomes.append(_tables(damaged_home) == before)
        if not outcomes[-1]:
            assert verify(damaged_home).differences == ()
            break

    assert outcomes == [*[True] * (len(outcomes) - 1), False], "it is not done at once, and is in the end"
    assert not list(damaged_home.parent.glob("*journal*"))
