"""A daemon of several processes keeps the promises of one, whichever of them is killed."""

import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from eventstore.common.shard import WHOLE
from eventstore.home.folder import Home
from eventstore.queue.queries import read_deliveries
from eventstore.sqlite.database import open_database
from replay.check.log_check import check_log
from tests.end_to_end.history import fail_for_days
from tests.end_to_end.proof import insist_on_all, insist_on_one_disabling
from tests.end_to_end.stage import LIMIT_S, PATIENT, Stage, installation_id
from tests.end_to_end.waiting import hear, kill_moments, wait_for_requests, wait_until

_OWNERS = ("ann@acme.example", "bob@acme.example")
_STORY = ("open", "warning", "critical", "resolved")
_APPS = range(5, 25)


def _apps_of(number: int, count: int = 2) -> list[int]:
    return [app for app in _APPS if WHOLE.shared_out(count)[number - 1].owns(installation_id(app))]


@contextmanager
def _database(stage: Stage) -> Iterator[sqlite3.Connection]:
    connection = open_database(stage.home / "events.db", is_writer=False)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _worker_pool(stage: Stage, *arguments: str, count: int = 2) -> Iterator[subprocess.Popen[str]]:
    """Run a daemon of several processes; it is at work when the block begins."""
    with stage.daemon("--processes", str(count), *arguments) as daemon:
        wait_until(lambda: len(_started(stage)) >= count, "all workers have started")
        yield daemon


def _started(stage: Stage) -> list[dict[str, Any]]:
    return _lines(stage, "worker_started")


def _lines(stage: Stage, event: str) -> list[dict[str, Any]]:
    log = stage.home / "logs" / "hookfuse.jsonl"
    return [line for line in stage.log_lines() if line["event"] == event] if log.exists() else []


def _workers(stage: Stage) -> tuple[int, ...]:
    return Home(stage.home).ownership.worker_pids()


def _queue_two_thousand(stage: Stage, dice: random.Random) -> None:
    stage.apply({5: "/500", 8: "/500", 6: "/flaky", 9: "/flaky", **dict.fromkeys(_APPS[5:], "/200")}, owners=_OWNERS)
    for app in (5, 8):
        fail_for_days(stage.home, app, days=3)
    apps = [5] * 50 + [8] * 50 + [6] * 50 + [9] * 50 + [dice.choice(_APPS[5:]) for _ in range(1_800)]
    dice.shuffle(apps)
    stage.send([(app, "issue.created") for app in apps])


def _queued(connection: sqlite3.Connection) -> set[str]:
    return {delivery.delivery_id for delivery in read_deliveries(connection, limit=-1)}


@pytest.mark.parametrize("count", [2, 3])
def test_no_alert_overtakes_another_of_its_incident_whichever_worker_sends_it(stage: Stage, count: int) -> None:
    stage.apply(dict.fromkeys(_APPS[:8], "/random"))
    stage.configure(f"[retry]\nschedule = {[0] * 30}\n")
    lines = [
        {
            "installation": installation_id(app),
            "event": f"metric_alert.{status}",
            "data": {"incident": incident},
            "ordering_key": f"incident:{incident}",
        }
        for status in _STORY
        for incident in range(10)
        for app in _APPS[:8]
    ]
    stage.run("send", "--batch", "-", text="\n".join(json.dumps(line) for line in lines))

    stage.run("run", "--drain", "--processes", str(count))

    attempts = defaultdict(list)
    for request in stage.receiver.seen():
        body = json.loads(request["body"])
        attempts[body["installation"]["uuid"], body["data"]["incident"]].append(body["action"])
    assert len(attempts) == 80
    assert all(list(dict.fromkeys(actions)) == list(_STORY) for actions in attempts.values())
    assert all(actions == sorted(actions, key=_STORY.index) for actions in attempts.values())
    assert stage.json("deliveries") == []
    senders = {line["worker"] for line in _lines(stage, "delivery_attempted")}
    assert senders == set(range(1, count + 1))


