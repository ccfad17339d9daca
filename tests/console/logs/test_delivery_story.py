import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from console.logs.delivery_story import Story, StorySources, tell_story
from console.logs.log_entry import read_entry
from console.logs.story_text import event_words
from console.shell.exit_codes import ExitCode
from eventstore.common.clock import ManualClock, parse_time, time_text
from eventstore.common.identifiers import installation_stream
from eventstore.decisions.review import ReviewRequest, review
from eventstore.events.catalogue import (
    EVENT_CLASSES,
    BreakerClosed,
    BreakerOpened,
    DeliveryDropped,
    DeliveryExhausted,
    DeliveryExpired,
    DeliveryFailed,
    DeliveryMissed,
    DeliveryRequeued,
    DeliverySucceeded,
    DeliveryTimedOut,
    DisableEvidence,
    Event,
    FailureRecord,
    InstallationDisabled,
    InstallationEnabled,
    InstallationWarned,
    ProbeFailed,
    RecoveryStarted,
)
from eventstore.log.event_log import NewEvent, StoredEvent
from eventstore.policies.policy import BALANCED
from eventstore.queue.delivery import NewDelivery, QueuedDelivery
from eventstore.queue.enqueue import enqueue
from eventstore.queue.queries import find_delivery
from replay.trace.delivery_trail import Trail
from tests.console.conftest import CHAT, PAGER, Hookfuse, World, attempt
from tests.console.logs.lines import line

_ID = "0194cbae-8600-7000-8000-000000000001"  # made at 2025-02-03T12:00:00
_START = "2025-02-03T12:00:00.000000Z"
_STREAM = installation_stream(PAGER)
_LOST = "its level was higher then, or the lines were lost (a full disk, a damaged file, or older ones taken away)"


def _at(seconds: float) -> str:
    return time_text(parse_time(_START) + timedelta(seconds=seconds))


def _stored(seconds: float, position: int, event: Event) -> StoredEvent:
    return StoredEvent(position, _STREAM, position, _at(seconds), event)


def _failed(**fields: Any) -> DeliveryFailed:
    given = {"delivery_id": _ID, "status_code": 500, "error_class": "server_error", "detail": "answered 500"}
    return DeliveryFailed(**attempt(5, "pager", **given | fields))


def _succeeded(**fields: Any) -> DeliverySucceeded:
    return DeliverySucceeded(**attempt(5, "pager", delivery_id=_ID, status_code=200, **fields))


def _logged(position: int | None, seconds: float = 0, **fields: Any) -> bytes:
    return line(0, delivery_id=_ID, position=position, timestamp=_at(seconds), installation_id=PAGER, **fields).strip()


def _sources(
    events: Sequence[StoredEvent] = (),
    around: Sequence[StoredEvent] = (),
    lines: Sequence[bytes] = (),
    queued: QueuedDelivery | None = None,
) -> StorySources:
    entries = [(raw, read_entry(raw)) for raw in lines]
    return StorySources(
        delivery_id=_ID,
        queued=queued,
        stream=_STREAM if events or queued else "",
        trail=Trail(tuple(events), tuple(around)),
        lines=tuple((raw, entry) for raw, entry in entries if entry is not None),
        log_begins_at=_at(-3600),
    )


def _told(story: Story) -> list[tuple[str, str]]:
    return [(" and ".join(entry.sources), entry.text) for entry in story.entries]


def _queued(**fields: Any) -> QueuedDelivery:
    values: dict[str, Any] = {
        "sequence": 1,
        "delivery_id": _ID,
        "installation_id": PAGER,
        "event_name": "issue.created",
        "ordering_key": "",
        "state": "waiting",
        "attempts": 1,
        "enqueued_at": _START,
        "due_at": _at(60),
        "last_error": "500 server_error",
        "actor": None,
        "data": "{}",
    }
    return QueuedDelivery(**values | fields)


def test_a_story_is_told_in_the_order_of_time_and_says_who_knows_what() -> None:
    events = [
        _stored(1, 10, _failed(retry_at=_at(6))),
        _stored(6.5, 12, _succeeded(attempt=2, duration_ms=40.0)),
    ]
    story = tell_story(_sources(events, lines=[_logged(12, 6.6), _logged(None, 3, event="attempt_crashed", done="x")]))

    assert _told(story) == [
        ("id", "its id was made, and it was queued then"),
        ("events", "attempt 1 failed, 500 server_error after 12 ms, again at 2025-02-03T12:00:06Z"),
        ("log", "attempt_crashed  succeeded  done=x"),
        ("events and log", "attempt 2 succeeded, 200 after 40 ms"),
    ]
    assert (story.state, story.installation_id, story.event) == ("delivered", PAGER, "metric_alert.critical")
    assert story.notes == (f"1 event is not in the log: {_LOST}",)


