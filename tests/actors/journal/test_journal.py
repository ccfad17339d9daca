import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from structlog.typing import EventDict

from actors.journal.journal import GroupCommit
from actors.messages import (
    BatchesUnpacked,
    Decide,
    ExpirePayloads,
    FinishFirst,
    ForgetKeys,
    NoteRecorded,
    RecordDelivery,
    RecordEvent,
    RecordMail,
    Ref,
    SendProbe,
    UnpackBatches,
)
from eventstore.common.identifiers import FLEET_STREAM, installation_stream
from eventstore.common.shortage import FILES
from eventstore.decisions.decision import Change, Decision
from eventstore.decisions.review import ReviewRequest
from eventstore.deliveries.record_attempts import DeliveryRecord
from eventstore.errors import DiskFullError, ShortageError
from eventstore.events.catalogue import (
    BreakerOpened,
    DeliveryFailed,
    DeliverySucceeded,
    DisablingFrozen,
    InstallationRemoved,
    MailSent,
)
from eventstore.policies.day_counts import counted_class_of
from eventstore.policies.policy import BALANCED
from eventstore.projections import catalogue as projections
from eventstore.queue.acknowledge import mark_missed
from eventstore.queue.delivery import NewDelivery, QueuedDelivery
from eventstore.queue.enqueue import enqueue
from eventstore.unit_of_work import Store, Transaction
from tests.actors.stage import DATA, EVENT_NAME, ONE, TWO, URL, Heard, Stage, lines_of

AGAIN_AT = "2025-02-03T12:00:05.000000Z"


def failed(delivery: QueuedDelivery, **fields: Any) -> DeliveryRecord:
    values: dict[str, Any] = {"status_code": 500, "error_class": "server_error", "retry_at": AGAIN_AT}
    event = DeliveryFailed(
        delivery.delivery_id, delivery.event_name, 1111, 1111, delivery.attempts + 1, URL, **values | fields
    )
    return DeliveryRecord(delivery, event)


def succeeded(delivery: QueuedDelivery) -> DeliveryRecord:
    event = DeliverySucceeded(
        delivery.delivery_id, delivery.event_name, 1111, 1111, delivery.attempts + 1, URL, status_code=200
    )
    return DeliveryRecord(delivery, event)


class Room:
    """A journal, and somebody who is told what is recorded."""

    def __init__(self, stage: Stage, store: Store | None = None, **company: Any) -> None:
        self.stage = stage
        self.heard = stage.hear()
        self.store = store or stage.open_store()
        self.statements: list[str] = []
        self.ref = stage.journal(self.store, **company)
        self.store.connection.set_trace_callback(self.statements.append)

    def record(self, *records: DeliveryRecord) -> None:
        """Tell all records before the journal has its turn."""
        for record in records:
            self.ref.tell(RecordDelivery(record, self.heard.ref))
        self.stage.run()

    @property
    def commits(self) -> int:
        return self.statements.count("COMMIT")

    @property
    def positions(self) -> list[int | None]:
        return [learned.position for learned in self.heard.of(NoteRecorded)]


def on_disk(stage: Stage) -> tuple[list[Any], ...]:
    """Return what one outcome touches."""
    return (
        stage.rows("SELECT * FROM queue"),
        stage.rows("SELECT * FROM events"),
        stage.rows("SELECT * FROM buffer"),
        stage.rows("SELECT * FROM request_log"),
    )


def test_the_records_of_a_turn_share_one_commit(stage: Stage) -> None:
    room = Room(stage)
    room.record(*map(succeeded, stage.enqueue(ONE, 100)))

    assert room.commits == 1
    assert len(stage.events("delivery.succeeded")) == 100


def test_records_of_two_turns_have_two_commits(stage: Stage) -> None:
    room = Room(stage)
    first, second = stage.enqueue(ONE, 2)
    room.record(succeeded(first))
    room.record(succeeded(second))

    assert room.commits == 2


