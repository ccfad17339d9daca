"""History moves from home to home, beside a daemon at work and through a kill."""

import json
import signal
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from eventstore.home.folder import Home
from eventstore.log.event_log import read_events
from eventstore.unit_of_work import Store
from tests.end_to_end.history import fail_for_days
from tests.end_to_end.stage import Stage, installation_id
from tests.end_to_end.waiting import wait_until
from tests.eventstore.facts import record, succeeded
from tests.eventstore.histories import everything, tables

_APP = 5


def test_a_daemon_at_work_goes_on_with_the_history_it_is_given_once_it_has_the_secret(
    stage: Stage, tmp_path: Path
) -> None:
    stage.apply({_APP: "/200"})
    stage.send([(_APP, "issue.created")])
    stage.run("run", "--drain")
    stage.run("events", "export", "--to", str(tmp_path / "history.jsonl.gz"))
    other = replace(stage, home=tmp_path / "other")
    other.configure()
    secret = tmp_path / "secret"
    secret.write_text("the secret that the receiver knows")

    with other.daemon():
        wait_until(Home(other.home).ownership.daemon_pid, "the daemon runs")
        said = other.run("events", "import", str(tmp_path / "history.jsonl.gz")).stdout
        other.send([(_APP, "issue.resolved")])
        wait_until(lambda: "endpoint_unknown" in _log(other), "the daemon says what it lacks")
        waiting = other.json("deliveries")
        other.run("app", "rotate-secret", str(_APP), "--secret-from", str(secret))
        wait_until(lambda: not other.json("deliveries"), "it is delivered")

    assert "app 5 has no secret here: give it one with" in said
    assert "app 5 has no secret here: give it one with" in _log(other)
    assert [(one["state"], one["attempts"]) for one in waiting] == [("waiting", 0)]
    found = [
        (one["stream"], one["version"], one["type"]) for one in other.json("events", "--type", "delivery.succeeded")
    ]
    assert found == [(f"installation-{installation_id(_APP)}", version, "delivery.succeeded") for version in (2, 3)]
    assert other.json("status")["apps_without_secret"] == []


def _log(stage: Stage) -> str:
    path = stage.home / "logs" / "hookfuse.jsonl"
    return path.read_text() if path.exists() else ""


@pytest.mark.parametrize("written_bytes", [0, 100_000])
def test_an_import_that_is_killed_is_there_whole_or_not_at_all_and_can_be_repeated(
    stage: Stage, tmp_path: Path, written_bytes: int
) -> None:
    stage.apply({_APP: "/200"})
    with Store(stage.home / "events.db") as store:
        record(store, *[succeeded(app_id=_APP)] * 10_000, installation_id=installation_id(_APP))
    stage.run("events", "export", "--to", str(tmp_path / "history.jsonl"))
    other = replace(stage, home=tmp_path / "other")
    other.run("events", "import", "-", text="")
    before = everything(other.home / "events.db")

    log_in_advance = other.home / "events.db-wal"
    with subprocess.Popen(
        other.command("events", "import", str(tmp_path / "history.jsonl")), stdout=subprocess.DEVNULL
    ) as process:
        # It has opened the home and reads, or writes what it is about to commit.
        wait_until(lambda: process.poll() is not None or _size(log_in_advance) >= written_bytes, "it works")
        process.send_signal(signal.SIGKILL)

    is_whole = _tables(other.home) == _tables(stage.home)
    assert is_whole or everything(other.home / "events.db") == before
    summary = other.json("events", "import", str(tmp_path / "history.jsonl"))
    assert (summary["imported"], summary["skipped"]) == ((0, 10_004) if is_whole else (10_004, 0))
    assert _tables(other.home) == _tables(stage.home)


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return -1


def _tables(home: Path) -> dict[str, list[tuple[object, ...]]]:
    with Store(home / "events.db") as store:
        return tables(store.connection)


def test_the_evidence_and_the_mail_of_a_disabling_move_too(stage: Stage, tmp_path: Path) -> None:
    stage.apply({_APP: "/500"})
    fail_for_days(stage.home, _APP, days=3)
    stage.send([(_APP, "issue.created")])
    stage.run("run", "--drain")
    content = stage.run("events", "export").stdout
    other = replace(stage, home=tmp_path / "other")

    summary = json.loads(other.run("events", "import", "-", "--json", text=content).stdout)

    assert (summary["fault_count"], summary["given_up_mails"], summary["pending_mails"]) == (0, 0, 0)
    assert other.json("why", installation_id(_APP)) == stage.json("why", installation_id(_APP))
    assert other.json("why", installation_id(_APP))["state"] == "disabled"
    assert _tables(other.home) == _tables(stage.home)
    with Store(other.home / "events.db") as store:
        assert len(list(read_events(store.connection))) == content.count("\n")
