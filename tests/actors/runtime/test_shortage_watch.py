"""What this machine is short of is not an outcome: postponed, not counted, said once, over by itself."""

import pytest
from structlog.typing import EventDict

from actors.delivery.delivery_gate import GateRule
from actors.runtime.restart_budget import ShortageWatch
from eventstore.common.shortage import FILES, LOOKUPS
from eventstore.decisions.probing import enqueue_probe
from eventstore.errors import ShortageError
from eventstore.policies.breaker import BreakerRule
from tests.actors.delivery.test_installation import Post
from tests.actors.stage import ONE, THREE, TWO, Receiver, Stage, Works, lines_of
from webhook import Outcome, WebhookRequest

SHORT = ShortageError(FILES, "nothing was sent")


class ShortReceiver(Receiver):
    """Endpoints that work, on a machine that can't reach them while `is_short`."""

    is_short = True

    def send(self, request: WebhookRequest) -> Outcome:
        answer = super().send(request)
        if self.is_short:
            raise SHORT
        return answer


def test_an_attempt_that_this_machine_could_not_make_is_postponed_and_counted_nowhere(stage: Stage) -> None:
    stage.register(ONE)
    post = Post(stage, SHORT, gate=GateRule(BreakerRule(streak_min=1)))
    before = stage.events()
    (delivery,) = stage.enqueue(ONE)
    post.deliver(delivery)

    (settled,) = post.settled
    assert (settled.is_postponed, settled.sequence) == (True, delivery.sequence)
    assert settled.retry_at == settled.hold_until is not None
    assert stage.events() == before
    assert stage.counts() == []
    assert post.noted == []
    assert stage.rows("SELECT state, attempts, last_error FROM queue") == [("waiting", 0, "")]


def test_after_a_shortage_nothing_is_sent_to_the_installation_for_some_seconds(stage: Stage) -> None:
    stage.register(ONE)
    post = Post(stage, SHORT)
    first, second = stage.enqueue(ONE, 2)
    post.deliver(first)
    post.deliver(second)

    assert [request.delivery_id for request in post.sender.requests] == [first.delivery_id]
    assert [settled.is_postponed for settled in post.settled] == [True, True]
    assert post.settled[1].hold_until == post.settled[0].hold_until


def test_when_a_shortage_is_over_all_is_delivered_and_nothing_has_failed(stage: Stage) -> None:
    stage.register(ONE, TWO, THREE)
    works = Works(stage, receiver=ShortReceiver())
    for one in (ONE, TWO, THREE):
        stage.enqueue(one, 5)
    for _ in range(20):
        works.look_around(after_s=1.0)
    assert stage.rows("SELECT count(*) FROM queue") == [(15,)]

    works.receiver.is_short = False  # type: ignore[attr-defined] # it is a ShortReceiver
    for _ in range(10):
        works.look_around(after_s=1.0)

    assert stage.rows("SELECT count(*) FROM queue") == [(0,)]
    assert [dict(counts) for counts in stage.counts()] == [{"success": 5}] * 3
    assert {event.attempt for event in stage.events("delivery.succeeded")} == {1}


def test_a_backlog_is_tried_one_at_a_time_and_not_at_once_again_while_the_shortage_lasts(stage: Stage) -> None:
    stage.register(ONE)
    works = Works(stage, receiver=ShortReceiver())
    stage.enqueue(ONE, 50)
    works.look_around()
    sent = [works.look_around(after_s=1.0) for _ in range(20)]

    assert sum(sent) <= 20


def test_a_test_delivery_is_postponed_by_a_shortage_too(stage: Stage) -> None:
    stage.register(ONE)
    works = Works(stage, receiver=ShortReceiver())
    with stage.store.transaction() as transaction:
        enqueue_probe(transaction, ONE, by="person:ada")
    works.look_around()
    assert stage.rows("SELECT count(*) FROM queue WHERE is_probe") == [(1,)]

    works.receiver.is_short = False  # type: ignore[attr-defined] # as above
    for _ in range(5):
        works.look_around(after_s=1.0)

    assert len(stage.events("probe.succeeded")) == 1
    assert stage.events("probe.failed") == []


def test_a_delivery_that_no_thread_can_be_started_for_is_postponed(stage: Stage) -> None:
    class ThreadlessPool:
        def submit(self, task: object) -> None:
            raise RuntimeError("can't start new thread")

    stage.register(ONE)
    post = Post(stage, send_pool=ThreadlessPool())
    post.deliver(*stage.enqueue(ONE))

    assert stage.events("delivery.failed") == []
    assert [settled.is_postponed for settled in post.settled] == [True]


def test_a_hundred_deliveries_that_one_shortage_postpones_are_one_warning(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE, TWO, THREE)
    works = Works(stage, receiver=ShortReceiver())
    for one in (ONE, TWO, THREE):
        stage.enqueue(one, 30)
    for _ in range(10):
        works.look_around(after_s=1.0)

    (line,) = lines_of(lines, "shortage_began")
    assert line["short_of"] == FILES.what
    assert line["fix"] == FILES.fix
    assert lines_of(lines, "attempt_crashed") == lines_of(lines, "actor_crashed") == []


@pytest.mark.parametrize("times", [1, 1000])
def test_the_end_of_a_shortage_is_said_once_with_how_often_it_was_met(times: int, lines: list[EventDict]) -> None:
    now_s = 100.0
    watch = ShortageWatch(lambda: now_s)
    for _ in range(times):
        watch.note(FILES, done="postponed")
    watch.note(LOOKUPS, done="postponed")
    now_s += 14.0
    watch.look_around()
    assert lines_of(lines, "shortage_over") == []

    watch.note(LOOKUPS, done="postponed")
    now_s += 14.0
    watch.look_around()
    watch.look_around()

    (line,) = lines_of(lines, "shortage_over")
    assert (line["short_of"], line["times"]) == (FILES.what, times)
    assert len(lines_of(lines, "shortage_began")) == 2