class Waiting:
    """A clock that passes only while the journal waits; meanwhile others come, by the one at each look."""

    def __init__(self, stage: Stage, *, enough: int = 8, comers: int = 0, before: int = 2) -> None:
        self.now_s = 0.0
        self.slept_s: list[float] = []
        self.room = Room(stage, company=GroupCommit(enough, 0.010), clock_s=lambda: self.now_s, sleep=self._sleep)
        self.deliveries = stage.enqueue(ONE, before + 1 + comers)
        self.record(before)  # the commit before

    def record(self, count: int = 1) -> None:
        self.room.record(*(succeeded(self.deliveries.pop()) for _ in range(count)))

    def _sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds
        if self.deliveries:
            self.room.ref.tell(RecordDelivery(succeeded(self.deliveries.pop()), self.room.heard.ref))


def test_an_outcome_right_behind_a_commit_waits_for_others_and_shares_theirs(stage: Stage) -> None:
    waiting = Waiting(stage, comers=2)
    waiting.record()

    assert sum(waiting.slept_s) == pytest.approx(0.010)
    assert waiting.room.commits == 2
    assert waiting.room.positions == [1, 2, 3, 4, 5]


def test_an_outcome_waits_no_longer_once_there_are_as_many_as_one_installation_may_hold(stage: Stage) -> None:
    waiting = Waiting(stage, enough=2, comers=1)
    waiting.record()

    assert 0 < sum(waiting.slept_s) < 0.010
    assert waiting.room.commits == 2


def test_an_outcome_behind_one_that_was_alone_is_committed_at_once(stage: Stage) -> None:
    waiting = Waiting(stage, before=1)
    waiting.record()

    assert not waiting.slept_s
    assert waiting.room.commits == 2


@pytest.mark.parametrize(("enough", "passed_s"), [(1, 0.0), (8, 0.010)])
def test_an_outcome_that_comes_late_enough_or_need_not_share_is_committed_at_once(
    stage: Stage, enough: int, passed_s: float
) -> None:
    waiting = Waiting(stage, enough=enough)
    waiting.now_s += passed_s
    waiting.record()

    assert not waiting.slept_s
    assert waiting.room.commits == 2


def test_each_record_is_told_its_own_position(stage: Stage) -> None:
    room = Room(stage)
    room.record(*map(succeeded, stage.enqueue(ONE, 3)))

    assert room.positions == [1, 2, 3]


def test_a_turn_without_records_commits_nothing(stage: Stage) -> None:
    room = Room(stage)
    room.record()

    assert room.commits == 0


def test_somebody_is_told_only_when_it_is_on_disk(stage: Stage) -> None:
    room = Room(stage)
    seen_by_others: list[int] = []

    class Reader:
        def tell(self, _message: object) -> None:
            seen_by_others.append(stage.rows("SELECT count(*) FROM events")[0][0])

    for delivery in stage.enqueue(ONE, 3):
        room.ref.tell(RecordDelivery(succeeded(delivery), Reader()))  # type: ignore[arg-type]
    stage.run()

    assert seen_by_others == [3, 3, 3]


class FaultyStore(Store):
    """Takes everything in, and fails when it is to be committed."""

    faults: int = 0
    fault: Exception = DiskFullError("the disk is full")

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with super().transaction() as transaction:
            yield transaction
            if self.faults:
                self.faults -= 1
                raise self.fault


def test_a_commit_that_fails_tells_nobody(stage: Stage, lines: list[EventDict]) -> None:
    store = FaultyStore(stage.path, stage.clock)
    store.faults = 9
    room = Room(stage, store)
    before = on_disk(stage)
    room.record()
    deliveries = stage.enqueue(ONE, 3)
    room.record(*map(succeeded, deliveries))
    store.close()

    assert room.heard.messages == []
    assert on_disk(stage)[1:] == before[1:]
    assert len(stage.rows("SELECT * FROM queue WHERE state = 'waiting'")) == 3


def test_a_full_disk_escalates(stage: Stage, lines: list[EventDict]) -> None:
    store = FaultyStore(stage.path, stage.clock)
    store.faults = 1
    room = Room(stage, store)
    room.record(*map(succeeded, stage.enqueue(ONE)))
    store.close()

    assert room.heard.messages == []
    assert len(stage.escalations) == 1
    assert "DiskFullError" in stage.escalations[0]
    assert not room.ref.is_alive()


