"""What every committer does: the one on events.db, and the one in memory."""

from datetime import timedelta
from typing import Any

import pytest

from eventstore.common.clock import time_text
from eventstore.common.identifiers import installation_stream
from eventstore.deliveries.commit_group import CommitGroup
from eventstore.deliveries.record_attempts import DeliveryRecord
from eventstore.events.catalogue import AuditRecorded, DeliveryMissed
from eventstore.log.event_log import NewEvent
from eventstore.queue.delivery import QueuedDelivery
from eventstore.queue.news import Seen
from tests.conformance.harness import ONE, TWO, Stored, new
from tests.eventstore.facts import failed, succeeded

AUDIT = AuditRecorded("home.tested", "system", "home", {})


def claimed(stored: Stored, installation_id: str = ONE) -> tuple[QueuedDelivery, ...]:
    due_at = time_text(stored.clock.now())
    known = stored.queue.poll(Seen()).seen.packed_batch
    return stored.queue.claim({installation_id: 100}, due_at=due_at, known_packed_batch=known)[
        installation_id
    ].deliveries


def types(stored: Stored, after: int = 0) -> list[str]:
    return [one.type for one in stored.log.read(after_position=after)]


def test_what_is_delivered_leaves_the_queue_and_its_outcome_has_a_position(stored: Stored) -> None:
    before, _ = stored.log.head()
    stored.put(new(), new(TWO))
    records = [DeliveryRecord(one, succeeded()) for each in (ONE, TWO) for one in claimed(stored, each)]

    assert stored.committer.commit(CommitGroup(records)) == [before + 1, before + 2]
    assert (claimed(stored), claimed(stored, TWO)) == ((), ())
    assert [one.stream for one in stored.log.read(after_position=before)] == [
        installation_stream(ONE),
        installation_stream(TWO),
    ]


def test_what_is_to_be_tried_again_waits_with_one_attempt_more_and_its_error(stored: Stored) -> None:
    stored.put(new())
    (delivery,) = claimed(stored)
    retry_at = time_text(stored.clock.now() + timedelta(seconds=5))
    stored.committer.commit(CommitGroup([DeliveryRecord(delivery, failed(retry_at=retry_at))]))

    assert claimed(stored) == ()
    stored.clock.advance(seconds=5)
    (again,) = claimed(stored)
    assert (again.sequence, again.attempts, again.due_at) == (delivery.sequence, 1, retry_at)
    assert again.last_error == "500 server_error"


@pytest.mark.parametrize("is_together", [True, False])
def test_an_outcome_that_comes_twice_counts_once(stored: Stored, is_together: bool) -> None:
    stored.put(new())
    (delivery,) = claimed(stored)
    record = DeliveryRecord(delivery, succeeded())
    before, _ = stored.log.head()
    if is_together:
        positions = stored.committer.commit(CommitGroup([record, record]))
    else:
        positions = [*stored.committer.commit(CommitGroup([record])), *stored.committer.commit(CommitGroup([record]))]

    assert positions == [before + 1, 0]
    assert types(stored, before) == ["delivery.succeeded"]


def test_an_outcome_of_an_attempt_before_counts_no_more(stored: Stored) -> None:
    stored.put(new())
    (delivery,) = claimed(stored)
    record = DeliveryRecord(delivery, failed(retry_at=time_text(stored.clock.now())))

    assert stored.committer.commit(CommitGroup([record]))[0] > 0
    assert stored.committer.commit(CommitGroup([record])) == [0]
    assert claimed(stored)[0].attempts == 1


def test_after_the_last_attempt_it_is_dead_and_that_is_an_event(stored: Stored) -> None:
    before, _ = stored.log.head()
    stored.put(new())
    stored.committer.commit(CommitGroup([DeliveryRecord(claimed(stored)[0], failed())]))

    assert claimed(stored) == ()
    assert types(stored, before) == ["delivery.failed", "delivery.exhausted"]


def test_what_is_missed_waits_no_more(stored: Stored) -> None:
    stored.put(new())
    (delivery,) = claimed(stored)
    missed = DeliveryMissed(delivery.delivery_id, delivery.event_name, delivery.enqueued_at)

    assert stored.committer.commit(CommitGroup([DeliveryRecord(delivery, missed)]))[0] > 0
    assert claimed(stored) == ()


def test_the_next_of_an_ordering_key_follows_the_one_that_was_delivered(stored: Stored) -> None:
    _, second = stored.put(new(key="a"), new(key="a"))
    stored.committer.commit(CommitGroup([DeliveryRecord(claimed(stored)[0], succeeded())]))

    assert [one.sequence for one in claimed(stored)] == [second]


def test_events_of_a_group_follow_its_outcomes(stored: Stored) -> None:
    before, _ = stored.log.head()
    stored.put(new())
    record = DeliveryRecord(claimed(stored)[0], succeeded())
    positions = stored.committer.commit(CommitGroup([record], [NewEvent("home", AUDIT), NewEvent("home", AUDIT)]))

    assert positions == [before + 1]
    assert types(stored, before) == ["delivery.succeeded", "audit.recorded", "audit.recorded"]


def test_of_packed_batches_rows_are_made_in_their_order_and_only_once(stored: Stored) -> None:
    packed = stored.put(new(), is_packed=True)
    for _ in range(2):
        assert stored.committer.commit(CommitGroup(packed_batches=[packed[0]])) == []

    assert stored.queue.unopened([packed[0]]) == ()
    assert [one.sequence for one in claimed(stored)] == packed


def test_a_group_that_cannot_be_written_leaves_nothing_behind(stored: Stored) -> None:
    stored.put(new())
    (delivery,) = claimed(stored)
    head = stored.log.head()
    not_json: Any = {"reason": object()}
    broken = NewEvent("home", AuditRecorded("home.tested", "system", "home", not_json))

    with pytest.raises(TypeError):
        stored.committer.commit(CommitGroup([DeliveryRecord(delivery, succeeded())], [broken]))

    assert claimed(stored) == (delivery,)
    assert stored.log.head() == head
    assert stored.committer.commit(CommitGroup([DeliveryRecord(delivery, succeeded())])) == [head[0] + 1]


def test_a_group_of_nothing_is_nothing(stored: Stored) -> None:
    head = stored.log.head()

    assert stored.committer.commit(CommitGroup()) == []
    assert stored.log.head() == head
