"""Dispatcher and journal on a store that is not SQLite: they know ports, and nothing of what is behind them."""

from collections import defaultdict
from typing import Any

from actors.messages import Deliver, NoteRecorded, Poll, RecordDelivery, Release
from eventstore.common.clock import time_text
from eventstore.deliveries.record_attempts import DeliveryRecord
from eventstore.events.catalogue import DeliverySucceeded
from eventstore.memory.committer import MemoryCommitter
from eventstore.memory.log import MemoryLog
from eventstore.memory.queue import MemoryQueue
from eventstore.memory.store import MemoryStore
from eventstore.queue.delivery import NewDelivery, QueuedDelivery
from tests.actors.stage import ONE, TWO, URL, Stage


class Answering:
    """Stands for all installations' actors: each delivery succeeds, is recorded, and then released."""

    def __init__(self, stage: Stage) -> None:
        self.seen: dict[str, list[int]] = defaultdict(list)
        self.journal: Any = None
        self.dispatcher: Any = None
        self.actor_ref = self
        self._stage = stage

    def tell(self, message: Any) -> None:
        match message:
            case Deliver(delivery):
                self.seen[delivery.installation_id].append(delivery.sequence)
                record = DeliveryRecord(delivery, _success(delivery))
                self.journal.tell(RecordDelivery(record, self))  # type: ignore[arg-type]
            case NoteRecorded(record, _):
                one = record.delivery
                has_key = bool(one.ordering_key)
                release = Release(one.installation_id, one.sequence, None, True, False, has_key=has_key)
                self.dispatcher.tell(release)

    def stop(self, *, block: bool) -> None:
        """There is nothing to stop."""


def _success(one: QueuedDelivery) -> DeliverySucceeded:
    return DeliverySucceeded(one.delivery_id, one.event_name, 1, 17, one.attempts + 1, URL, status_code=200)


def test_all_that_waits_is_delivered_once_and_each_key_in_order_by_way_of_the_ports_alone(stage: Stage) -> None:
    store, now = MemoryStore(), time_text(stage.clock.now())
    keyed = NewDelivery(ONE, "issue.created", "{}", ordering_key="a")
    rows = store.enqueue([keyed, keyed, NewDelivery(TWO, "issue.created", "{}")] * 5, enqueued_at=now)
    packed = store.enqueue([NewDelivery(ONE, "issue.created", "{}")] * 20, enqueued_at=now, is_packed=True)
    behind = store.enqueue([NewDelivery(ONE, "issue.created", "{}")], enqueued_at=now)
    answering = Answering(stage)
    answering.journal = stage.journal(committer=MemoryCommitter(store, stage.clock))
    answering.dispatcher = stage.dispatcher(
        lambda _installation_id: answering, journal=answering.journal, queue=MemoryQueue(store)
    )

    answering.dispatcher.tell(Poll())
    stage.run()

    of_key = [sequence for sequence in rows if sequence % 3]
    assert [sequence for sequence in answering.seen[ONE] if sequence in of_key] == of_key
    assert [sequence for sequence in answering.seen[ONE] if sequence not in of_key] == [*packed, *behind]
    assert answering.seen[TWO] == [sequence for sequence in rows if not sequence % 3]
    assert store.look().deliveries == {}
    assert [one.type for one in MemoryLog(store).read()] == ["delivery.succeeded"] * 36
