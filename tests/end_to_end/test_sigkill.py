"""A daemon that is killed again and again loses nothing and counts nothing twice."""

import random
import signal
import sqlite3
import subprocess
from collections import Counter
from contextlib import suppress

import pytest

from eventstore.database import open_database
from eventstore.log import chain_hash
from replay import compare_buffer
from tests.end_to_end.history import fail_for_days
from tests.end_to_end.stage import Stage, installation_id

_OWNERS = ("ann@acme.example", "bob@acme.example")
_FINAL = ("delivery.succeeded", "delivery.exhausted", "delivery.missed")
_BROKEN, _FLAKY, _HEALTHY = 5, 6, tuple(range(7, 25))


@pytest.mark.parametrize("seed", [1, 2])
def test_two_thousand_deliveries_survive_being_killed_at_random_moments(stage: Stage, seed: int) -> None:
    dice = random.Random(seed)
    stage.apply({_BROKEN: "/500", _FLAKY: "/flaky", **dict.fromkeys(_HEALTHY, "/200")}, owners=_OWNERS)
    stage.configure("[retry]\nschedule = [0, 0, 0]\n")
    fail_for_days(stage.home, _BROKEN, days=3)
    apps = [_BROKEN] * 100 + [_FLAKY] * 100 + [dice.choice(_HEALTHY) for _ in range(1_800)]
    dice.shuffle(apps)
    stage.send([(app, "issue.created") for app in apps])
    connection = open_database(stage.home / "events.db", is_writer=False)
    queued = {row[0] for row in connection.execute("SELECT delivery_id FROM queue")}

    kills = 0
    while kills < 12 and connection.execute("SELECT count(*) FROM queue WHERE state = 'waiting'").fetchone()[0]:
        kills += _run_and_kill(stage, after_s=dice.uniform(0.3, 1.4))
    stage.run("run", "--drain")

    assert kills >= 3, "the run was over before it was killed often enough to prove anything"
    _insist_on_one_final_outcome(connection, queued)
    _insist_on_receipt(connection, stage)
    _insist_on_one_disabling(connection)
    _insist_on_whole_chain(connection)
    assert compare_buffer(connection) == []
    connection.close()


def _run_and_kill(stage: Stage, after_s: float) -> int:
    """Run the daemon for some moments; 1 = it was killed, 0 = it had drained the queue before."""
    with stage.daemon("--drain") as daemon:
        with suppress(subprocess.TimeoutExpired):
            return daemon.wait(timeout=after_s) * 0
        daemon.send_signal(signal.SIGKILL)
        return 1


def _insist_on_one_final_outcome(connection: sqlite3.Connection, queued: set[str]) -> None:
    finals = Counter(
        row[0]
        for row in connection.execute(f"SELECT json_extract(data, '$.delivery_id') FROM events WHERE type IN {_FINAL}")
    )
    assert set(finals) == queued
    assert set(finals.values()) == {1}
    attempts = connection.execute(
        "SELECT count(*), count(DISTINCT json_extract(data, '$.delivery_id') || '/' || json_extract(data, '$.attempt'))"
        " FROM events WHERE type IN ('delivery.succeeded', 'delivery.failed', 'delivery.timed_out')"
        " AND json_extract(data, '$.webhook_url') != 'http://127.0.0.1/gone'"
    ).fetchone()
    assert attempts[0] == attempts[1], "an attempt was counted twice"


def _insist_on_receipt(connection: sqlite3.Connection, stage: Stage) -> None:
    received = {request["headers"]["webhook-id"] for request in stage.receiver.seen()}
    sent = connection.execute(
        "SELECT json_extract(data, '$.delivery_id') FROM events WHERE type = 'delivery.succeeded'"
    )
    assert {row[0] for row in sent} <= received


def _insist_on_one_disabling(connection: sqlite3.Connection) -> None:
    counts = dict(
        connection.execute(
            "SELECT type, count(*) FROM events WHERE stream = ? AND type NOT LIKE 'delivery.%' GROUP BY type",
            (f"installation-{installation_id(_BROKEN)}",),
        ).fetchall()
    )
    assert counts["installation.disabled"] == 1
    assert counts["audit.recorded"] == 1
    assert counts["mail.requested"] == len(_OWNERS)
    assert counts["mail.sent"] == len(_OWNERS)


def _insist_on_whole_chain(connection: sqlite3.Connection) -> None:
    previous = b"\x00" * 16
    rows = connection.execute(
        "SELECT position, stream, version, type, schema, recorded_at, data, hash FROM events ORDER BY position"
    )
    for expected_position, row in enumerate(rows, start=1):
        position, stream, version, type_name, schema, recorded_at, data, found = row
        previous = chain_hash(
            previous,
            position=position,
            stream=stream,
            version=version,
            type_name=type_name,
            schema=schema,
            recorded_at=recorded_at,
            data=data,
        )
        assert (position, found) == (expected_position, previous)
