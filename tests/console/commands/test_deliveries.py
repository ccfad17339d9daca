from collections.abc import Sequence

import pytest

from console.commands import deliveries as deliveries_command
from console.shell.exit_codes import ExitCode
from eventstore.common.clock import time_text
from eventstore.common.identifiers import installation_stream
from eventstore.deliveries.retention import expire_payloads
from eventstore.events.catalogue import BreakerOpened, DeliveryDropped, DeliveryRequeued
from eventstore.log.event_log import NewEvent, read_events
from eventstore.queue.delivery import NewDelivery, QueuedDelivery
from eventstore.queue.enqueue import enqueue
from eventstore.queue.queries import read_deliveries
from tests.console.conftest import CHAT, PAGER, Hookfuse, World


def _queue(world: World, state: str | None = None) -> Sequence[QueuedDelivery]:
    with world.store() as store:
        return read_deliveries(store.connection, state=state, limit=-1)


def _newest(world: World, type_name: str) -> list[object]:
    with world.store() as store:
        return [stored.event for stored in read_events(store.connection, type_names=[type_name])]


def test_deliveries_are_listed_in_order_without_their_payload(hookfuse: Hookfuse, world: World) -> None:
    found = hookfuse("deliveries", "--json").json

    assert [row["state"] for row in found] == ["missed", "missed", "missed", "dead", "waiting"]
    assert [row["delivery_id"] for row in found[:4]] == [*world.missed_ids, world.dead_id]
    assert not any("data" in row for row in found)
    assert found[3]["last_error"] == "server_error"
    assert (found[0]["due_at"], found[4]["due_at"]) == (None, "2025-02-08T12:00:00.000000Z")


def test_the_payload_is_shown_when_it_is_asked_for(hookfuse: Hookfuse, world: World) -> None:
    (found,) = hookfuse("deliveries", "--state", "dead", "--json", "--payload").json

    assert found["data"] == {"n": 9}
    assert '{"n":9}' in hookfuse("deliveries", "--state", "dead", "--payload").out
    assert '{"n":9}' not in hookfuse("deliveries", "--state", "dead").out


@pytest.mark.parametrize(("limit", "is_said"), [(4, True), (5, True), (6, False)])
def test_it_is_said_where_there_may_be_more(hookfuse: Hookfuse, world: World, limit: int, is_said: bool) -> None:
    ended = hookfuse("deliveries", "--limit", limit)

    assert (ended.err == "hookfuse: that is as many as are shown at once: see a larger --limit\n") is is_said
    assert hookfuse("deliveries", "--limit", limit, "--json").err == ""


@pytest.mark.parametrize("subcommand", ["resend", "drop"])
def test_options_before_a_subcommand_are_refused_as_they_would_filter_nothing(
    hookfuse: Hookfuse, world: World, subcommand: str
) -> None:
    ended = hookfuse("deliveries", "--state", "missed", subcommand, "--installation", CHAT, "--reason", "by hand")

    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert f"give options behind `{subcommand}`, not before it" in ended.err


def test_deliveries_are_filtered(hookfuse: Hookfuse, world: World) -> None:
    assert len(hookfuse("deliveries", "--installation", "7c1f0a52", "--json").json) == 2
    assert len(hookfuse("deliveries", "--state", "missed", "--limit", 2, "--json").json) == 2
    assert hookfuse("deliveries", "--state", "waiting", "--installation", CHAT).out == "no delivery to show\n"


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("--event", "issue.created"), 5),
        (("--event", "issue.resolved"), 0),
        (("--error-class", "server_error"), 1),
        (("--error-class", "dns"), 0),
        (("--since", "2025-02-08T12:00"), 5),
        (("--until", "2025-02-08T11:59"), 0),
        (("--since", "2h", "--state", "dead", "--error-class", "server_error"), 1),
    ],
)
def test_deliveries_are_filtered_by_event_error_and_time(
    hookfuse: Hookfuse, world: World, words: tuple[str, ...], count: int
) -> None:
    assert len(hookfuse("deliveries", "--json", *words).json) == count


def test_the_class_of_an_error_is_found_behind_its_status_code(hookfuse: Hookfuse, world: World) -> None:
    with world.store() as store:
        store.connection.execute("UPDATE queue SET last_error = '500 server_error' WHERE state = 'dead'")

    assert len(hookfuse("deliveries", "--error-class", "server_error", "--json").json) == 1


def test_since_when_is_a_time(hookfuse: Hookfuse, world: World) -> None:
    assert hookfuse("deliveries", "--since", "yesterday").code == ExitCode.BAD_INPUT


def _expire(world: World, limit: int) -> None:
    world.clock.advance(days=40)
    with world.store() as store, store.transaction() as transaction:
        expire_payloads(transaction, older_than=transaction.recorded_at, limit=limit)


def test_a_delivery_without_payload_says_so(hookfuse: Hookfuse, world: World) -> None:
    _expire(world, 4)
    shown = hookfuse("deliveries", "--state", "dead", "--payload").out
    (row,) = hookfuse("deliveries", "--state", "dead", "--payload", "--json").json

    assert "dead, payload gone" in shown
    assert "{}" not in shown
    assert (row["is_expired"], row["data"]) == (True, None)