def test_where_the_log_begins_later_that_is_said() -> None:
    story = tell_story(replace(_sources([_stored(1, 10, _succeeded())]), log_begins_at=_at(100)))

    assert story.notes == (f"1 event is not in the log: it begins at {_at(100)}",)


def test_where_there_is_no_log_that_is_said() -> None:
    story = tell_story(replace(_sources([_stored(1, 10, _succeeded())]), log_begins_at=""))

    assert story.notes == ("1 event is not in the log: there is none of that time",)


def test_what_the_log_alone_knows_is_a_story_too() -> None:
    story = tell_story(_sources(lines=[_logged(7, 1, event="delivery_attempted")]))

    assert (story.installation_id, story.event) == (PAGER, "issue.created")
    assert story.state == "unknown: it is no longer in the queue, and its end is not recorded"
    assert story.notes == (
        "the log names event 7, which is not one of this delivery: it may belong to another home",
        "it is known from the log only: no event names it",
    )


def test_an_exception_of_the_log_stands_below_its_line() -> None:
    raw = _logged(
        None, 1, event="attempt_crashed", exception=[{"exc_type": "KeyError", "exc_value": "k", "frames": []}]
    )

    (entry,) = [entry for entry in tell_story(_sources(lines=[raw])).entries if entry.sources == ("log",)]

    assert entry.exception == ("KeyError: k",)


def test_why_a_due_delivery_waited_is_told() -> None:
    events = [
        _stored(1, 10, _failed(retry_at=_at(6))),
        _stored(400, 20, _failed(attempt=2, retry_at=_at(430))),
        _stored(900, 30, _succeeded(attempt=3)),
        _stored(901, 31, DeliveryRequeued(_ID, "e", "dead", "person:ann")),
        _stored(2000, 32, _succeeded(attempt=1)),
    ]
    around = [
        _stored(2, 11, BreakerOpened(PAGER, _at(302), "10 failures in a row")),
        _stored(410, 21, _failed(delivery_id="other", status_code=429, hold_until=_at(800))),
    ]

    story = tell_story(_sources(events, around))

    waits = [(entry.at, entry.text) for entry in story.entries if not entry.sources]
    assert waits == [
        (_at(6), "due, and waits 6m 33s: the breaker is open until 2025-02-03T12:05:02Z"),
        (_at(430), "due, and waits 7m 49s: the endpoint had asked for a pause until 2025-02-03T12:13:20Z"),
        (
            _at(901),
            "due, and waits 18m 18s: for its turn (order, a rate limit, other deliveries), or no daemon was running",
        ),
    ]
    assert (
        "events",
        "the endpoint asks for a pause until 2025-02-03T12:13:20Z (it answered another delivery with 429)",
    ) in _told(story)


def _evidence(position: int) -> DisableEvidence:
    failure = FailureRecord(position, _at(1), 500, "server_error")
    return DisableEvidence("balanced", 1, "no-success", "no success within 7 days", (), position, None, failure)


@pytest.mark.parametrize(
    ("decision", "is_decision"),
    [
        (InstallationDisabled(PAGER, 5, 17, "u", "policy", "system", "", _evidence(10)), True),
        (InstallationDisabled(PAGER, 5, 17, "u", "policy", "system", "", _evidence(9)), False),
        (InstallationDisabled(PAGER, 5, 17, "u", "person", "person:ann", "why"), False),
        (InstallationDisabled(PAGER, 5, 17, "u", "receiver", "system", ""), False),
        (InstallationWarned(PAGER, 5, 17, "u", 50, 0.5, _evidence(10)), True),
    ],
)
def test_a_decision_that_rests_on_it_is_named_even_when_it_is_dead(decision: Event, is_decision: bool) -> None:
    events = [_stored(1, 10, _failed()), _stored(1, 11, DeliveryExhausted(_ID, "e", 1, "server_error", 500))]

    story = tell_story(_sources(events, [_stored(2, 12, decision)], queued=_queued(state="dead")))

    assert [entry.is_decision for entry in story.entries if entry.position == 12] == [True] * is_decision


def test_a_410_is_what_the_receivers_disabling_came_of() -> None:
    gone = _failed(status_code=410, error_class="gone")
    decision = InstallationDisabled(PAGER, 5, 17, "u", "receiver", "system", "it answered 410 Gone")

    story = tell_story(_sources([_stored(1, 10, gone)], [_stored(2, 12, decision)]))

    (entry,) = [entry for entry in story.entries if entry.is_decision]
    assert entry.text == "the installation is disabled by system (receiver): it answered 410 Gone"