def test_what_was_recorded_before_the_disk_was_full_is_committed(stage: Stage, lines: list[EventDict]) -> None:
    deliveries = stage.enqueue(ONE, 200)
    room = Room(stage)
    room.record(*map(succeeded, deliveries[:10]))
    (pages,) = room.store.connection.execute("PRAGMA page_count").fetchone()
    room.store.connection.execute(f"PRAGMA max_page_count = {pages}")
    room.record(*(failed(delivery, response_body="x" * 1024) for delivery in deliveries[10:]))

    assert "DiskFullError" in stage.escalations[0]
    assert room.positions == list(range(1, 11))
    assert len(stage.events()) == 10
    assert stage.rows("SELECT count(*) FROM queue WHERE state = 'waiting' AND attempts = 0") == [(190,)]


def test_an_outcome_that_comes_twice_is_counted_once(stage: Stage) -> None:
    room = Room(stage)
    (delivery,) = stage.enqueue(ONE)
    room.record(failed(delivery))
    room.record(failed(delivery))

    assert room.positions == [1, 0]
    assert stage.counts() == [(("server_error", 1),)]
    assert stage.rows("SELECT attempts FROM queue") == [(1,)]


def test_an_outcome_that_comes_twice_in_one_turn_is_counted_once(stage: Stage) -> None:
    room = Room(stage)
    first, second = stage.enqueue(ONE, 2)
    room.record(succeeded(first), succeeded(first), succeeded(second))

    assert room.positions == [1, 0, 2]
    assert stage.counts() == [(("success", 2),)]


def unreadable(delivery: QueuedDelivery) -> DeliveryRecord:
    return failed(delivery, response_body="\ud800")  # no UTF-8


def test_one_bad_record_does_not_take_the_others_with_it(stage: Stage, lines: list[EventDict]) -> None:
    room = Room(stage)
    first, bad, last = stage.enqueue(ONE, 3)
    room.record(failed(first), unreadable(bad), failed(last))

    assert room.positions == [1, None, 2]
    assert stage.rows("SELECT attempts FROM queue ORDER BY sequence") == [(1,), (0,), (1,)]
    assert len(lines_of(lines, "record_failed")) == 1
    assert stage.escalations == []


def test_after_a_bad_record_the_journal_goes_on(stage: Stage, lines: list[EventDict]) -> None:
    room = Room(stage)
    bad, good = stage.enqueue(ONE, 2)
    room.record(unreadable(bad))
    room.record(failed(good))

    assert room.positions == [None, 1]


def test_the_disk_that_gets_full_in_the_middle_of_mending_escalates(stage: Stage, lines: list[EventDict]) -> None:
    store = FaultyStore(stage.path, stage.clock)
    room = Room(stage, store)
    bad, good = stage.enqueue(ONE, 2)
    room.ref.tell(RecordDelivery(unreadable(bad), room.heard.ref))
    room.ref.tell(RecordDelivery(failed(good), room.heard.ref))
    store.faults = 1  # the group fails before its commit, the good record at it
    stage.run()
    store.close()

    assert "DiskFullError" in stage.escalations[0]
    assert room.positions == [None]


def _fail(*_arguments: object) -> Any:
    raise RuntimeError("on purpose")


@pytest.mark.parametrize("broken", range(len(projections._handlers(tuple(projections.PROJECTIONS))[DeliveryFailed])))
def test_events_queue_and_projections_change_together_or_not_at_all(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, lines: list[EventDict], broken: int
) -> None:
    room = Room(stage)
    deliveries = stage.enqueue(ONE, 3)
    before = on_disk(stage)
    handlers = [*projections._handlers(tuple(projections.PROJECTIONS))[DeliveryFailed]]
    handlers[broken] = _fail
    monkeypatch.setattr(projections, "_handlers", lambda _names: {DeliveryFailed: handlers})
    room.record(*map(failed, deliveries))

    assert on_disk(stage) == before
    assert room.positions == [None, None, None]


