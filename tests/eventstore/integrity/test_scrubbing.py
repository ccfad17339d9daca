"""The log is gone over once a day, a range at a time, and what is found is said."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing

import pytest

from eventstore.home.folder import Home
from eventstore.integrity import scrubbing
from eventstore.integrity.scrubbing import Scrub
from eventstore.integrity.whole_check import small_tables
from eventstore.unit_of_work import Store
from tests.eventstore.facts import record, register, succeeded


class _Seconds:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def _go_over(home: Home, *, looks: int, start_s: float = 60.0) -> None:
    seconds = _Seconds()
    scrub = Scrub(home, seconds)
    for number in range(looks):
        seconds.now_s = start_s + number
        scrub.look()


def _damage(home: Home, position: int) -> None:
    with closing(sqlite3.connect(home.database)) as connection:
        triggers = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'events'"
        ).fetchall()
        for name, _sql in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(
            "UPDATE events SET recorded_at = '2020-01-01T00:00:00.000000Z' WHERE position = ?", (position,)
        )
        for _name, sql in triggers:
            connection.execute(sql)
        connection.commit()


def test_nothing_is_looked_at_before_it_is_time(home: Home, store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    register(store)
    _go_over(home, looks=10, start_s=0.0)

    assert "database_checked" not in capfd.readouterr().out


def test_a_log_of_several_ranges_is_gone_over_once_until_the_next_day(
    home: Home, store: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    register(store)
    record(store, *[succeeded()] * 4500)
    _go_over(home, looks=2)
    first = capfd.readouterr().out
    _go_over(home, looks=50)
    second = capfd.readouterr().out

    assert "database_checked" not in first  # two ranges of 2,000 each are not all of it
    assert second.count("database_checked") == 1
    assert "damage_found" not in second


def test_each_look_takes_one_table_at_most_until_all_were_looked_at(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(store)
    looked: list[Sequence[str]] = []

    def note(_: sqlite3.Connection, tables: Sequence[str]) -> list[str]:
        looked.append(tables)
        return []

    monkeypatch.setattr(scrubbing, "integrity_faults", note)
    seconds = _Seconds()
    scrub = Scrub(home, seconds)
    for number in range(50):
        seconds.now_s = 60.0 + number
        before = len(looked)
        scrub.look()
        assert len(looked) - before <= 1

    assert sorted(table for (table,) in looked) == small_tables(store.connection)


def test_an_event_that_was_changed_is_found_and_the_rest_is_gone_over(
    home: Home, store: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    register(store)
    record(store, *[succeeded()] * 2500)
    store.close()
    _damage(home, 1)
    _go_over(home, looks=50)
    said = capfd.readouterr().out

    assert said.count("damage_found") == 1
    assert "event 1 is not what was recorded" in said
    assert said.count("database_checked") == 1