def test_what_happens_around_it_is_told_while_it_waits_and_not_while_it_rests() -> None:
    around = [
        _stored(-5, 1, BreakerOpened(PAGER, _at(0), "before it was queued")),
        _stored(3, 11, BreakerOpened(PAGER, _at(10), "while it waits")),
        _stored(20, 14, BreakerOpened(PAGER, _at(30), "while it is dead")),
        _stored(40, 16, BreakerClosed(PAGER, _at(50))),
        _stored(60, 18, InstallationEnabled(PAGER, "person:ann", "fixed")),
        _stored(70, 19, BreakerOpened(PAGER, _at(80), "while it is missed")),
    ]
    events = [
        _stored(2, 10, _failed(retry_at=_at(5))),
        _stored(12, 12, _failed(attempt=2)),
        _stored(12, 13, DeliveryExhausted(_ID, "e", 2, "server_error", 500)),
        _stored(30, 15, DeliveryRequeued(_ID, "e", "dead", "person:ann")),
        _stored(50, 17, DeliveryMissed(_ID, "e", _START, 2)),
    ]

    story = tell_story(_sources(events, around))

    assert [entry.position for entry in story.entries if entry.position] == [10, 11, 12, 13, 15, 16, 17, 18]
    assert ("events", "queued") in _told(story)


@pytest.mark.parametrize(
    ("queued", "state"),
    [
        (_queued(), "waiting"),
        (_queued(state="dead"), "dead"),
        (_queued(state="missed", is_expired=True), "missed, payload gone"),
    ],
)
def test_the_queue_says_how_it_stands(queued: QueuedDelivery, state: str) -> None:
    story = tell_story(_sources(queued=queued))

    assert (story.state, story.event) == (state, "issue.created")
    assert _told(story) == [("queue", "queued")]


@pytest.mark.parametrize("type_name", [name for name in EVENT_CLASSES if name.startswith(("delivery.", "probe."))])
def test_every_event_of_a_delivery_has_words(type_name: str) -> None:
    made: dict[str, Event] = {
        "delivery.missed": DeliveryMissed(_ID, "e", _START),
        "delivery.exhausted": DeliveryExhausted(_ID, "e", 8, "dns"),
        "delivery.requeued": DeliveryRequeued(_ID, "e", "dead", "person:ann"),
        "delivery.dropped": DeliveryDropped(_ID, "e", "dead", "person:ann", "r"),
        "delivery.expired": DeliveryExpired(_ID, "e", "dead", _START),
    }
    event = made.get(type_name) or EVENT_CLASSES[type_name](**attempt(5, "pager"))

    assert event_words(event, is_own=True) not in ("", type_name)


def test_events_of_later_versions_are_told_by_their_name() -> None:
    class Strange(Event, frozen=True):
        type_name = "installation.strange"

    del EVENT_CLASSES["installation.strange"]  # no other test knows it

    assert event_words(Strange(), is_own=False) == "installation.strange"


def test_words_say_what_was_done_and_by_whom() -> None:
    words = [
        event_words(event, is_own=True)
        for event in (
            DeliveryTimedOut(**attempt(5, "p", error_class="dns", detail="no address", duration_ms=1.4)),
            ProbeFailed(**attempt(5, "p", status_code=500, error_class="server_error")),
            DeliveryRequeued(_ID, "e", "dead", "person:ann", "fixed"),
            BreakerOpened(PAGER, _at(0), "ten", is_dry_run=True),
            RecoveryStarted(PAGER, "person:ann", 3, _START, _START),
        )
    ]

    assert words == [
        "attempt 1 timed out, dns no address after 1 ms",
        "the test delivery failed, 500 server_error after 12 ms",
        "sent again (it was dead) by person:ann: fixed",
        "the breaker opens until 2025-02-03T12:00:00Z, in a dry run: nothing waits: ten",
        "the recovery of 3 missed deliveries begins, by person:ann",
    ]


# --- the command ---


def test_log_events_and_queue_are_joined(hookfuse: Hookfuse, world: World) -> None:
    world.home.log.write_bytes(
        line(1, delivery_id=world.dead_id, position=29, outcome="failed", installation_id=PAGER) + line(2)
    )

    ended = hookfuse("logs", "delivery", world.dead_id, "--json")

    story = ended.json
    assert set(story) == {
        "delivery_id",
        "installation_id",
        "event",
        "state",
        "due_at",
        "held_by",
        "entries",
        "notes",
    }
    assert set(story["entries"][0]) == {"at", "sources", "text", "position", "is_decision", "exception"}
    assert (story["delivery_id"], story["installation_id"], story["state"]) == (world.dead_id, PAGER, "dead")
    assert [(entry["sources"], entry["position"]) for entry in story["entries"]][1:] == [(["events", "log"], 29)]
    assert (story["due_at"], story["held_by"], story["notes"]) == (None, [], [])