def test_a_delivery_without_payload_is_not_sent_again_but_dropped(hookfuse: Hookfuse, world: World) -> None:
    _expire(world, 4)
    resent = hookfuse("deliveries", "resend", world.dead_id)
    dropped = hookfuse("deliveries", "drop", world.dead_id, "--reason", "stale")

    assert resent.code == ExitCode.BAD_INPUT
    assert "no longer has a payload" in resent.err
    assert (dropped.code, dropped.out) == (0, "1 delivery dropped\n")


def test_sending_all_again_says_how_many_have_no_payload(hookfuse: Hookfuse, world: World) -> None:
    _expire(world, 1)
    hookfuse("enable", CHAT, "--reason", "fixed")

    ended = hookfuse("deliveries", "resend", "--installation", CHAT)

    assert ended.out.splitlines() == ["2 deliveries wait again", "1 delivery no longer has a payload"]


def test_all_dead_ones_of_an_installation_are_dropped_and_nothing_else(
    hookfuse: Hookfuse, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries_command, "_BATCH", 1)
    of_pager = hookfuse("deliveries", "drop", "--installation", PAGER, "--reason", "stale")
    of_chat = hookfuse("deliveries", "drop", "--installation", CHAT, "--reason", "stale")
    missed = hookfuse("deliveries", "drop", "--installation", CHAT, "--state", "missed", "--reason", "stale")

    assert [ended.out for ended in (of_pager, of_chat, missed)] == [
        "1 delivery dropped\n",
        "0 deliveries dropped\n",
        "3 deliveries dropped\n",
    ]
    assert [delivery.state for delivery in _queue(world)] == ["waiting"]


def test_what_is_being_recovered_may_be_given_up(hookfuse: Hookfuse, world: World) -> None:
    hookfuse("enable", CHAT, "--recover", "--reason", "fixed")

    ended = hookfuse("deliveries", "drop", *world.missed_ids, "--reason", "stale")

    assert ended.out == "3 deliveries dropped\n"
    assert len(_newest(world, "recovery.completed")) == 1


def test_a_dead_delivery_is_sent_again_under_its_id(hookfuse: Hookfuse, world: World) -> None:
    ended = hookfuse("deliveries", "resend", world.dead_id, "--by", "bea", "--reason", "fixed")

    assert (ended.code, ended.out) == (0, "1 delivery waits again\n")
    assert _queue(world, "waiting")[0].delivery_id == world.dead_id
    assert _queue(world, "waiting")[0].attempts == 0
    requeued = DeliveryRequeued(world.dead_id, "issue.created", "dead", "person:bea", "fixed")
    assert _newest(world, "delivery.requeued") == [requeued]


def test_all_that_an_installation_missed_is_sent_again_in_order(
    hookfuse: Hookfuse, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries_command, "_BATCH", 2)
    hookfuse("enable", CHAT, "--reason", "fixed")

    ended = hookfuse("deliveries", "resend", "--installation", "7c1f0a99", "--state", "missed")

    assert ended.out == "3 deliveries wait again\n"
    assert [delivery.delivery_id for delivery in _queue(world, "waiting")][:3] == world.missed_ids
    assert [event.delivery_id for event in _newest(world, "delivery.requeued")] == world.missed_ids  # type: ignore[attr-defined]


def test_an_installation_with_nothing_kept_has_nothing_to_send(hookfuse: Hookfuse, world: World) -> None:
    ended = hookfuse("deliveries", "resend", "--installation", PAGER, "--state", "missed")

    assert (ended.code, ended.out) == (0, "0 deliveries wait again\n")


def test_nothing_is_sent_again_to_a_disabled_installation(hookfuse: Hookfuse, world: World) -> None:
    by_id = hookfuse("deliveries", "resend", world.dead_id, world.missed_ids[0])
    by_installation = hookfuse("deliveries", "resend", "--installation", CHAT)

    for ended in (by_id, by_installation):
        assert ended.code == ExitCode.BAD_INPUT
        assert ended.err == (
            f"hookfuse: installation {CHAT} is disabled: enable it before its deliveries are sent again\n"
        )
    assert [delivery.state for delivery in _queue(world)] == ["missed", "missed", "missed", "dead", "waiting"]
    assert _newest(world, "delivery.requeued") == []


def test_dropped_deliveries_are_gone_and_recorded(hookfuse: Hookfuse, world: World) -> None:
    ended = hookfuse("deliveries", "drop", *world.missed_ids[:2], "--reason", "stale", "--by", "bea")

    assert ended.out == "2 deliveries dropped\n"
    assert [delivery.delivery_id for delivery in _queue(world, "missed")] == world.missed_ids[2:]
    assert _newest(world, "delivery.dropped") == [
        DeliveryDropped(delivery_id, "issue.created", "missed", "person:bea", "stale")
        for delivery_id in world.missed_ids[:2]
    ]


