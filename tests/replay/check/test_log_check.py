"""Damage to the log is named with its position, and what stands behind it is checked as well."""

import pytest

from eventstore.log.event_log import last_position
from replay.check import log_check
from replay.check.log_check import Anchor, LogCheck, check_log
from tests.eventstore.facts import failed, record
from tests.replay.lived import Lived, unguarded

BROKEN = "does not follow from event {}: one of the two was changed"


def damaged(lived: Lived, *statements: str) -> LogCheck:
    with unguarded(lived.database) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount != 0, statement
    return check_log(lived.database)


def shown(check: LogCheck) -> list[tuple[int, str]]:
    return [(fault.position, fault.text) for fault in check.faults]


def anchor(lived: Lived) -> Anchor:
    return check_log(lived.database).last


def test_a_log_that_nobody_has_touched_holds_and_its_last_event_is_named(lived: Lived) -> None:
    check = check_log(lived.database)

    row = lived.store.connection.execute("SELECT position, hash FROM events ORDER BY position DESC LIMIT 1").fetchone()
    assert (check.faults, check.count, check.events) == ((), 0, row[0])
    assert (check.last.position, check.last.hash) == row


def test_an_empty_log_holds(lived: Lived) -> None:
    with unguarded(lived.database) as connection:
        connection.execute("DELETE FROM events")

    check = check_log(lived.database)

    assert (check.events, check.faults, check.last) == (0, (), Anchor(0, bytes(16)))


@pytest.mark.parametrize(
    "change",
    [
        "data = replace(data, 'server_error', 'client_error')",
        "recorded_at = '2020' || substr(recorded_at, 5)",
        "schema = 2",
        "hash = x'00112233445566778899aabbccddeeff'",
        "hash = x''",
        "data = data || ' '",
    ],
)
def test_a_changed_byte_is_one_event_s_fault_whatever_stands_behind_it(lived: Lived, change: str) -> None:
    check = damaged(lived, f"UPDATE events SET {change} WHERE position = 8")

    assert (8, BROKEN.format(7)) in shown(check)
    assert {fault.position for fault in check.faults} == {8}


def test_a_changed_stream_or_version_is_named_as_both_faults(lived: Lived) -> None:
    (stream, version) = lived.store.connection.execute(
        "SELECT stream, version FROM events WHERE position = 8"
    ).fetchone()

    check = damaged(lived, "UPDATE events SET version = 77 WHERE position = 8")

    assert shown(check)[:2] == [
        (8, f"is version 77 of stream {stream} and comes after version {version - 1}"),
        (8, BROKEN.format(7)),
    ]
    assert check.faults[2].text == f"is version {version + 1} of stream {stream} and comes after version 77"
    assert check.count == 3


def test_a_changed_type_is_a_broken_link_and_one_that_nobody_knows_cannot_be_read(lived: Lived) -> None:
    known = damaged(lived, "UPDATE events SET type = 'delivery.blocked' WHERE position = 8")
    unknown = damaged(lived, "UPDATE events SET type = 'delivery.eaten' WHERE position = 8")

    assert shown(known) == [(8, BROKEN.format(7))]
    assert shown(unknown) == [
        (8, BROKEN.format(7)),
        (8, "cannot be read: event type 'delivery.eaten' is not known to this version of hookfuse"),
    ]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("'{\"delivery_id\":'", "cannot be read: the data of this delivery.failed cannot be read"),
        ("'{}'", "cannot be read: the data of this delivery.failed cannot be read"),
        ("CAST(x'7bff' AS TEXT)", "holds bytes that are not UTF-8 text"),
        ("''", "cannot be read"),
        ("replace(hex(zeroblob(9000)), '0', '[')", "cannot be read"),
    ],
)
def test_data_that_is_no_event_is_named(lived: Lived, data: str, text: str) -> None:
    check = damaged(lived, f"UPDATE events SET data = {data} WHERE position = 8")

    assert {fault.position for fault in check.faults} == {8}
    assert any(fault.text.startswith(text) for fault in check.faults)


def test_a_missing_event_is_named_and_so_is_the_stream_that_it_is_missing_from(lived: Lived) -> None:
    stream, version = lived.store.connection.execute("SELECT stream, version FROM events WHERE position = 8").fetchone()
    (later,) = lived.store.connection.execute(
        "SELECT position FROM events WHERE stream = ? AND version = ?", (stream, version + 1)
    ).fetchone()

    check = damaged(lived, "DELETE FROM events WHERE position = 8")

    assert shown(check) == [
        (8, "is missing"),
        (later, f"is version {version + 1} of stream {stream} and comes after version {version - 1}"),
    ]


def test_a_gap_of_many_is_named_once_and_a_far_position_takes_no_time(lived: Lived) -> None:
    last = last_position(lived.store.connection)

    check = damaged(
        lived,
        "DELETE FROM events WHERE position BETWEEN 8 AND 10",
        f"UPDATE events SET position = 9000000000000000000 WHERE position = {last}",
    )

    gaps = [one for one in shown(check) if "missing" in one[1]]
    assert gaps == [
        (8, "is missing, and so is all up to event 10"),
        (last, "is missing, and so is all up to event 8999999999999999999"),
    ]


