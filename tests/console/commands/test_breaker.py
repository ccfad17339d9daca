"""`hookfuse breaker close`: a person's word, recorded."""

from eventstore.common.identifiers import installation_stream
from eventstore.events.catalogue import BreakerOpened
from eventstore.log.event_log import NewEvent
from tests.console.conftest import CHAT, PAGER, Hookfuse, World


def open_breaker(world: World) -> None:
    with world.store() as store, store.transaction() as transaction:
        opened = BreakerOpened(PAGER, "2025-02-08T13:00:00.000000Z", "10 failures in a row (the limit is 10)")
        transaction.append(NewEvent(installation_stream(PAGER), opened))


def test_it_is_closed_with_who_and_why_and_the_tables_follow(hookfuse: Hookfuse, world: World) -> None:
    open_breaker(world)
    ended = hookfuse("breaker", "close", PAGER, "--by", "ann", "--reason", "fixed")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"closed the breaker of installation {PAGER} (event ")
    assert hookfuse("show", PAGER, "--json").json["breaker"]["state"] == "recovering"
    (entry,) = [one for one in hookfuse("audit", "--json").json if one["event"].endswith("close-breaker")]
    assert (entry["actor"], entry["data"]["reason"]) == ("person:ann", "fixed")
    assert "installations:" not in hookfuse("replay", "verify").out, "what is in the rows follows from the events"


def test_a_closed_one_stays_closed_and_a_program_is_told_so(hookfuse: Hookfuse, world: World) -> None:
    told = hookfuse("breaker", "close", PAGER, "--reason", "fixed", "--json").json

    assert told == {"installation_id": PAGER, "is_changed": False, "position": None, "strict_until": None}
    assert "its breaker is closed" in hookfuse("breaker", "close", PAGER, "--reason", "fixed").out


def test_of_a_disabled_one_it_is_not_the_breaker_that_holds_its_deliveries(hookfuse: Hookfuse, world: World) -> None:
    ended = hookfuse("breaker", "close", CHAT, "--reason", "fixed")

    assert (ended.code, ended.out, ended.err.count("\n")) == (3, "", 1)
    assert "hookfuse enable" in ended.err


def test_what_is_not_known_is_not_found(hookfuse: Hookfuse, world: World) -> None:
    assert hookfuse("breaker", "close", "ffffff", "--reason", "fixed").code == 4


def test_the_timeline_tells_who_closed_it_by_hand(hookfuse: Hookfuse, world: World) -> None:
    open_breaker(world)
    hookfuse("breaker", "close", PAGER, "--by", "ann", "--reason", "fixed")

    assert "closed once (by hand: person:ann)" in " ".join(hookfuse("replay", "timeline", PAGER).out.split())
    entries = hookfuse("replay", "timeline", PAGER, "--json").json["entries"]
    assert [one["breaker_closed_by"] for one in entries if one.get("breaker_closed")] == [["person:ann"]]
