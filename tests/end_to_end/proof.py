"""What must hold of a database and a receiver, whatever was killed in between."""

import sqlite3
from collections import Counter
from collections.abc import Sequence

from replay.check.log_check import check_log
from replay.check.verification import verify
from tests.end_to_end.stage import Stage, installation_id

_FINAL = ("delivery.succeeded", "delivery.exhausted", "delivery.missed")


def insist_on_all(connection: sqlite3.Connection, stage: Stage, queued: set[str]) -> None:
    """Nothing is lost, nothing is counted twice, and the log and its projections agree."""
    insist_on_one_final_outcome(connection, queued)
    insist_on_receipt(connection, stage)
    assert check_log(stage.home / "events.db").faults == ()
    assert verify(stage.home / "events.db").differences == ()


def insist_on_one_final_outcome(connection: sqlite3.Connection, queued: set[str]) -> None:
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


def insist_on_receipt(connection: sqlite3.Connection, stage: Stage) -> None:
    received = {request["headers"]["webhook-id"] for request in stage.receiver.seen()}
    sent = connection.execute(
        "SELECT json_extract(data, '$.delivery_id') FROM events WHERE type = 'delivery.succeeded'"
    )
    assert {row[0] for row in sent} <= received


def insist_on_one_disabling(connection: sqlite3.Connection, app: int, owners: Sequence[str]) -> None:
    counts = dict(
        connection.execute(
            "SELECT type, count(*) FROM events WHERE stream = ? AND type NOT LIKE 'delivery.%' GROUP BY type",
            (f"installation-{installation_id(app)}",),
        ).fetchall()
    )
    assert counts["installation.disabled"] == 1
    assert counts["audit.recorded"] == 1
    assert counts["mail.requested"] == len(owners)
    assert counts["mail.sent"] == len(owners)