def test_a_person_is_told_the_same(hookfuse: Hookfuse, world: World) -> None:
    shown = hookfuse("logs", "delivery", world.dead_id).out

    assert f"installation  {PAGER}" in shown
    assert "state         dead" in shown
    assert "  queue             queued" in shown
    assert "  event 29          dead: no attempts are left after 1" in shown


def test_what_holds_a_waiting_one_back_now_is_said(hookfuse: Hookfuse, world: World, clock: ManualClock) -> None:
    with world.store() as store, store.transaction() as transaction:
        keyed = [NewDelivery(PAGER, "issue.created", "{}", ordering_key="k") for _ in range(2)]
        first, second = enqueue(transaction.connection, keyed, enqueued_at=transaction.recorded_at)
        until = time_text(clock.now() + timedelta(minutes=5))
        transaction.append(NewEvent(_STREAM, BreakerOpened(PAGER, until, "ten")))

    story = hookfuse("logs", "delivery", second, "--json").json

    assert story["held_by"] == [
        "the breaker is open until 2025-02-08T12:05:00Z: its deliveries wait",
        f"delivery {first}, which has the same ordering key and was queued before it",
    ]
    assert story["due_at"] is not None
    assert f"{first}, which has the same" in hookfuse("logs", "delivery", second).out


def test_one_that_left_the_queue_is_found_by_its_events_or_by_the_log(hookfuse: Hookfuse, world: World) -> None:
    gone = "0194e7d8-3a00-7000-8000-000000000001"
    world.home.log.write_bytes(line(1, delivery_id=gone, position=5, installation_id=CHAT))

    assert "known from the log only" in hookfuse("logs", "delivery", gone).out
    with world.store() as store, store.transaction() as transaction:
        transaction.append(
            NewEvent(_STREAM, DeliverySucceeded(**attempt(5, "pager", delivery_id=gone, status_code=200)))
        )
    story = hookfuse("logs", "delivery", gone, "--json").json
    assert (story["installation_id"], story["state"]) == (PAGER, "delivered")


def test_files_without_a_home_are_enough(hookfuse: Hookfuse, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(line(1, delivery_id=_ID))

    ended = hookfuse("logs", "delivery", _ID, tmp_path / "log", home=tmp_path / "none")

    assert (ended.code, ended.err) == (0, "")
    assert "delivery_attempted  succeeded" in ended.out


@pytest.mark.parametrize(("delivery_id", "code"), [(_ID, ExitCode.NOT_FOUND), ("nothing", ExitCode.BAD_INPUT)], ids=str)
def test_one_that_nobody_knows_is_said(hookfuse: Hookfuse, world: World, delivery_id: str, code: ExitCode) -> None:
    ended = hookfuse("logs", "delivery", delivery_id)

    assert (ended.code, ended.out, ended.err.count("\n")) == (code, "", 1)


def test_nothing_of_the_story_moves_the_cursor(hookfuse: Hookfuse, world: World) -> None:
    evil = "0194e7d8-3a00-7000-8000-000000000002"
    world.home.log.write_bytes(line(1, delivery_id=evil, event="\x1b[2J", x="\x9b", exception=["\x1b[2J"]))

    assert "\x1b" not in hookfuse("logs", "delivery", evil).out
    assert json.loads(hookfuse("logs", "delivery", evil, "--json").out)


def test_the_delivery_on_which_a_policy_decided_says_so(hookfuse: Hookfuse, world: World, clock: ManualClock) -> None:
    """With the real decision of the store, and its evidence."""
    with world.store() as store:
        with store.transaction() as transaction:
            (last,) = enqueue(
                transaction.connection, [NewDelivery(PAGER, "e", "{}")], enqueued_at=transaction.recorded_at
            )
        for day in range(8):
            with store.transaction() as transaction:
                failed = DeliveryFailed(
                    **attempt(
                        5, "pager", delivery_id=last if day == 7 else "x", status_code=500, error_class="server_error"
                    )
                )
                transaction.append(*[NewEvent(_STREAM, failed)] * 2)
            clock.advance(days=1)
        with store.transaction() as transaction:
            assert review(transaction, ReviewRequest(PAGER, BALANCED)).is_changed
        assert find_delivery(store.connection, last) is not None

    decisions = [one for one in hookfuse("logs", "delivery", last, "--json").json["entries"] if one["is_decision"]]

    assert [one["text"].partition(":")[0] for one in decisions] == ["the installation is disabled by system (policy)"]
    assert "(this delivery is part of its evidence)" in hookfuse("logs", "delivery", last).out
