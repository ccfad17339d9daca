"""What was damaged is not sent, and a daemon whose files are damaged or exchanged says so, and ends with 7."""

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.end_to_end.stage import LIMIT_S, PATIENT, Stage
from tests.end_to_end.waiting import wait_for_requests, wait_until


def _change(stage: Stage, statement: str, *parameters: object) -> None:
    with closing(sqlite3.connect(stage.home / "events.db", isolation_level=None)) as connection:
        assert connection.execute(statement, parameters).rowcount == 1


def _waiting(stage: Stage) -> list[str]:
    return [one["delivery_id"] for one in stage.json("deliveries")]


def test_a_payload_that_was_changed_while_it_waited_is_not_sent_and_the_others_go_on(stage: Stage) -> None:
    stage.apply({5: "/200", 6: "/204"})
    stage.send([(5, "issue.created"), (5, "issue.resolved"), (5, "issue.assigned"), (6, "issue.created")])
    first, changed, *others = _waiting(stage)
    _change(stage, "UPDATE queue SET data = replace(data, 'number', 'numbeR') WHERE delivery_id = ?", changed)

    with stage.daemon() as daemon:
        wait_until(lambda: len(stage.receiver.seen()) == 3, "a request for each of the others")
        wait_until(lambda: stage.look("deliveries", "--state", "dead"), "a dead delivery")
        assert daemon.poll() is None

    sent = {request["headers"]["webhook-id"] for request in stage.receiver.seen()}
    (dead,) = stage.json("deliveries", "--state", "dead")
    assert sent == {first, *others}
    assert (dead["delivery_id"], dead["last_error"]) == (changed, "damaged")
    (event,) = stage.json("events", "--type", "delivery.exhausted")
    assert (event["data"]["delivery_id"], event["data"]["error_class"]) == (changed, "damaged")


def test_what_was_queued_before_there_were_checksums_is_sent(stage: Stage) -> None:
    stage.apply({5: "/200"})
    stage.send([(5, "issue.created")])
    (waiting,) = _waiting(stage)
    _change(stage, "UPDATE queue SET checksum = NULL")

    stage.run("run", "--drain")

    assert [request["headers"]["webhook-id"] for request in stage.receiver.seen()] == [waiting]
    assert stage.json("deliveries") == []


def _exchanged_for_nothing(database: Path) -> None:
    (database.parent / "other").touch()
    (database.parent / "other").replace(database)


def _exchanged_for_a_foreign_one(database: Path) -> None:
    other = database.parent / "other"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE theirs (one)")
    other.replace(database)


def _exchanged_for_a_folder(database: Path) -> None:
    database.unlink()
    database.mkdir()


def _cut_off(database: Path) -> None:
    os.truncate(database, 4096)


def _written_over(database: Path) -> None:
    database.write_bytes(b"hello " * 10_000)


def _wal_removed(database: Path) -> None:
    database.with_name(f"{database.name}-wal").unlink()


def _wal_cut_off(database: Path) -> None:
    os.truncate(database.with_name(f"{database.name}-wal"), 0)


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        _exchanged_for_nothing,
        _exchanged_for_a_foreign_one,
        _exchanged_for_a_folder,
        _cut_off,
        _written_over,
        _wal_removed,
    ],
)
def test_a_daemon_whose_database_is_damaged_or_exchanged_ends_with_the_reason_and_so_does_who_looks(
    stage: Stage, damage: Callable[[Path], None]
) -> None:
    stage.configure(PATIENT)
    stage.apply({5: "/200", 6: "/200"})
    stage.receiver.answer_first(0)
    stage.send([(5, "issue.created"), (6, "issue.created")])
    with stage.daemon() as daemon:
        wait_for_requests(stage.receiver, 2)
        damage(stage.home / "events.db")
        stage.receiver.answer_first()  # so that there are outcomes to be recorded

        assert daemon.wait(LIMIT_S) == 7
        assert daemon.stderr is not None
        said = daemon.stderr.read()
    stopped = stage.log_lines()[-1]
    assert (stopped["event"], stopped["exit_code"]) == ("daemon_stopped", 7)
    assert "restart budget" not in said
    assert "events.db" in stopped["failure"]
    if damage is not _wal_removed:  # then the database is as it was with the last commit that was acknowledged
        assert stage.run("doctor", code=11).stdout.count("fault") >= 1
        assert "no home" not in stage.run("run", "--drain", code=7).stderr


def _truncated(mark: Path) -> None:
    os.truncate(mark, 0)


def test_a_daemon_whose_mark_is_cut_off_or_removed_makes_it_anew_and_goes_on(stage: Stage) -> None:
    stage.apply({5: "/200"})
    mark = stage.home / "events.db-mark"
    with stage.daemon() as daemon:
        damages: list[Callable[[Path], None]] = [_truncated, Path.unlink]
        for number, damage in enumerate(damages, start=1):
            damage(mark)
            stage.send([(5, "issue.created")])
            wait_for_requests(stage.receiver, number)
            wait_until(lambda: stage.look("deliveries") == [], "the delivery is done")
            assert daemon.poll() is None

    stage.run("doctor")


def test_what_was_in_a_wal_that_was_removed_before_a_kill_is_missed_by_the_next_start_and_by_producers(
    stage: Stage,
) -> None:
    stage.apply({5: "/200"})
    with stage.daemon() as daemon:
        stage.send([(5, "issue.created")] * 3)
        wait_until(lambda: stage.receiver.count() == 3 and stage.look("deliveries") == [], "all are done")
        daemon.send_signal(signal.SIGSTOP)  # so that it has no time to notice
        for name in ("events.db-wal", "events.db-shm"):
            (stage.home / name).unlink()
        daemon.kill()
        daemon.wait(LIMIT_S)

    for refused in (stage.run("run", "--drain", code=7), stage.run("send", "--batch", "-", code=7, text="{}")):
        assert "that it had" in refused.stderr
        assert "hookfuse accept-loss" in refused.stderr
    stage.run("doctor", code=11)
    stage.run("accept-loss", "--reason", "no backup")
    stage.run("doctor")
    assert stage.receiver.count() == 3