def test_a_fault_behind_another_is_named_too(lived: Lived) -> None:
    check = damaged(
        lived,
        "DELETE FROM events WHERE position = 8",
        "UPDATE events SET recorded_at = '2020' WHERE position = 9",
        "UPDATE events SET recorded_at = '2020' WHERE position = 12",
    )

    # Of the event right behind the gap nothing can be said by itself; the one after it follows from what it holds.
    assert [one for one in shown(check) if "version" not in one[1]] == [(8, "is missing"), (12, BROKEN.format(11))]


def test_two_events_that_changed_places_are_named(lived: Lived) -> None:
    check = damaged(
        lived,
        "UPDATE events SET position = -1 WHERE position = 8",
        "UPDATE events SET position = 8 WHERE position = 9",
        "UPDATE events SET position = 9 WHERE position = -1",
    )

    assert {(8, BROKEN.format(7)), (9, BROKEN.format(8))} <= set(shown(check))
    assert {fault.position for fault in check.faults if "version" not in fault.text} <= {8, 9, 10}


def test_an_event_before_the_first_position_is_named(lived: Lived) -> None:
    check = damaged(lived, "UPDATE events SET position = -3 WHERE position = 8")

    assert shown(check)[0] == (-3, "stands before the first event, which has position 1")
    assert (8, "is missing") in shown(check)


def test_the_first_event_is_chained_to_nothing(lived: Lived) -> None:
    check = damaged(lived, "UPDATE events SET recorded_at = '2020' WHERE position = 1")

    assert shown(check) == [(1, BROKEN.format(0))]


def test_a_missing_first_event_is_named(lived: Lived) -> None:
    check = damaged(lived, "DELETE FROM events WHERE position = 1")

    assert shown(check)[0] == (1, "is missing")


def test_all_faults_are_counted_and_the_first_ones_kept(lived: Lived) -> None:
    with unguarded(lived.database) as connection:
        connection.execute("UPDATE events SET recorded_at = '2020'")

    check = check_log(lived.database, limit=2)

    assert [fault.position for fault in check.faults] == [1, 2]
    assert check.count == check.events > 2


@pytest.mark.parametrize("batch_events", [1, 2, 7])
def test_what_is_found_does_not_depend_on_how_it_is_read(
    lived: Lived, monkeypatch: pytest.MonkeyPatch, batch_events: int
) -> None:
    whole = damaged(
        lived,
        "DELETE FROM events WHERE position IN (8, 9)",
        "UPDATE events SET recorded_at = '2020' WHERE position IN (2, 14)",
    )
    monkeypatch.setattr(log_check, "_BATCH_EVENTS", batch_events)

    assert check_log(lived.database) == whole


def test_progress_is_told_to_the_last_event(lived: Lived) -> None:
    told: list[int] = []

    check = check_log(lived.database, advance=told.append)

    assert sum(told) == check.events


# --- what the chain by itself cannot tell ---


def test_a_log_whose_end_was_cut_off_holds_and_an_anchor_tells(lived: Lived) -> None:
    known = anchor(lived)
    with unguarded(lived.database) as connection:
        connection.execute("DELETE FROM events WHERE position > ?", (known.position - 3,))

    assert check_log(lived.database).faults == ()
    assert shown(check_log(lived.database, anchor=known)) == [
        (known.position, f"was known, and the log ends at event {known.position - 3}")
    ]


def test_a_log_that_was_cut_and_went_on_holds_and_an_anchor_tells(lived: Lived) -> None:
    known = anchor(lived)
    with unguarded(lived.database) as connection:
        connection.execute("DELETE FROM events WHERE position > ?", (known.position - 3,))
    record(lived.store, *[failed()] * 5)

    check = check_log(lived.database, anchor=known)

    assert check_log(lived.database).faults == ()
    assert [fault.position for fault in check.faults] == [known.position]
    assert f"and {known.hash.hex()} was known" in check.faults[0].text


def test_a_log_that_has_grown_holds_its_anchor(lived: Lived) -> None:
    known = anchor(lived)
    record(lived.store, failed())

    assert check_log(lived.database, anchor=known).faults == ()


def test_an_event_that_an_anchor_knows_and_that_is_missing_is_named(lived: Lived) -> None:
    known = anchor(lived)
    record(lived.store, failed())
    with unguarded(lived.database) as connection:
        connection.execute("DELETE FROM events WHERE position = ?", (known.position,))

    assert (known.position, "is missing") in shown(check_log(lived.database, anchor=known))


def test_checking_changes_nothing(lived: Lived) -> None:
    lived.store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = lived.database.read_bytes()

    check_log(lived.database)

    assert lived.database.read_bytes() == before
