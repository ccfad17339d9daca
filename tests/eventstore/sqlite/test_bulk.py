import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from eventstore.sqlite.bulk import insert_rows, json_list


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE things (name TEXT PRIMARY KEY, count INTEGER)")
        yield connection


@pytest.mark.parametrize("number", [0, 1, 2, 3, 63, 64, 65, 127, 200])
def test_every_row_is_inserted_in_its_order(connection: sqlite3.Connection, number: int) -> None:
    rows = [(f"thing {index}", index) for index in range(number)]
    insert_rows(connection, "INSERT INTO things", rows)

    assert connection.execute("SELECT * FROM things ORDER BY rowid").fetchall() == rows


def test_few_statements_do_for_every_number_of_rows(connection: sqlite3.Connection) -> None:
    seen: set[str] = set()
    connection.set_trace_callback(lambda statement: seen.add(str(statement.count("("))))
    for number in range(1, 130):
        insert_rows(connection, "INSERT OR REPLACE INTO things", [(f"thing {index}", index) for index in range(number)])

    assert len(seen) == 7 + 1  # and the BEGIN


def test_what_follows_the_values_holds_for_each_row(connection: sqlite3.Connection) -> None:
    then = "ON CONFLICT DO UPDATE SET count = count + excluded.count"
    insert_rows(connection, "INSERT INTO things", [("one", 1), ("two", 2), ("one", 10)], then)

    assert connection.execute("SELECT * FROM things ORDER BY name").fetchall() == [("one", 11), ("two", 2)]


@pytest.mark.parametrize("values", [[], [1, 2**62], ["a", 'with "quotes"', "süß"]], ids=str)
def test_a_list_is_what_json_each_gives(connection: sqlite3.Connection, values: list[str | int]) -> None:
    rows = connection.execute("SELECT value FROM json_each(?)", (json_list(values),)).fetchall()

    assert [value for (value,) in rows] == values
