"""The ledger of kept deliveries follows from the events, and what the queue says otherwise is found and put right."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventstore.errors import DamagedLogError
from eventstore.queue.delivery import QueuedDelivery
from replay.check.verification import Comparison, verify
from replay.reading import log_range
from replay.rebuild.rebuild import rebuild
from tests.eventstore.facts import INSTALLATION_ID
from tests.replay.lived import Lived, Step, steps, unguarded

ONLY = ("ledger",)


@pytest.fixture
def lived(tmp_path: Path) -> Iterator[Lived]:
    """Three that were missed, one of which is sent again, two that are dead, one that waits, one delivered."""
    with Lived(tmp_path / "events.db") as lived:
        ids = [lived.put() for _ in range(7)]
        for number, end in enumerate(("missed", "missed", "missed", "dead", "dead", "retry", "delivered")):
            (delivery,) = [one for one in lived.waiting() if one.delivery_id == ids[number]]
            lived.end(delivery, end)
        lived.resend(lived.kept()[2])
        yield lived


def queue(lived: Lived) -> list[QueuedDelivery]:
    return lived.kept() + lived.waiting()


def damage(lived: Lived, statement: str, *values: object) -> None:
    assert lived.store.connection.execute(statement, values).rowcount > 0


def shown(found: Comparison) -> list[tuple[str, Any, Any]]:
    return [(one.field, one.live, one.rebuilt) for one in found.differences]


def test_what_has_lived_undisturbed_is_in_step(lived: Lived) -> None:
    found = verify(lived.database, ONLY)

    assert (found.differences, found.waiting, found.without_payload) == ((), 2, 0)


@given(history=steps, range_events=st.sampled_from((1, 7, 10_000)))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_whatever_happens_to_deliveries_the_ledger_is_that_of_the_queue(
    tmp_path_factory: Any, monkeypatch: pytest.MonkeyPatch, history: list[Step], range_events: int
) -> None:
    monkeypatch.setattr(log_range, "_RANGE_EVENTS", range_events)
    with Lived(tmp_path_factory.mktemp("home") / "events.db") as lived:
        lived.live(history)

        found = verify(lived.database, ONLY)

        assert (found.differences, found.without_payload) == ((), 0)
        assert found.waiting == len(lived.waiting())


@given(history=steps, after=steps)
@settings(max_examples=40)
def test_what_the_queue_has_lost_comes_back_without_its_payload_and_what_happens_then_is_followed(
    tmp_path_factory: Any, history: list[Step], after: list[Step]
) -> None:
    with Lived(tmp_path_factory.mktemp("home") / "events.db") as lived:
        lived.live(history)
        kept = lived.kept()
        lived.store.connection.execute("DELETE FROM queue WHERE state != 'waiting'")

        rebuilt = rebuild(lived.database, ONLY)

        listed = {one.delivery_id: one for one in lived.kept()}
        assert {(one.delivery_id, one.installation_id, one.state, one.attempts) for one in kept} == {
            (one.delivery_id, one.installation_id, one.state, one.attempts) for one in listed.values()
        }
        assert {(one.is_expired, one.data, one.actor) for one in listed.values()} <= {(True, "{}", None)}
        assert rebuilt.without_payload == sum(1 for one in kept if not one.is_expired)
        assert sum(one.inserted for one in rebuilt.repaired) == len(kept)
        lived.live(after)
        assert verify(lived.database, ONLY).differences == ()


def test_a_lost_delivery_is_named_with_all_that_is_known_of_it(lived: Lived) -> None:
    (dead, *_) = [one for one in lived.kept() if one.state == "dead"]
    damage(lived, "DELETE FROM queue WHERE delivery_id = ?", dead.delivery_id)

    (difference,) = verify(lived.database, ONLY).differences

    assert (difference.table, difference.key, difference.field) == ("queue", {"delivery_id": dead.delivery_id}, "")
    assert difference.live is None
    assert INSTALLATION_ID in str(difference.rebuilt)
    assert '"last_error":"500 server_error"' in str(difference.rebuilt)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE queue SET state = 'dead' WHERE state = 'missed'", [("state", "dead", "missed")] * 2),
        ("UPDATE queue SET state = 'waiting' WHERE state = 'dead'", [("state", "waiting", "dead")] * 2),
        ("UPDATE queue SET attempts = 9 WHERE state = 'dead'", [("attempts", 9, 1)] * 2),
        ("UPDATE queue SET last_error = 'x' WHERE state = 'dead'", [("last_error", "x", "500 server_error")] * 2),
        ("UPDATE queue SET event_name = 'a.b' WHERE state = 'dead'", [("event_name", "a.b", "issue.created")] * 2),
        (
            "UPDATE queue SET installation_id = 'x' WHERE state = 'missed'",
            [("installation_id", "x", INSTALLATION_ID)] * 2,
        ),
        (
            "UPDATE queue SET enqueued_at = '' WHERE state = 'missed'",
            [("enqueued_at", "", "2026-03-01T00:00:00.000000Z")] * 2,
        ),
        ("UPDATE queue SET is_expired = 1 WHERE state = 'missed'", [("is_expired", 1, 0)] * 2),
        # The one that is sent again, and the one that is retried, have never been dead.
        ("UPDATE queue SET state = 'dead' WHERE state = 'waiting'", [("state", "dead", "waiting")] * 2),
    ],
)
def test_a_row_that_says_otherwise_is_found_and_put_right(
    lived: Lived, statement: str, found: list[tuple[str, object, object]]
) -> None:
    before = queue(lived)
    damage(lived, statement)

    compared = verify(lived.database, ONLY)
    rebuilt = rebuild(lived.database, ONLY)

    assert shown(compared) == found
    assert [(one.table, one.updated) for one in rebuilt.repaired] == [("queue", 2)]
    assert queue(lived) == before


def test_an_expired_one_loses_the_payload_that_somebody_gave_it_again(lived: Lived) -> None:
    lived.clock.advance(days=1)
    lived.expire()
    before = queue(lived)
    damage(lived, "UPDATE queue SET is_expired = 0, data = '{\"n\":2}' WHERE state = 'dead'")

    compared = verify(lived.database, ONLY)
    rebuild(lived.database, ONLY)

    assert shown(compared) == [("is_expired", 0, 1)] * 2
    assert queue(lived) == before


def test_what_was_delivered_or_dropped_and_is_kept_is_taken_out(lived: Lived) -> None:
    dropped = lived.kept()[0]
    lived.drop(dropped)
    before = queue(lived)
    damage(
        lived,
        "INSERT INTO queue (delivery_id, installation_id, event_name, ordering_key, state, enqueued_at, due_at, data)"
        " VALUES (?, 'x', 'issue.created', '', 'dead', '', '', '{}')",
        dropped.delivery_id,
    )

    (difference,) = verify(lived.database, ONLY).differences
    rebuilt = rebuild(lived.database, ONLY)

    assert (difference.field, difference.rebuilt) == ("", None)
    assert [(one.inserted, one.updated, one.deleted) for one in rebuilt.repaired] == [(0, 0, 1)]
    assert queue(lived) == before


def test_what_waits_is_left_as_it_is_whatever_has_been_done_to_it(lived: Lived) -> None:
    damage(lived, "UPDATE queue SET attempts = 7, due_at = '', data = '[]' WHERE state = 'waiting'")
    damage(lived, "DELETE FROM queue WHERE state != 'waiting'")
    before = lived.waiting()

    rebuilt = rebuild(lived.database, ONLY)

    assert lived.waiting() == before
    assert (rebuilt.waiting, len(lived.kept())) == (2, 4)


def test_one_that_waits_again_by_the_events_and_is_lost_is_kept_without_its_payload(lived: Lived) -> None:
    (again,) = [one for one in lived.waiting() if one.attempts == 0]
    damage(lived, "DELETE FROM queue WHERE delivery_id = ?", again.delivery_id)

    first = verify(lived.database, ONLY)
    rebuilt = rebuild(lived.database, ONLY)

    (inserted,) = [one for one in lived.kept() if one.delivery_id == again.delivery_id]
    assert (first.count, rebuilt.without_payload) == (1, 1)
    assert (inserted.state, inserted.is_expired, inserted.data) == ("missed", True, "{}")
    assert verify(lived.database, ONLY).count == 0
    lived.drop(inserted)
    assert verify(lived.database, ONLY).without_payload == 0


def test_a_stray_that_has_lost_its_payload_is_counted_and_not_sent(lived: Lived) -> None:
    (retried,) = [one for one in lived.waiting() if one.attempts == 1]
    damage(
        lived,
        "UPDATE queue SET state = 'dead', is_expired = 1, data = '{}' WHERE delivery_id = ?",
        retried.delivery_id,
    )

    found = verify(lived.database, ONLY)
    rebuild(lived.database, ONLY)

    assert (found.count, found.without_payload) == (0, 1)
    assert retried.delivery_id in {one.delivery_id for one in lived.kept()}


def test_a_success_that_cannot_be_read_does_not_stop_the_search_for_what_is_over(tmp_path: Path) -> None:
    with Lived(tmp_path / "events.db") as lived:
        for end in ("delivered", "retry"):
            lived.put()
            lived.end(lived.waiting()[0], end)
        with unguarded(lived.database) as connection:
            connection.execute("UPDATE events SET data = '{' WHERE type = 'delivery.succeeded'")
        damage(lived, "UPDATE queue SET state = 'dead' WHERE state = 'waiting'")

        assert shown(verify(lived.database, ONLY)) == [("state", "dead", "waiting")]


def test_a_success_that_cannot_be_read_is_named_where_it_may_be_that_of_a_kept_one(lived: Lived) -> None:
    with unguarded(lived.database) as connection:
        connection.execute("UPDATE events SET data = '{' WHERE type = 'delivery.succeeded'")

    with pytest.raises(DamagedLogError, match=r"^event 15: "):
        verify(lived.database, ONLY)