def test_two_thousand_deliveries_survive_workers_that_are_killed_at_random_moments(stage: Stage) -> None:
    dice = random.Random(1)
    _queue_two_thousand(stage, dice)
    stage.configure(PATIENT + "[retry]\nschedule = [0, 0, 0]\n[daemon]\nrestarts = 1000\n")
    with _database(stage) as connection:
        queued = _queued(connection)
        assert len(queued) == 2_000
        killed: set[int] = set()
        stage.receiver.answer_first(0)  # nothing is delivered before the first moment is chosen
        with _worker_pool(stage, "--drain") as daemon:
            for moment in kill_moments(stage.receiver, dice, kills=13):
                wait_for_requests(stage.receiver, moment)
                _kill_one(stage, dice, killed)
            assert daemon.wait(LIMIT_S) == 0

        assert len(_lines(stage, "worker_ended")) == len(killed) == 13
        insist_on_all(connection, stage, queued)
        for app in (5, 8):
            insist_on_one_disabling(connection, app, _OWNERS)


def _kill_one(stage: Stage, dice: random.Random, killed: set[int]) -> None:
    wait_until(lambda: set(_workers(stage)) - killed, "there is a worker that was not killed yet")
    worker = dice.choice(sorted(set(_workers(stage)) - killed))
    os.kill(worker, signal.SIGKILL)
    killed.add(worker)


def test_a_worker_that_is_killed_is_back_and_the_other_goes_on_untouched(stage: Stage) -> None:
    stage.apply(dict.fromkeys(_APPS, "/200"))
    mine, others = _apps_of(1)[0], _apps_of(2)[0]
    with _worker_pool(stage) as daemon:
        wait_until(lambda: len(stage.look("status")["worker_pids"]) == 2, "two workers are shown")
        first, second = stage.json("status")["worker_pids"]
        os.kill(first, signal.SIGKILL)
        stage.send([(mine, "issue.created"), (others, "issue.created")])
        wait_until(lambda: len(stage.receiver.seen()) == 2, "both are delivered")

        shown = stage.json("status")
        assert shown["daemon_pid"] == daemon.pid
        assert shown["worker_pids"][1] == second
        assert shown["worker_pids"][0] not in (first, second)
    (ended,) = _lines(stage, "worker_ended")
    assert (ended["worker"], ended["pid"], ended["reason"], ended["done"]) == (
        1,
        first,
        "killed by SIGKILL",
        "started again",
    )


def test_a_worker_that_is_started_again_has_the_settings_of_the_first_start(stage: Stage) -> None:
    stage.apply(dict.fromkeys(_APPS, "/200"))
    with _worker_pool(stage) as daemon:
        (stage.home / "hookfuse.toml").write_text("this is not TOML")
        os.kill(_workers(stage)[0], signal.SIGKILL)
        wait_until(lambda: len(_started(stage)) == 3, "the worker is back")
        stage.configure()
        stage.send([(app, "issue.created") for app in _APPS])
        wait_until(lambda: len(stage.receiver.seen()) == len(_APPS), "all are delivered")

        daemon.terminate()
        assert daemon.wait(LIMIT_S) == 0


def test_a_daemon_that_is_killed_takes_its_workers_along_and_the_next_one_loses_nothing(stage: Stage) -> None:
    dice = random.Random(3)
    _queue_two_thousand(stage, dice)
    stage.configure(PATIENT + "[retry]\nschedule = [0, 0, 0]\n")
    with _database(stage) as connection:
        queued = _queued(connection)
        counts = (2, 3, 2, 3, 1, 2)
        for count, moment in zip(counts, kill_moments(stage.receiver, dice, len(counts)), strict=True):
            with stage.daemon("--drain", "--processes", str(count)) as daemon:
                wait_for_requests(stage.receiver, moment)
                daemon.kill()
                assert daemon.wait(LIMIT_S) == -signal.SIGKILL, "it was over before"
        stage.run("run", "--drain", "--processes", "2")

        insist_on_all(connection, stage, queued)
        for app in (5, 8):
            insist_on_one_disabling(connection, app, _OWNERS)
    _insist_on_one_daemon_at_a_time(stage)


def _insist_on_one_daemon_at_a_time(stage: Stage) -> None:
    """By the log, to which all append: from a daemon's start to its first worker's nobody attempts anything."""
    is_between = False
    for line in stage.log_lines():
        if line["event"] == "daemon_started":
            is_between = line["processes"] > 1
        elif line["event"] == "worker_started":
            is_between = False
        assert not (is_between and line["event"] == "delivery_attempted"), "a worker of the daemon before still sends"


