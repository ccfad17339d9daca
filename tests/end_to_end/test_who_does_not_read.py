"""A real daemon beside those who do not read what it says, do not answer, or are stopped: its deliveries go on."""

import fcntl
import os
import signal
import socket
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from eventstore.common.shard import WHOLE
from eventstore.events.catalogue import MailSent
from eventstore.home.folder import Home
from eventstore.log.event_log import NewEvent, last_position
from eventstore.sqlite.database import wal_bytes
from eventstore.unit_of_work import Store
from tests.end_to_end.stage import LIMIT_S, Stage, installation_id
from tests.end_to_end.test_watching import Watcher
from tests.end_to_end.waiting import wait_for_requests, wait_until

_LISTEN = '[metrics]\nlisten = "127.0.0.1:0"\n'
_PROCESSES = pytest.mark.parametrize("processes", [1, 2])
_REPLACED = ("worker_silent", "worker_ended")
# So many warnings of a breaker that opens that they fill the pipe and each worker's queue.
_APPS = range(5, 1205)


@contextmanager
def _unread(stage: Stage, processes: int) -> Iterator[tuple[subprocess.Popen[bytes], int, Watcher]]:
    """Run a daemon whose standard error and output are a full pipe of 64 kB; lend its other end too."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 65_536)
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"." * 1024)
    except BlockingIOError:
        os.set_blocking(writer, True)
    command = stage.command("run", "--processes", str(processes))
    process = subprocess.Popen(command, stdout=writer, stderr=writer)
    os.close(writer)
    try:
        yield process, reader, Watcher(stage)
    finally:
        process.kill()
        process.wait(timeout=LIMIT_S)
        os.close(reader)


@_PROCESSES
def test_deliveries_go_on_while_nobody_reads_standard_error_and_what_is_dropped_is_said(
    stage: Stage, processes: int
) -> None:
    stage.configure(f"{_LISTEN}[breaker]\nstreak_min = 1\n[retry]\nschedule = []\n")
    stage.apply(dict.fromkeys(_APPS, "/500"))
    stage.send([(app, "issue.created") for app in _APPS])
    with _unread(stage, processes) as (daemon, reader, watcher):
        wait_for_requests(stage.receiver, len(_APPS))
        wait_until(lambda: _dropped(watcher) > 0, "some lines are dropped")
        assert watcher.health("/healthz")[0] == 200
        assert watcher.health("/readyz")[0] == 200
        wait_until(lambda: "lines of standard error" in _doctor(stage).get("daemon", ""), "doctor says so")
        opened = [line for line in stage.log_lines() if line["event"] == "breaker_opened"]
        assert len(opened) == len(_APPS)  # the file has them all

        said = bytearray()
        threading.Thread(target=_read_all, args=(reader, said), daemon=True).start()
        wait_until(lambda: b"were dropped here, as nobody read standard error" in said, "a line says so")
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(timeout=LIMIT_S) == 0

    told = [line["count"] for line in stage.log_lines() if line["event"] == "stderr_lines_dropped"]
    assert sum(told) > 0


def _read_all(descriptor: int, said: bytearray) -> None:
    while piece := os.read(descriptor, 65_536):
        said += piece


def _dropped(watcher: Watcher) -> float:
    return watcher.metrics()("hookfuse_stderr_dropped_lines_total")


def _doctor(stage: Stage) -> dict[str, str]:
    return {one["subject"]: one["text"] for one in stage.json("doctor") if one["level"] == "warning"}


@_PROCESSES
def test_a_daemon_that_nobody_reads_greets_works_and_ends(stage: Stage, processes: int) -> None:
    stage.apply({5: "/200"})
    with _unread(stage, processes) as (daemon, _, _watcher):
        stage.send([(5, "issue.created")])
        wait_until(stage.receiver.seen, "it is sent")
        daemon.send_signal(signal.SIGTERM)

        assert daemon.wait(timeout=LIMIT_S) == 0


def test_a_worker_that_is_stopped_is_killed_and_replaced_and_its_share_is_sent(stage: Stage) -> None:
    stage.configure(f"{_LISTEN}[daemon]\nworker_silence_s = 3\n")
    mine = next(app for app in range(5, 25) if WHOLE.shared_out(2)[1].owns(installation_id(app)))
    stage.apply({mine: "/200"})
    watcher = Watcher(stage)
    with stage.daemon("--processes", "2") as daemon:
        wait_until(watcher.is_ready, "the daemon is ready")
        stopped = Home(stage.home).ownership.worker_pids()[1]
        os.kill(stopped, signal.SIGSTOP)
        stage.send([(mine, "issue.created")])
        wait_until(stage.receiver.seen, "the one that replaces it sends what is queued")
        wait_until(watcher.is_ready, "all is well again")

        assert stopped not in Home(stage.home).ownership.worker_pids()
        assert watcher.metrics()("hookfuse_worker_restarts_total") >= 1
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(timeout=LIMIT_S) == 0
    # On a machine that is busy others too may be silent for so long.
    pids = {name: [line["pid"] for line in stage.log_lines() if line["event"] == name] for name in _REPLACED}
    assert all(pids[name].count(stopped) == 1 for name in _REPLACED)


@_PROCESSES
def test_no_probe_is_turned_away_by_silent_clients(stage: Stage, processes: int) -> None:
    stage.configure(_LISTEN)
    stage.apply({5: "/200"})
    watcher = Watcher(stage)
    with stage.daemon("--processes", str(processes)), ExitStack() as clients:
        wait_until(watcher.is_ready, "the daemon is ready")
        address = ("127.0.0.1", watcher.port())
        answers: list[Any] = []
        for _ in range(32):
            clients.enter_context(socket.create_connection(address, timeout=LIMIT_S))
            answers.append(watcher.health("/healthz")[0])

        assert answers == [200] * 32


@contextmanager
def _unread_command(stage: Stage, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command whose standard output nobody reads, until the pipe is full."""
    process = subprocess.Popen(stage.command(*arguments), stdout=subprocess.PIPE)
    assert process.stdout is not None
    full = fcntl.fcntl(process.stdout, fcntl.F_GETPIPE_SZ) - 8_192
    try:
        wait_until(lambda: _unread_bytes(process) > full, "nothing more fits into the pipe")
        yield process
    finally:
        process.kill()
        process.wait(timeout=LIMIT_S)
        process.stdout.close()