def test_a_recorded_outcome_is_in_events_queue_and_projections(stage: Stage) -> None:
    room = Room(stage)
    room.record(*map(failed, stage.enqueue(ONE)))

    (event,) = stage.events()
    assert counted_class_of(event) == "server_error"
    assert stage.rows("SELECT attempts, due_at FROM queue") == [(1, AGAIN_AT)]
    assert stage.counts() == [(("server_error", 1),)]
    assert stage.rows("SELECT position, is_error FROM request_log") == [(1, 1)]


REQUEST = ReviewRequest(ONE, BALANCED)


def asked(stage: Stage, ref: Ref, *messages: object) -> list[Any]:
    """Ask all before the journal has its turn, and return the replies."""
    futures = [ref.ask(message, block=False) for message in messages]
    stage.run()
    return [future.get(timeout=0) for future in futures]


def test_who_has_it_finish_first_is_answered_when_all_that_came_before_is_on_disk(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(stage)
    on_disk_before: list[int] = []
    room.ref.tell(RecordDelivery(succeeded(*stage.enqueue(ONE)), room.heard.ref))
    answer = room.ref.ask(FinishFirst(), block=False)
    monkeypatch.setattr(answer, "set", lambda _reply: on_disk_before.append(room.commits))
    stage.run()

    assert on_disk_before == [1]


def test_a_decision_sees_the_records_that_came_before_it(stage: Stage) -> None:
    stage.register(ONE)
    stage.wear_out(failures=3, days=3)
    (delivery,) = stage.enqueue(ONE)
    room = Room(stage)
    room.ref.tell(RecordDelivery(failed(delivery), room.heard.ref))
    (decision,) = asked(stage, room.ref, Decide(REQUEST))

    assert isinstance(decision, Decision)
    assert decision.is_changed
    assert decision.evidence is not None
    assert sum(day.server_error for day in decision.evidence.days) == 10


def test_a_record_that_comes_after_a_decision_is_behind_it_in_the_log(stage: Stage) -> None:
    stage.register(ONE)
    stage.wear_out()
    room = Room(stage)
    future = room.ref.ask(Decide(REQUEST), block=False)
    room.record(*map(failed, stage.enqueue(ONE)))

    assert [event.type_name for event in stage.events()][-5:] == [
        "installation.disabled",
        "audit.recorded",
        "mail.requested",
        "mail.requested",
        "delivery.failed",
    ]
    assert future.get(timeout=0).is_changed


def test_a_decision_about_a_removed_installation_is_an_answer_and_no_crash(
    stage: Stage, lines: list[EventDict]
) -> None:
    stage.register(ONE)
    stage.append(installation_stream(ONE), InstallationRemoved(ONE))
    (decision,) = asked(stage, Room(stage).ref, Decide(REQUEST))

    assert not decision.is_changed
    assert "removed" in decision.why
    assert stage.budget.crash_count == 0


def test_a_decision_about_an_unknown_installation_is_an_answer_and_no_crash(
    stage: Stage, lines: list[EventDict]
) -> None:
    (decision,) = asked(stage, Room(stage).ref, Decide(REQUEST))

    assert not decision.is_changed
    assert stage.budget.crash_count == 0


def test_the_fate_of_a_mail_is_on_disk_when_the_mailer_hears_of_it(stage: Stage) -> None:
    stage.register(ONE)
    stage.decide(ONE)
    (mail_id,) = stage.rows("SELECT mail_id FROM outbox LIMIT 1")[0]
    asked(stage, Room(stage).ref, RecordMail(installation_stream(ONE), MailSent(mail_id, 1)))

    assert stage.events("mail.sent") == [MailSent(mail_id, 1)]
    assert stage.rows("SELECT count(*) FROM outbox WHERE state = 'sent'") == [(1,)]


def test_only_old_idempotency_keys_are_forgotten(stage: Stage) -> None:
    for key in ("old", "new"):
        with stage.store.transaction() as transaction:
            new = NewDelivery(ONE, EVENT_NAME, DATA, idempotency_key=key)
            enqueue(transaction.connection, [new], enqueued_at=transaction.recorded_at)
        stage.clock.advance(seconds=60)
    Room(stage).ref.tell(ForgetKeys("2025-02-03T12:00:30.000000Z"))
    stage.run()

    assert stage.rows("SELECT idempotency_key FROM idempotency_keys") == [("new",)]


def test_a_record_whose_actor_has_ended_is_recorded_all_the_same(stage: Stage, lines: list[EventDict]) -> None:
    first, second = stage.enqueue(ONE, 1) + stage.enqueue(TWO, 1)
    room = Room(stage)
    ended = Heard(stage.pool)
    ended.ref.stop(block=False)
    room.ref.tell(RecordDelivery(succeeded(first), ended.ref))
    room.record(succeeded(second))

    assert len(stage.events("delivery.succeeded")) == 2
    assert room.positions == [2]
    assert len(lines_of(lines, "record_unheard")) == 1
    assert stage.budget.crash_count == 0


def test_a_stop_commits_what_has_gathered_and_gives_the_connection_back(stage: Stage) -> None:
    room = Room(stage)
    for delivery in stage.enqueue(ONE, 3):
        room.ref.tell(RecordDelivery(succeeded(delivery), room.heard.ref))
    room.ref.stop(block=False)
    stage.run()

    assert len(stage.events("delivery.succeeded")) == 3
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        room.store.connection.execute("SELECT 1")


OPENED = BreakerOpened(ONE, AGAIN_AT, "on purpose")


def test_an_event_shares_the_commit_of_the_records_of_its_turn(stage: Stage) -> None:
    room = Room(stage)
    room.ref.tell(RecordEvent(installation_stream(ONE), OPENED))
    room.record(*map(succeeded, stage.enqueue(ONE, 3)))

    assert room.commits == 1
    assert len(stage.events("delivery.succeeded")) == 3
    assert stage.events("breaker.opened") == [OPENED]


def test_an_event_is_recorded_though_nothing_else_is(stage: Stage) -> None:
    room = Room(stage)
    room.ref.tell(RecordEvent(installation_stream(ONE), OPENED))
    stage.run()

    assert stage.events() == [OPENED]


def test_a_decision_sees_the_events_that_came_before_it(stage: Stage) -> None:
    stage.register(ONE)
    stage.wear_out()
    room = Room(stage)
    room.ref.tell(RecordEvent(FLEET_STREAM, DisablingFrozen(10, 6, 6)))
    (decision,) = asked(stage, room.ref, Decide(REQUEST))

    assert not decision.is_changed
    assert "frozen" in decision.why


def test_a_bad_record_does_not_take_an_event_with_it(stage: Stage, lines: list[EventDict]) -> None:
    room = Room(stage)
    room.ref.tell(RecordEvent(installation_stream(ONE), OPENED))
    bad, good = stage.enqueue(ONE, 2)
    room.record(unreadable(bad), failed(good))

    assert stage.events("breaker.opened") == [OPENED]
    assert room.positions == [None, 2]
    assert stage.escalations == []


def test_a_review_is_decided_on_what_the_database_holds(stage: Stage) -> None:
    stage.register(ONE)
    stage.wear_out(failures=4, days=2)
    request = ReviewRequest(ONE, BALANCED, "internal", "hookfuse.example")
    decisions = asked(stage, Room(stage).ref, Decide(request), Decide(request))

    assert [decision.change for decision in decisions] == [Change.WARNED, Change.NOTHING]


def test_a_test_delivery_that_is_asked_for_waits_before_everything_else(stage: Stage) -> None:
    stage.register(ONE)
    stage.enqueue(ONE)
    (decision,) = asked(stage, Room(stage).ref, Decide(SendProbe(ONE)))

    assert decision.is_changed
    assert stage.rows("SELECT is_probe FROM queue WHERE state = 'waiting' ORDER BY due_at") == [(1,), (0,)]


def test_payloads_that_were_kept_for_long_enough_are_dropped(stage: Stage) -> None:
    stage.register(ONE)
    (delivery,) = stage.enqueue(ONE)
    mark_missed(stage.store.connection, delivery)
    room = Room(stage)
    found = []
    for older_than in ("2025-02-03T12:00:00.000000Z", "2025-02-03T12:00:00.000001Z"):
        asked(stage, room.ref, ExpirePayloads(older_than))
        found.append(len(stage.events("delivery.expired")))

    assert found == [0, 1]


def test_packed_batches_are_opened_in_the_commit_of_the_records_of_their_turn(stage: Stage) -> None:
    room = Room(stage)
    (delivery,) = stage.enqueue(ONE)
    stage.pack(*[ONE] * 70)
    room.ref.tell(UnpackBatches((2, 66), room.heard.ref))
    room.record(succeeded(delivery))

    assert room.commits == 1
    assert stage.rows("SELECT count(*), min(sequence), max(sequence) FROM queue") == [(70, 2, 71)]
    assert room.heard.of(BatchesUnpacked) == [BatchesUnpacked((2, 66))]


def test_who_asks_for_a_packed_batch_that_is_opened_already_hears_so(stage: Stage) -> None:
    room = Room(stage)
    stage.pack(*[ONE] * 64)
    for _ in range(2):
        room.ref.tell(UnpackBatches((1,), room.heard.ref))
        stage.run()

    assert stage.rows("SELECT count(*) FROM queue") == [(64,)]
    assert room.heard.of(BatchesUnpacked) == [BatchesUnpacked((1,))] * 2


def test_a_packed_batch_that_is_damaged_takes_no_record_and_no_other_packed_batch_with_it_and_is_kept_apart(
    stage: Stage, lines: list[EventDict]
) -> None:
    room = Room(stage)
    (delivery,) = stage.enqueue(ONE)
    stage.pack(*[ONE] * 70)
    stage.store.connection.execute("UPDATE parcels SET deliveries = CAST('rubbish' AS BLOB) WHERE first_sequence = 2")
    room.ref.tell(UnpackBatches((2,), room.heard.ref))
    room.ref.tell(UnpackBatches((66,), room.heard.ref))
    room.record(succeeded(delivery))

    assert room.positions == [1]
    assert room.heard.of(BatchesUnpacked) == [BatchesUnpacked((2,)), BatchesUnpacked((66,))]
    assert [line["first_sequence"] for line in lines_of(lines, "packed_batch_damaged")] == [2]
    assert stage.rows("SELECT first_sequence FROM parcels") == []
    assert stage.rows("SELECT first_sequence, delivery_count FROM damaged_parcels") == [(2, 64)]
    assert stage.escalations == []


class _ShortStore(Store):
    """A store that can't begin a transaction for so many times."""

    shortages = 0

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        if self.shortages:
            self.shortages -= 1
            raise ShortageError(FILES, "events.db: not opened")
        with super().transaction() as transaction:
            yield transaction


def test_a_commit_that_this_machine_is_too_short_of_something_for_is_made_later_and_nothing_is_lost(
    stage: Stage, lines: list[EventDict]
) -> None:
    stage.register(ONE)
    store = _ShortStore(stage.path, stage.clock)
    store.shortages = 20
    slept: list[float] = []
    journal = stage.journal(store, sleep=slept.append)
    heard = stage.hear()
    for delivery in stage.enqueue(ONE, 3):
        journal.tell(RecordDelivery(failed(delivery), heard.ref))
    stage.run()

    assert len(stage.events("delivery.failed")) == 3
    assert len(heard.of(NoteRecorded)) == 3
    assert len(slept) == 20
    assert len(lines_of(lines, "shortage_began")) == 1
    assert lines_of(lines, "actor_crashed") == []
    assert stage.escalations == []


def test_a_shortage_that_does_not_pass_within_a_minute_ends_the_daemon_with_what_is_short(
    stage: Stage, lines: list[EventDict]
) -> None:
    stage.register(ONE)
    store = _ShortStore(stage.path, stage.clock)
    store.shortages = 10_000
    now_s = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    journal = stage.journal(store, sleep=sleep, clock_s=lambda: now_s)
    journal.tell(RecordDelivery(failed(*stage.enqueue(ONE)), stage.hear().ref))
    stage.run()

    (reason,) = stage.escalations
    assert "short of open files" in reason
    assert len(lines_of(lines, "shortage_began")) == 1