def test_what_both_workers_find_broken_is_disabled_once_and_the_mails_of_both_are_sent(stage: Stage) -> None:
    broken = (_apps_of(1)[0], _apps_of(2)[0])
    stage.apply(dict.fromkeys(broken, "/500"), owners=_OWNERS)
    stage.configure("[retry]\nschedule = []\n[warnings]\nenabled = false\n")
    for app in broken:
        fail_for_days(stage.home, app, days=3)
    with _worker_pool(stage):
        stage.send([(app, "issue.created") for app in broken] * 20)
        wait_until(lambda: len(stage.mail_server.seen()) == 4, "two mails for each of the two")
        wait_until(lambda: stage.look("status")["deliveries"]["waiting"] == 0, "all is recorded")

    with _database(stage) as connection:
        for app in broken:
            insist_on_one_disabling(connection, app, _OWNERS)
    disabled_by = {line["worker"] for line in _lines(stage, "sentryapp.disabled")}
    mailed_by = {line["worker"] for line in _lines(stage, "mail.sent")}
    assert (disabled_by, mailed_by) == ({1, 2}, {1})


def test_an_outage_that_no_worker_sees_wholly_freezes_and_thaws_for_all(stage: Stage) -> None:
    failing = [*_apps_of(1)[:2], *_apps_of(2)[:2]]
    stage.apply(dict.fromkeys(failing, "/told"))
    stage.configure("[retry]\nschedule = [0.2]\njitter = 0\n[outage]\ninstallations_min = 4\n")
    stage.receiver.tell(500)
    with _worker_pool(stage):
        stage.send([(app, "issue.created") for app in failing])
        wait_until(lambda: stage.look("status")["outage"]["is_frozen"], "it is frozen")
        stage.receiver.tell(200)
        stage.send([(app, "issue.created") for app in failing])
        wait_until(lambda: not stage.look("status")["outage"]["is_frozen"], "it is thawed")

    (frozen,) = stage.json("events", "--type", "disabling.frozen")
    assert frozen["data"]["newly_failing"] == 4
    assert [(line["worker"], line["newly_failing"]) for line in _lines(stage, "disabling_frozen")] == [(1, 4)]
    assert len(stage.json("events", "--type", "disabling.thawed")) == 1


def test_it_is_drained_when_all_shares_are_and_the_mails_are_out(stage: Stage) -> None:
    gone = _apps_of(2, count=3)[0]
    stage.apply(dict.fromkeys(_APPS, "/flaky") | {gone: "/410"}, owners=_OWNERS)
    stage.configure("[retry]\nschedule = [0, 0, 0, 0, 0]\n")
    stage.send([(app, "issue.created") for app in _APPS] * 10)

    stage.run("run", "--drain", "--processes", "3")

    found = stage.json("status")
    assert (found["deliveries"]["waiting"], found["mails"]["requested"], found["mails"]["sent"]) == (0, 0, 2)
    assert {line["worker"] for line in _lines(stage, "delivery_attempted")} == {1, 2, 3}
    assert (found["is_running"], found["worker_pids"]) == (False, [])


def test_workers_that_end_more_often_than_the_budget_allows_end_the_daemon_with_8(stage: Stage) -> None:
    stage.apply(dict.fromkeys(_APPS, "/200"))
    stage.configure("[daemon]\nrestarts = 1\n")
    stage.send([(app, "issue.created") for app in _APPS])
    with _worker_pool(stage) as daemon:
        os.kill(_workers(stage)[1], signal.SIGKILL)
        wait_until(lambda: len(_started(stage)) == 3, "the worker is back")
        os.kill(_workers(stage)[1], signal.SIGKILL)

        assert daemon.wait(LIMIT_S) == 8
        assert daemon.stderr is not None
        assert "worker 2 ended (killed by SIGKILL), and the restart budget is used up" in daemon.stderr.read()
    assert [line["worker"] for line in _lines(stage, "worker_stopped")] == [1]
    assert check_log(stage.home / "events.db").faults == ()


