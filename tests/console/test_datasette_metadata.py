"""The metadata for Datasette names what a copy without secrets has, and its queries run there."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from eventstore.backup.redacted_copy import COPIED_TABLES
from tests.console.conftest import CHAT, HEADER_VALUE, SECRET, SHOP, Hookfuse, World


@pytest.fixture
def metadata(hookfuse: Hookfuse) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(hookfuse("backup", "--datasette-metadata").out.strip()).read_text())
    return document


@pytest.fixture
def copy(hookfuse: Hookfuse, world: World, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    ended = hookfuse("backup", "--without-secrets", tmp_path / "hookfuse.db")
    # The world is made by hand: what is missed and dead there follows from no event, and that is said.
    assert (ended.code, ended.err.count("\n")) == (11, 1), ended.err
    assert ended.out.startswith("copied 29 events to ")
    with closing(sqlite3.connect(tmp_path / "hookfuse.db")) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def _query(metadata: dict[str, Any], copy: sqlite3.Connection, name: str, **arguments: str) -> list[dict[str, Any]]:
    sql = metadata["databases"]["hookfuse"]["queries"][name]["sql"]
    return [dict(row) for row in copy.execute(sql, arguments)]


def test_the_copy_that_the_command_makes_has_no_secret(copy: sqlite3.Connection, tmp_path: Path) -> None:
    content = (tmp_path / "hookfuse.db").read_bytes()

    assert SECRET.encode() not in content
    assert HEADER_VALUE.encode() not in content


def test_a_home_s_own_database_is_not_shown(metadata: dict[str, Any]) -> None:
    """It is called events.db, which is `events` for Datasette."""
    assert metadata["databases"]["events"]["allow"] is False


def test_every_table_and_column_is_described_and_no_other(metadata: dict[str, Any], copy: sqlite3.Connection) -> None:
    tables = metadata["databases"]["hookfuse"]["tables"]

    assert set(tables) == set(COPIED_TABLES)
    for name, table in tables.items():
        columns = {row["name"] for row in copy.execute(f"PRAGMA table_info({name})")}
        assert set(table["columns"]) == columns, name
        assert {*table.get("facets", ()), *filter(None, [table.get("sort_desc")])} <= columns, name
        assert table["description"]


def test_broken_soon_has_the_one_that_only_fails(
    metadata: dict[str, Any], copy: sqlite3.Connection, world: World
) -> None:
    (row,) = _query(metadata, copy, "broken_soon")

    assert (row["installation_id"], row["app"], row["failures"]) == (SHOP, "shop", 3)


def test_failures_are_counted_by_class_and_day(metadata: dict[str, Any], copy: sqlite3.Connection) -> None:
    rows = _query(metadata, copy, "failures_by_class_a_day")

    assert rows[0] == {"day": "2025-02-04", "error_class": "server_error", "attempts": 4, "installations": 1}
    assert [row["attempts"] for row in rows] == [4, 1] * 3


def test_who_decided_what_has_the_reason(metadata: dict[str, Any], copy: sqlite3.Connection) -> None:
    (row,) = _query(metadata, copy, "who_decided_what")

    assert (row["event"], row["actor"]) == ("internal-integration.disable", "system")
    assert row["explanation"].startswith("no success within 7 days")


def test_a_delivery_s_story_is_its_events(metadata: dict[str, Any], copy: sqlite3.Connection, world: World) -> None:
    rows = _query(metadata, copy, "story_of_a_delivery", delivery_id=world.dead_id)

    assert [(row["position"], row["type"]) for row in rows] == [(29, "delivery.exhausted")]
    assert metadata["databases"]["hookfuse"]["queries"]["story_of_a_delivery"]["params"] == ["delivery_id"]


def test_every_query_runs(metadata: dict[str, Any], copy: sqlite3.Connection) -> None:
    queries = metadata["databases"]["hookfuse"]["queries"]

    assert len(queries) >= 4
    for name, query in queries.items():
        assert _query(metadata, copy, name, **dict.fromkeys(query.get("params", ()), CHAT)) is not None
        assert query["title"]