def _unread_bytes(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    (count,) = struct.unpack("i", fcntl.ioctl(process.stdout, termios.FIONREAD, b"\0" * 4))
    return int(count)


@pytest.mark.parametrize("arguments", [("export",), ("--json", "--limit", "100000")], ids=["export", "events"])
def test_history_that_nobody_reads_keeps_the_wal_from_nothing(stage: Stage, arguments: tuple[str, ...]) -> None:
    stage.apply({5: "/200"})
    events = [NewEvent("somebody", MailSent("m", 1))] * 3_000
    with Store(stage.home / "events.db") as store:
        with store.transaction() as transaction:
            transaction.append(*events)
            count = last_position(transaction.connection)
        with _unread_command(stage, "events", *arguments) as process:
            with store.transaction() as transaction:
                transaction.append(*events)
            busy, _, _ = store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            assert (busy, wal_bytes(stage.home / "events.db")) == (0, 0)
            said, _ = process.communicate(timeout=LIMIT_S)

    assert process.returncode == 0
    assert said.count(b"\n") == (count if arguments == ("export",) else count + 2)  # with the list's brackets


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_who_follows_the_log_into_a_pipe_that_nobody_reads_can_be_ended(stage: Stage, number: int, code: int) -> None:
    stage.apply({5: "/200"})
    (stage.home / "logs" / "hookfuse.jsonl").write_text('{"event": "delivery_attempted", "level": "info"}\n' * 10_000)
    with _unread_command(stage, "logs", "--follow", "--last", "10000", "--json") as process:
        process.send_signal(number)

        assert process.wait(timeout=LIMIT_S) == code