def test_another_number_of_processes_takes_all_over(stage: Stage) -> None:
    stage.apply(dict.fromkeys(_APPS, "/told"))
    stage.configure(f"[retry]\nschedule = {[1] * 30}\njitter = 0\n[outage]\nenabled = false\n")
    stage.receiver.tell(500)
    stage.send([(app, "issue.created") for app in _APPS] * 3)
    with _worker_pool(stage) as daemon:
        wait_until(lambda: len(stage.receiver.seen()) >= 60, "each was tried once")
        daemon.terminate()
        assert daemon.wait(LIMIT_S) == 0
    stage.receiver.tell(200)
    with stage.daemon("--processes", "3"):
        wait_until(lambda: stage.look("status")["deliveries"]["waiting"] == 0, "each was tried again")

    assert check_log(stage.home / "events.db").faults == ()
    succeeded = stage.json("events", "--type", "delivery.succeeded", "--limit", "1000")
    senders = defaultdict(set)
    for line in _lines(stage, "delivery_attempted"):
        senders[line["installation_id"]].add(line["worker"])
    assert len({event["data"]["delivery_id"] for event in succeeded}) == 60
    assert {len(workers) for workers in senders.values()} == {1, 2}, "some have another worker now"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("is_group", [False, True])
def test_a_signal_to_the_daemon_or_to_all_its_processes_lets_what_is_in_flight_finish(
    stage: Stage, systemd: socket.socket, number: signal.Signals, is_group: bool
) -> None:
    slow = (_apps_of(1)[0], _apps_of(2)[0])
    stage.apply(dict.fromkeys(slow, "/200"))
    stage.configure(f"{PATIENT}[daemon]\nstop_s = {LIMIT_S}\n")
    stage.receiver.answer_first(0)
    stage.send([(app, "issue.created") for app in slow])
    with _worker_pool(stage) as daemon:
        wait_for_requests(stage.receiver, 2)
        for pid in (daemon.pid, *(_workers(stage) if is_group else ())):
            os.kill(pid, number)
        hear(systemd, "STOPPING=1")
        stage.receiver.answer_first()

        assert daemon.wait(LIMIT_S) == 0

    assert len(stage.json("events", "--type", "delivery.succeeded")) == 2
    assert len(_lines(stage, "worker_stopped")) == 2
    assert _lines(stage, "worker_ended") == []


def test_a_second_signal_ends_the_daemon_and_its_workers_at_once(stage: Stage) -> None:
    hanging = (_apps_of(1)[0], _apps_of(2)[0])
    stage.apply(dict.fromkeys(hanging, "/hang"))
    stage.configure(PATIENT)
    stage.send([(app, "issue.created") for app in hanging])
    with _worker_pool(stage) as daemon:
        wait_until(lambda: len(stage.receiver.seen()) == 2, "the requests are in flight")
        watches = [os.pidfd_open(pid) for pid in _workers(stage)]
        daemon.terminate()
        wait_until(lambda: daemon.poll() is not None or _tell_again(daemon), "it has ended")

        assert daemon.returncode == 128 + signal.SIGTERM
        wait_until(lambda: all(_is_over(watch) for watch in watches), "its workers have ended")
        for watch in watches:
            os.close(watch)
    assert stage.json("status")["deliveries"]["waiting"] == 2


def _tell_again(daemon: subprocess.Popen[str]) -> bool:
    daemon.terminate()
    return daemon.poll() is not None


def _is_over(watch: int) -> bool:
    import select

    return bool(select.select([watch], [], [], 0)[0])


def test_a_second_daemon_is_refused_beside_a_crew_and_a_worker_by_hand_too(stage: Stage) -> None:
    stage.apply(dict.fromkeys(_APPS, "/200"))
    with _worker_pool(stage) as daemon:
        refused = stage.run("run", "--processes", "2", code=6)
        by_hand = stage.run("worker", "--number", "1", "--of", "2", code=2)

        assert f"process {daemon.pid}" in refused.stderr
        assert "starts the workers, and nobody else" in by_hand.stderr
        assert daemon.poll() is None


def test_a_crew_whose_database_is_taken_away_says_so_and_ends(stage: Stage) -> None:
    stage.apply(dict.fromkeys(_APPS, "/200"))
    with _worker_pool(stage) as daemon:
        (stage.home / "events.db").unlink()

        assert daemon.wait(LIMIT_S) == 7
        assert daemon.stderr is not None
        assert "was removed or replaced" in daemon.stderr.read()


def test_how_many_processes_there_are_is_a_setting_that_the_option_overrules(stage: Stage) -> None:
    stage.apply(dict.fromkeys(_APPS, "/200"))
    stage.configure("[daemon]\nprocesses = 3\n")
    stage.run("run", "--drain")
    by_setting = len(_started(stage))
    stage.run("run", "--drain", "--processes", "1")

    assert by_setting == 3
    assert len(_started(stage)) == 3
    assert [line["processes"] for line in _lines(stage, "daemon_started")] == [3, 1]