def test_an_id_given_twice_counts_once(hookfuse: Hookfuse, world: World) -> None:
    ended = hookfuse("deliveries", "drop", world.dead_id, world.dead_id, "--reason", "stale")

    assert ended.out == "1 delivery dropped\n"


@pytest.mark.parametrize("verb", ["resend", "drop"])
def test_one_unknown_delivery_stops_all(hookfuse: Hookfuse, world: World, verb: str) -> None:
    ended = hookfuse("deliveries", verb, world.dead_id, "no-such-id", "--reason", "x")

    assert ended.code == ExitCode.NOT_FOUND
    assert (ended.out, ended.err.count("\n")) == ("", 1)
    assert "delivery no-such-id is not in the queue" in ended.err
    assert len(_queue(world)) == 5
    assert len(_queue(world, "dead")) == 1


def test_a_waiting_delivery_is_due_at_once_when_it_is_sent_again(hookfuse: Hookfuse, world: World) -> None:
    waiting = _queue(world, "waiting")[0]
    with world.store() as store:
        store.connection.execute("UPDATE queue SET attempts = 3, due_at = '2036-01-01' WHERE state = 'waiting'")

    ended = hookfuse("deliveries", "resend", waiting.delivery_id, "--reason", "x")

    (found,) = _queue(world, "waiting")
    assert ended.code == ExitCode.OK
    assert (found.delivery_id, found.attempts) == (waiting.delivery_id, 3)
    assert found.due_at == time_text(world.clock.now())


@pytest.mark.parametrize("named", [True, False])
def test_a_waiting_delivery_is_dropped(hookfuse: Hookfuse, world: World, *, named: bool) -> None:
    waiting = _queue(world, "waiting")[0]
    chosen = [waiting.delivery_id] if named else ["--installation", waiting.installation_id, "--state", "waiting"]

    ended = hookfuse("deliveries", "drop", *chosen, "--reason", "x")

    assert (ended.code, ended.out) == (ExitCode.OK, "1 delivery dropped\n")
    assert _queue(world, "waiting") == ()
    assert len(_queue(world)) == 4


@pytest.mark.parametrize(
    "words",
    [
        ("resend",),
        ("resend", "x", "--installation", PAGER),
        ("resend", "x", "--state", "dead"),
        ("drop", "x"),
        ("drop", "--reason", "x"),
        ("drop", "x", "--installation", PAGER, "--reason", "x"),
        ("drop", "x", "--state", "dead", "--reason", "x"),
        ("--state", "lost"),
        ("forget",),
    ],
)
def test_what_makes_no_sense_is_one_line(hookfuse: Hookfuse, world: World, words: tuple[str, ...]) -> None:
    ended = hookfuse("deliveries", *words)

    assert (ended.code, ended.out, ended.err.count("\n")) == (ExitCode.USAGE, "", 1)


def test_sending_again_wakes_a_running_daemon(hookfuse: Hookfuse, world: World) -> None:
    doorbell = world.home.doorbell.listen()
    try:
        hookfuse("deliveries", "resend", world.dead_id)
        assert doorbell.heard()
    finally:
        doorbell.close()


def test_what_a_breaker_or_a_key_holds_is_not_said_to_be_due_in_the_past(hookfuse: Hookfuse, world: World) -> None:
    with world.store() as store, store.transaction() as transaction:
        opened = BreakerOpened(PAGER, "2025-02-08T12:05:00.000000Z", "x")
        transaction.append(NewEvent(installation_stream(PAGER), opened))
        new = NewDelivery(PAGER, "issue.created", "{}", ordering_key="k")
        first, second = enqueue(transaction.connection, [new, new], enqueued_at=transaction.recorded_at)
    world.clock.advance(seconds=60)
    rows = {row["delivery_id"]: row for row in hookfuse("deliveries", "--json").json}
    lines = {line.split()[0]: line for line in hookfuse("deliveries").out.splitlines()}

    assert (rows[first]["held_by"], rows[first]["held_until"]) == ("breaker", "2025-02-08T12:05:00.000000Z")
    assert (rows[second]["held_by"], rows[second]["held_behind"]) == ("key", first)
    assert lines[first].endswith("2025-02-08T12:05:00Z (breaker)")
    assert lines[second].endswith(f"after {first}")


def test_what_a_half_open_breaker_holds_is_not_said_to_be_due_in_the_past(hookfuse: Hookfuse, world: World) -> None:
    with world.store() as store, store.transaction() as transaction:
        opened = BreakerOpened(PAGER, "2025-02-08T12:05:00.000000Z", "x")
        transaction.append(NewEvent(installation_stream(PAGER), opened))
        (waiting,) = enqueue(
            transaction.connection, [NewDelivery(PAGER, "issue.created", "{}")], enqueued_at=transaction.recorded_at
        )
    world.clock.advance(seconds=360)
    rows = {row["delivery_id"]: row for row in hookfuse("deliveries", "--json").json}
    lines = {line.split()[0]: line for line in hookfuse("deliveries").out.splitlines()}

    assert (rows[waiting]["held_by"], rows[waiting]["held_until"]) == ("breaker", None)
    assert lines[waiting].endswith("one at a time (breaker)")
