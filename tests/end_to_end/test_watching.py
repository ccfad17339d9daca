"""A real daemon, of one process and of two, as those who watch it see it: over HTTP, by UDP, and as systemd does."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from eventstore.common.shard import WHOLE
from eventstore.home.folder import Home
from tests.end_to_end.stage import LIMIT_S, PATIENT, Stage, installation_id
from tests.end_to_end.waiting import hear, wait_for_requests, wait_until
from tests.exposition import Exposition

_LISTEN = '[metrics]\nlisten = "127.0.0.1:0"\n'
_PROCESSES = pytest.mark.parametrize("processes", [1, 2])


class Watcher:
    """Who scrapes a daemon, and finds its port in the log."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def port(self) -> int:
        lines = [line for line in self._stage.log_lines() if line["event"] == "observer_listening"]
        return int(lines[-1]["port"])

    def metrics(self) -> Exposition:
        with urlopen(f"http://127.0.0.1:{self.port()}/metrics", timeout=LIMIT_S) as answer:
            return Exposition(answer.read())

    def health(self, path: str) -> tuple[int, dict[str, str]]:
        try:
            with urlopen(f"http://127.0.0.1:{self.port()}{path}", timeout=LIMIT_S) as answer:
                return answer.status, json.loads(answer.read())
        except HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def is_ready(self) -> bool:
        log = self._stage.home / "logs" / "hookfuse.jsonl"
        if not log.exists() or "observer_listening" not in log.read_text():
            return False
        return self.health("/readyz")[0] == 200


@contextmanager
def _watched(stage: Stage, processes: int, *arguments: str) -> Iterator[tuple[Any, Watcher]]:
    watcher = Watcher(stage)
    with stage.daemon("--processes", str(processes), *arguments) as daemon:
        wait_until(watcher.is_ready, "the daemon is ready")
        yield daemon, watcher


def _apps_of(number: int) -> list[int]:
    return [app for app in range(5, 25) if WHOLE.shared_out(2)[number - 1].owns(installation_id(app))]


@_PROCESSES
def test_the_numbers_of_a_scrape_are_those_of_what_was_sent(stage: Stage, processes: int) -> None:
    good, bad = [_apps_of(1)[0], _apps_of(2)[0]], _apps_of(1)[1]
    stage.apply({**dict.fromkeys(good, "/200"), bad: "/500"})
    stage.configure("[retry]\nschedule = [0, 0]\n" + _LISTEN)
    with _watched(stage, processes) as (_, watcher):
        before = watcher.metrics()
        stage.send([(app, "issue.created") for app in good * 10 + [bad] * 4])
        wait_until(
            lambda: watcher.metrics()("hookfuse_events_total", type="delivery.exhausted") == 4, "the last is given up"
        )
        wait_until(
            lambda: watcher.metrics()("hookfuse_events_total", type="delivery.succeeded") == 20, "all is counted"
        )
        after = watcher.metrics()
        shown = stage.json("status")

    assert before.by("hookfuse_attempts_total", "outcome") == {}
    assert after("hookfuse_attempts_total", outcome="succeeded") == 20
    assert after("hookfuse_attempts_total", outcome="failed", error_class="server_error") == 12
    assert after("hookfuse_retries_total") == 8
    assert after("hookfuse_attempt_seconds_count", outcome="succeeded") == 20
    assert after("hookfuse_commit_events_sum") == shown["last_position"] - before("hookfuse_last_position")
    assert after.by("hookfuse_queue_deliveries", "state") == {"dead": 4}
    assert after("hookfuse_installations", state="active") == 3
    assert after("hookfuse_actor_crashes_total") == after("hookfuse_worker_restarts_total") == 0
    assert len(stage.receiver.seen()) == 32


@_PROCESSES
def test_a_backlog_shows_with_its_age_and_the_actors_that_are_at_it(stage: Stage, processes: int) -> None:
    apps = [_apps_of(1)[0], _apps_of(2)[0]]
    stage.apply(dict.fromkeys(apps, "/told"))
    stage.receiver.tell(500)
    stage.configure("[retry]\nschedule = [3600]\n" + _LISTEN)
    with _watched(stage, processes) as (_, watcher):
        idle = watcher.metrics()("hookfuse_actors")
        stage.send([(app, "issue.created") for app in apps])
        wait_until(lambda: watcher.metrics()("hookfuse_attempts_total", outcome="failed") == 2, "both have failed")
        wait_until(lambda: watcher.metrics()("hookfuse_actors") == idle + 2, "two more actors are alive")
        found = watcher.metrics()

    assert found("hookfuse_queue_deliveries", state="waiting") == 2
    assert found("hookfuse_queue_oldest_waiting_seconds") > 0
    assert found("hookfuse_queue_overdue_seconds") == 0  # as they wait for their next attempt


@_PROCESSES
def test_while_it_stops_it_is_alive_and_not_ready(stage: Stage, processes: int) -> None:
    stage.apply({5: "/hang"})
    stage.configure(f"{PATIENT}[daemon]\nstop_s = {LIMIT_S}\n{_LISTEN}")
    with _watched(stage, processes) as (daemon, watcher):
        stage.send([(5, "issue.created")])
        wait_for_requests(stage.receiver, 1)
        daemon.send_signal(signal.SIGTERM)
        wait_until(lambda: watcher.health("/readyz")[0] == 503, "it says that it is not ready")
        readiness, liveness = watcher.health("/readyz"), watcher.health("/healthz")
        assert daemon.poll() is None

        assert readiness[1]["stop"] == "under way"
        assert liveness[0] == 200


def test_a_worker_that_is_killed_shows_as_a_share_that_nobody_looks_after_and_then_as_a_restart(stage: Stage) -> None:
    stage.apply({5: "/200"})
    stage.configure("[daemon]\nrestarts = 1000\n" + _LISTEN)
    with _watched(stage, 2) as (_, watcher):
        actors = watcher.metrics()("hookfuse_actors")
        killed: set[int] = set()
        # It may be back before we look: then once more.
        wait_until(lambda: _kill_first(stage, killed) and _is_missed(watcher), "one is missed")
        assert watcher.health("/healthz")[0] == 200
        wait_until(watcher.is_ready, "it is back")
        found = watcher.metrics()

    assert found("hookfuse_worker_restarts_total") == len(killed)
    assert found("hookfuse_actors") == actors


def _kill_first(stage: Stage, killed: set[int]) -> bool:
    """Kill the first worker if it is one that was not killed yet."""
    first = Home(stage.home).ownership.worker_pids()[:1]
    for pid in set(first) - killed:
        os.kill(pid, signal.SIGKILL)
        killed.add(pid)
    return True


def _is_missed(watcher: Watcher) -> bool:
    return watcher.health("/readyz")[1]["shares"] == "1 of 2 have a worker"


def test_a_port_that_is_taken_is_one_line_and_exit_code_3_before_anything_is_sent(stage: Stage) -> None:
    stage.apply({5: "/200"})
    stage.send([(5, "issue.created")])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stage.configure(f'[metrics]\nlisten = "127.0.0.1:{port}"\n')
        for processes in ("1", "2"):
            done = stage.run("run", "--drain", "--processes", processes, code=3)

            assert (
                done.stderr.splitlines()[-1] == f"hookfuse: [metrics] listen 127.0.0.1:{port}: Address already in use"
            )
            assert "Traceback" not in done.stderr
    assert stage.receiver.seen() == []


@_PROCESSES
def test_a_run_that_drains_sends_all_its_counts_by_statsd(stage: Stage, processes: int) -> None:
    stage.apply({5: "/200", 6: "/500"})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        stage.configure(f'[retry]\nschedule = []\n[statsd]\naddress = "127.0.0.1:{receiver.getsockname()[1]}"\n')
        stage.send([(5, "metric_alert.critical"), (6, "issue.created")])
        stage.run("run", "--drain", "--processes", str(processes))
        heard = _received(receiver)

    assert sorted(heard) == [
        "integration-platform.http_response:1|c|#status:200,integration:internal,webhook_event:metric_alert.critical",
        "integration-platform.http_response:1|c|#status:500,integration:internal,webhook_event:issue.created",
        "notifications.sent:1|c|#instance:app-5",
    ]


def _received(receiver: socket.socket) -> list[str]:
    """Return the lines of all packets; those of a process that has ended are there."""
    lines: list[str] = []
    receiver.setblocking(False)
    while True:
        try:
            lines += receiver.recv(65_536).decode().split("\n")
        except BlockingIOError:
            return lines


@_PROCESSES
def test_systemd_hears_when_it_is_ready_that_it_lives_and_when_it_stops(
    stage: Stage, systemd: socket.socket, processes: int
) -> None:
    stage.apply({5: "/200"})
    with stage.daemon("--processes", str(processes)) as daemon:
        heard = hear(systemd, "READY=1")
        assert heard[-1] == f"READY=1\nMAINPID={daemon.pid}"
        assert stage.json("status")["daemon_pid"] == daemon.pid
        heard += hear(systemd, "WATCHDOG=1")
        daemon.send_signal(signal.SIGTERM)
        heard += hear(systemd, "STOPPING=1")
        assert daemon.wait(LIMIT_S) == 0

    assert {message.partition("\n")[0] for message in heard} == {"READY=1", "WATCHDOG=1", "STOPPING=1"}


def test_a_copy_made_beside_a_daemon_is_restored_elsewhere_and_sends_what_was_in_flight(
    stage: Stage, tmp_path: Path
) -> None:
    stage.apply({5: "/hang", 6: "/200"})
    stage.configure(PATIENT + _LISTEN)
    with _watched(stage, 1) as (_, watcher):
        stage.send([(5, "issue.created"), (6, "issue.created")])
        wait_until(lambda: watcher.metrics()("hookfuse_attempts_total", outcome="succeeded") == 1, "one is delivered")
        wait_until(lambda: len(stage.receiver.seen()) == 2, "the other is in flight")
        stage.run("backup", str(tmp_path / "copy.db"))
    other = Stage(tmp_path / "other", stage.receiver, stage.mail_server)
    other.configure()
    other.run("restore", str(tmp_path / "copy.db"))
    other.apply({5: "/200", 6: "/200"})
    other.run("run", "--drain")

    first, second, third = sorted(stage.receiver.seen(), key=lambda request: request["path"], reverse=True)
    ids = [request["headers"]["webhook-id"] for request in (first, second, third)]
    assert [request["path"] for request in (first, second, third)] == ["/hang", "/200", "/200"]
    assert ids[0] in ids[1:]
    assert ids[1] != ids[2]
    assert len(other.json("events", "--type", "delivery.succeeded")) == 2
    assert other.json("deliveries") == []
