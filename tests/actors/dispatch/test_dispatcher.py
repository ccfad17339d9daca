from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.typing import EventDict

from actors.dispatch.dispatcher import DispatcherActor
from actors.messages import (
    BatchesUnpacked,
    Deliver,
    Load,
    PauseClaiming,
    Poll,
    Ref,
    Refresh,
    Release,
    ReportLoad,
    UnpackBatches,
)
from eventstore.common.identifiers import installation_stream
from eventstore.common.shard import Shard, slot_of
from eventstore.decisions.probing import enqueue_probe
from eventstore.deliveries.resend import resend_kept
from eventstore.events.catalogue import InstallationEnabled
from eventstore.log.change_signal import notify_change
from eventstore.queue.acknowledge import mark_missed
from eventstore.queue.delivery import QueuedDelivery
from eventstore.queue.sqlite_queue import SqliteQueue
from eventstore.registry.apply import apply_document
from eventstore.registry.document import AppEntry, RegistryDocument
from tests.actors.stage import ONE, THREE, TWO, Heard, Stage


class Desk:
    """A dispatcher whose installations only write down what they are told."""

    def __init__(self, stage: Stage, **limits: Any) -> None:
        self.stage = stage
        self.heard: dict[str, Heard] = {}
        self.spawned: list[str] = []
        self.handed_out: list[QueuedDelivery] = []
        self.spawn_faults: list[Exception | None] = []
        self.ref = stage.dispatcher(self._spawn, **limits)

    def actor(self) -> DispatcherActor:
        actor = self.ref._actor_weakref()
        assert isinstance(actor, DispatcherActor)
        return actor

    def _spawn(self, installation_id: str) -> Ref:
        fault = self.spawn_faults.pop(0) if self.spawn_faults else None
        if fault:
            raise fault
        self.spawned.append(installation_id)
        self.heard[installation_id] = self.stage.hear()
        return self.heard[installation_id].ref

    def tell(self, *messages: Any) -> list[QueuedDelivery]:
        """Tell, crank, and return what was handed out since; each turn has one message."""
        for message in messages:
            self.ref.tell(message)
            self.stage.run()
        return self.new()

    def look_around(self) -> list[QueuedDelivery]:
        return self.tell(Poll())

    def settle(
        self,
        delivery: QueuedDelivery,
        *,
        retry_at: str | None = None,
        is_answered: bool = True,
        is_postponed: bool = False,
        hold_until: str | None = None,
    ) -> list[QueuedDelivery]:
        """Release a delivery; one that is not to be attempted again has left the queue."""
        if retry_at is None:
            self.stage.acknowledge(delivery)
        has_key = bool(delivery.ordering_key) and not is_postponed
        return self.tell(
            Release(
                delivery.installation_id,
                delivery.sequence,
                retry_at,
                is_answered,
                is_postponed,
                has_key=has_key,
                hold_until=hold_until,
            )
        )

    def new(self) -> list[QueuedDelivery]:
        known = {id(delivery) for delivery in self.handed_out}
        delivered = [message.delivery for heard in self.heard.values() for message in heard.of(Deliver)]
        new = [delivery for delivery in delivered if id(delivery) not in known]
        self.handed_out += new
        return new

    def refreshed(self, installation_id: str = ONE) -> int:
        return len(self.heard[installation_id].of(Refresh))

    def load(self) -> Load:
        future = self.ref.ask(ReportLoad(), block=False)
        self.stage.run()
        load = future.get(timeout=0)
        assert isinstance(load, Load)
        return load


def sequences(deliveries: list[QueuedDelivery]) -> list[int]:
    return [delivery.sequence for delivery in deliveries]


def of_installations(deliveries: list[QueuedDelivery]) -> list[str]:
    return [delivery.installation_id for delivery in deliveries]


def test_deliveries_are_handed_out_in_the_order_in_which_they_are_due(stage: Stage) -> None:
    first, second, third = stage.enqueue(ONE, 3)
    stage.put_off(first, -10)
    stage.put_off(second, -30)
    stage.put_off(third, -20)

    handed_out = Desk(stage).look_around()

    assert sequences(handed_out) == sequences([second, third, first])


def test_an_installation_holds_no_more_than_its_share(stage: Stage) -> None:
    stage.enqueue(ONE, 10)

    assert len(Desk(stage, per_installation=3).look_around()) == 3


def test_all_installations_together_hold_no_more_than_may_be_in_flight(stage: Stage) -> None:
    for installation_id in (ONE, TWO, THREE):
        stage.enqueue(installation_id, 3)

    assert len(Desk(stage, in_flight=5, per_installation=3).look_around()) == 5


def test_a_full_window_claims_nothing_more_when_it_looks_around(stage: Stage) -> None:
    stage.enqueue(ONE, 5)
    desk = Desk(stage, per_installation=2)
    desk.look_around()

    assert desk.look_around() == []


def test_a_settled_delivery_makes_room_for_one_more(stage: Stage) -> None:
    deliveries = stage.enqueue(ONE, 5)
    desk = Desk(stage, per_installation=2)
    desk.look_around()

    assert sequences(desk.settle(deliveries[0])) == [deliveries[2].sequence]


def test_a_delivery_that_is_settled_twice_makes_room_once(stage: Stage) -> None:
    deliveries = stage.enqueue(ONE, 5)
    desk = Desk(stage, per_installation=2)
    desk.look_around()
    desk.settle(deliveries[0])

    assert desk.settle(deliveries[0]) == []
    assert desk.load().held_deliveries == 2


def test_room_that_one_installation_gives_free_goes_to_another_that_waits(stage: Stage) -> None:
    (first,) = stage.enqueue(ONE, 1)
    stage.enqueue(TWO, 1)
    desk = Desk(stage, in_flight=1)
    desk.look_around()

    assert of_installations(desk.settle(first)) == [TWO]


def test_a_time_out_shrinks_the_window_to_one(stage: Stage) -> None:
    stage.enqueue(ONE, 10)
    desk = Desk(stage, per_installation=4)
    held = desk.look_around()

    assert desk.settle(held[0], is_answered=False) == []
    assert desk.settle(held[1], is_answered=False) == []
    assert desk.settle(held[2], is_answered=False) == []
    assert len(desk.settle(held[3], is_answered=False)) == 1


def test_answers_widen_the_window_again_by_doubling_up_to_its_limit(stage: Stage) -> None:
    stage.enqueue(ONE, 30)
    desk = Desk(stage, per_installation=5)
    held = desk.look_around()
    sizes = []
    for delivery in held:
        new = desk.settle(delivery, is_answered=False)
    for _ in range(4):
        held = desk.new() or new
        new = [one for delivery in held for one in desk.settle(delivery)]
        sizes.append(desk.load().held_deliveries)

    assert sizes == [2, 5, 5, 5]


def test_before_its_first_answer_an_installation_gets_few(stage: Stage) -> None:
    stage.enqueue(ONE, 30)
    desk = Desk(stage, per_installation=8, first_window=2)
    sizes = [len(desk.look_around())]
    for delivery in list(desk.handed_out):
        desk.settle(delivery)
        sizes.append(desk.load().held_deliveries)

    assert sizes == [2, 4, 8]


def test_those_that_do_not_answer_leave_room_for_those_that_do_and_for_new_ones(stage: Stage) -> None:
    for installation_id in (ONE, TWO):
        stage.enqueue(installation_id, 10)
    desk = Desk(stage, in_flight=8, per_installation=8, first_window=2, new_share=0.5, silent_share=0.25)
    silent = [one for one in desk.look_around() if one.installation_id == ONE]
    answering = [one for one in desk.handed_out if one.installation_id == TWO]
    desk.settle(silent[0], is_answered=False)
    for delivery in answering:
        desk.settle(delivery)
    stage.enqueue(THREE, 10)
    new = desk.look_around()
    held = desk.load().held_deliveries

    assert of_installations(new) == []  # those that answer have taken all that is left
    assert held == 8
    assert len([share for share in desk.actor()._shares if share.line is desk.actor()._shares._silent]) == 1
    assert of_installations(desk.settle([one for one in desk.handed_out if one.installation_id == TWO][-1])) == [THREE]


def test_new_ones_that_may_never_answer_leave_half_of_the_room(stage: Stage) -> None:
    for installation_id in (ONE, TWO, THREE):
        stage.enqueue(installation_id, 2)
    desk = Desk(stage, in_flight=4, per_installation=4, first_window=1, new_share=0.5, silent_share=0.25)
    first = desk.look_around()
    following = desk.settle(first[0], is_answered=False)

    assert of_installations(first) == [ONE, TWO]
    assert of_installations(following) == [ONE, THREE]


def silent_ones(stage: Stage, count: int) -> tuple[Desk, list[int]]:
    """Return a dispatcher none of whose installations has answered, and how many it tries again in the same moment."""
    for number in range(count):
        stage.enqueue(f"{number:08d}-1111-4111-8111-111111111111", 3)
    desk = Desk(stage, in_flight=100, per_installation=4, first_window=1, new_share=1.0, silent_share=0.5)
    first = desk.look_around()
    assert len(first) == count
    return desk, [len(desk.settle(delivery, is_answered=False)) for delivery in first]


def test_a_few_that_do_not_answer_are_tried_at_once_and_more_of_them_apart(stage: Stage) -> None:
    desk, tried = silent_ones(stage, 12)
    stage.clock_s += 0.051
    tried += [len(desk.look_around()) for _ in range(2)]
    stage.clock_s += 0.049
    tried += [len(desk.look_around())]
    stage.clock_s += 0.002
    tried += [len(desk.look_around())]

    assert tried == [1] * 8 + [0] * 4 + [1, 0, 0, 1]


def test_where_one_of_them_ends_soon_the_next_is_tried_at_once(stage: Stage) -> None:
    desk, _ = silent_ones(stage, 12)
    tried = {delivery.installation_id for delivery in desk.handed_out[12:]}
    following = [of_installations(desk.settle(delivery)) for delivery in desk.handed_out[-2:]]

    assert [len(set(some) - tried) for some in following] == [1, 1]  # beside the rest for the one that has answered


@given(
    steps=st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.booleans()), max_size=40),
    in_flight=st.integers(1, 6),
    share=st.sampled_from([0.25, 0.5, 1.0]),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_whoever_answers_or_not_the_room_is_kept(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[int, bool, bool]],
    in_flight: int,
    share: float,
) -> None:
    stage = Stage(tmp_path_factory.mktemp("stage"))
    try:
        for installation_id in (ONE, TWO, THREE):
            stage.enqueue(installation_id, 60)
        desk = Desk(
            stage, in_flight=in_flight, per_installation=3, first_window=2, new_share=share, silent_share=share / 2
        )
        held = desk.look_around()
        for number, is_answered, is_postponed in steps:
            one = held.pop(number % len(held))
            until = "2025-02-03T13:00:00.000000Z" if is_postponed else None
            held += desk.settle(one, is_answered=is_answered, is_postponed=is_postponed, retry_at=until)
            shares = desk.actor()._shares
            held_in = {id(line): 0 for line in (shares._new, shares._silent, shares._answering)}
            for one_share in shares:
                held_in[id(one_share.line)] += len(one_share.in_flight)

            assert sum(held_in.values()) == len(held) <= in_flight
            assert shares._new.room == max(1, int(in_flight * share)) - held_in[id(shares._new)]
            assert shares._silent.room == max(1, int(in_flight * share / 2)) - held_in[id(shares._silent)]
            assert shares._answering.room == in_flight - held_in[id(shares._answering)]
            if not held:
                break
    finally:
        stage.close()


def test_a_burst_for_one_installation_does_not_hold_up_the_others(stage: Stage) -> None:
    stage.enqueue(ONE, 50)
    stage.enqueue(TWO, 2)
    stage.enqueue(THREE, 2)
    desk = Desk(stage, in_flight=4, per_installation=4)
    held = desk.look_around()
    following = [one for delivery in held for one in desk.settle(delivery)]

    assert set(of_installations(following)) >= {TWO, THREE}


def test_installations_take_turns(stage: Stage) -> None:
    for installation_id in (ONE, TWO, THREE):
        stage.enqueue(installation_id, 3)
    desk = Desk(stage, in_flight=1, per_installation=1)
    order = desk.look_around()
    while len(order) < 9:
        order += desk.settle(order[-1])

    assert [set(of_installations(order[start : start + 3])) for start in (0, 3, 6)] == [{ONE, TWO, THREE}] * 3


def test_a_retry_is_not_handed_out_before_it_is_due(stage: Stage) -> None:
    (delivery,) = stage.enqueue(ONE)
    desk = Desk(stage)
    desk.look_around()
    desk.settle(delivery, retry_at=stage.put_off(delivery, 5))
    stage.clock.advance(seconds=4.999999)

    assert desk.look_around() == []


def test_a_retry_is_handed_out_at_the_moment_it_is_due(stage: Stage) -> None:
    (delivery,) = stage.enqueue(ONE)
    desk = Desk(stage)
    desk.look_around()
    desk.settle(delivery, retry_at=stage.put_off(delivery, 5))
    stage.clock.advance(seconds=5)

    assert sequences(desk.look_around()) == [delivery.sequence]


def test_a_retry_that_was_due_later_when_the_daemon_started_is_handed_out_at_its_moment(stage: Stage) -> None:
    (delivery,) = stage.enqueue(ONE)
    stage.put_off(delivery, 300)
    desk = Desk(stage)
    at_the_start = desk.look_around()
    stage.clock.advance(seconds=300)

    assert at_the_start == []
    assert sequences(desk.look_around()) == [delivery.sequence]


def test_a_nearer_retry_does_not_make_a_farther_one_forgotten(stage: Stage) -> None:
    far, near = stage.enqueue(ONE, 2)
    desk = Desk(stage)
    desk.look_around()
    desk.settle(far, retry_at=stage.put_off(far, 300))
    desk.settle(near, retry_at=stage.put_off(near, 5))
    stage.clock.advance(seconds=5)
    after_five = desk.look_around()
    desk.settle(near)
    stage.clock.advance(seconds=295)

    assert sequences(after_five) == [near.sequence]
    assert sequences(desk.look_around()) == [far.sequence]


def timers_of(desk: Desk) -> int:
    return len(desk.actor()._shares.timers)


def test_timers_stay_few_with_a_steady_stream_beside_one_far_retry(stage: Stage) -> None:
    (far,) = stage.enqueue(ONE)
    desk = Desk(stage)
    desk.look_around()
    desk.settle(far, retry_at=stage.put_off(far, 36_000))
    for _ in range(50):
        stage.enqueue(ONE)
        (delivery,) = desk.look_around()
        desk.settle(delivery)

    assert timers_of(desk) == 1


def test_timers_stay_few_with_a_stream_of_near_retries_beside_one_far_retry(stage: Stage) -> None:
    far, near = stage.enqueue(ONE, 2)
    desk = Desk(stage)
    desk.look_around()
    desk.settle(far, retry_at=stage.put_off(far, 36_000))
    for _ in range(50):
        desk.settle(near, retry_at=stage.put_off(near, 5))
        stage.clock.advance(seconds=5)
        assert sequences(desk.look_around()) == [near.sequence]

    assert timers_of(desk) == 1


def test_new_deliveries_are_found_when_it_looks_around(stage: Stage) -> None:
    stage.enqueue(ONE)
    desk = Desk(stage)
    desk.look_around()
    (new,) = stage.enqueue(TWO)

    assert sequences(desk.look_around()) == [new.sequence]


def test_new_deliveries_of_an_installation_that_holds_others_are_found(stage: Stage) -> None:
    stage.enqueue(ONE)
    desk = Desk(stage)
    desk.look_around()
    (new,) = stage.enqueue(ONE)

    assert sequences(desk.look_around()) == [new.sequence]


def test_nothing_is_handed_out_twice_while_it_is_held(stage: Stage) -> None:
    stage.register(ONE)
    stage.enqueue(ONE, 3)
    desk = Desk(stage)
    desk.look_around()
    stage.decide(ONE)

    assert desk.look_around() == []


def _apply(stage: Stage) -> None:
    entry = AppEntry(1111, "pager", "Pager", 1111, "https://elsewhere.example/", secret="another-secret")
    with stage.store.transaction() as transaction:
        apply_document(transaction, RegistryDocument(apps=(entry,)))


def _disable(stage: Stage) -> None:
    assert stage.decide(ONE).is_changed


def _enable(stage: Stage) -> None:
    stage.append(installation_stream(ONE), InstallationEnabled(ONE, "person:ada", ""))


@pytest.mark.parametrize("change", [_apply, _disable, _enable])
def test_a_change_by_another_connection_refreshes_the_actors_that_live(
    stage: Stage, change: Callable[[Stage], None]
) -> None:
    stage.register(ONE)
    stage.enqueue(ONE)
    desk = Desk(stage)
    desk.look_around()
    change(stage)
    desk.look_around()

    assert desk.refreshed() == 1


def test_without_a_change_nobody_is_refreshed_again(stage: Stage) -> None:
    stage.register(ONE)
    stage.enqueue(ONE)
    desk = Desk(stage)
    desk.tell(Poll(), Poll(), Poll())

    assert desk.refreshed() == 0


def test_deliveries_that_a_person_sends_again_are_found(stage: Stage) -> None:
    stage.register(ONE)
    old, new = stage.enqueue(ONE, 2)
    mark_missed(stage.store.connection, old)
    desk = Desk(stage)
    before = desk.look_around()
    with stage.store.transaction() as transaction:
        resend_kept(transaction, [old.delivery_id], by="person:ada")

    assert sequences(before) == [new.sequence]
    assert sequences(desk.look_around()) == [old.sequence]


def test_an_idle_actor_is_put_away(stage: Stage) -> None:
    (delivery,) = stage.enqueue(ONE)
    desk = Desk(stage, idle_s=60.0)
    desk.look_around()
    desk.settle(delivery)
    stage.clock_s = 60.1
    desk.look_around()

    assert not desk.heard[ONE].ref.is_alive()
    assert desk.load() == Load(0, 0)


def test_memory_is_given_back_once_the_last_idle_actor_is_put_away(stage: Stage) -> None:
    given_back: list[str] = []
    desk = Desk(stage, idle_s=60.0, give_memory_back=lambda: given_back.append("all of it"))
    for installation in (ONE, TWO):
        stage.clock_s += 31.0
        (delivery,) = stage.enqueue(installation)
        desk.look_around()
        desk.settle(delivery)
    stage.clock_s += 31.0
    desk.look_around()
    assert desk.load().live_installations == 1
    assert not given_back, "the second is not idle yet"

    stage.clock_s += 31.0
    desk.look_around()

    assert given_back == ["all of it"]


def test_an_actor_is_not_put_away_before_its_time(stage: Stage) -> None:
    (delivery,) = stage.enqueue(ONE)
    desk = Desk(stage, idle_s=60.0)
    desk.look_around()
    desk.settle(delivery)
    stage.clock_s = 59.9
    desk.look_around()

    assert desk.heard[ONE].ref.is_alive()


def test_an_actor_that_holds_a_delivery_is_not_put_away(stage: Stage) -> None:
    stage.enqueue(ONE)
    desk = Desk(stage, idle_s=60.0)
    desk.look_around()
    stage.clock_s = 1000.0
    desk.look_around()

    assert desk.heard[ONE].ref.is_alive()


def test_an_actor_that_was_put_away_comes_back_for_a_retry(stage: Stage) -> None:
    (delivery,) = stage.enqueue(ONE)
    desk = Desk(stage, idle_s=60.0)
    desk.look_around()
    desk.settle(delivery, retry_at=stage.put_off(delivery, 300))
    stage.clock_s = 61.0
    desk.look_around()
    stage.clock.advance(seconds=300)

    desk.look_around()

    assert desk.spawned == [ONE, ONE]
    assert sequences([message.delivery for message in desk.heard[ONE].of(Deliver)]) == [delivery.sequence]


def test_no_actor_is_started_for_an_installation_that_has_nothing_due(stage: Stage) -> None:
    (delivery,) = stage.enqueue(ONE)
    stage.put_off(delivery, 300)
    desk = Desk(stage)
    desk.look_around()

    assert desk.spawned == []


def test_paused_it_hands_nothing_more_out(stage: Stage) -> None:
    first, *_ = stage.enqueue(ONE, 5)
    desk = Desk(stage, per_installation=2)
    desk.look_around()
    desk.tell(PauseClaiming())
    stage.enqueue(TWO)

    assert desk.settle(first) == []
    assert desk.look_around() == []


def share(*installation_ids: str) -> Shard:
    return Shard(frozenset(map(slot_of, installation_ids)))


def test_what_is_of_another_share_is_left_to_its_worker(stage: Stage) -> None:
    mine, others = (ONE, THREE), (TWO,)
    stage.register(ONE, TWO, THREE)
    for installation_id in (ONE, TWO, THREE):
        stage.enqueue(installation_id, 2)
    first, second = Desk(stage, shard=share(ONE, THREE)), Desk(stage, shard=share(TWO))
    handed_out = [{one.installation_id for one in desk.look_around()} for desk in (first, second)]
    stage.enqueue(TWO)
    later = [len(desk.look_around()) for desk in (first, second)]

    assert handed_out == [set(mine), set(others)]
    assert later == [0, 1]


def test_the_load_counts_what_is_held_and_who_lives(stage: Stage) -> None:
    stage.enqueue(ONE, 3)
    stage.enqueue(TWO, 1)
    desk = Desk(stage, per_installation=2)

    assert desk.load() == Load(held_deliveries=3, live_installations=2)


def test_a_delivery_that_was_postponed_rests_until_its_time(stage: Stage) -> None:
    (delivery,) = stage.enqueue(ONE)
    desk = Desk(stage, per_installation=1)  # a full claim: more may be due
    desk.look_around()
    in_a_minute = "2025-02-03T12:01:00.000000Z"

    at_once = desk.settle(delivery, retry_at=in_a_minute, is_answered=False, is_postponed=True)
    soon = desk.look_around()
    stage.clock.advance(seconds=60)

    assert (at_once, soon) == ([], [])
    assert sequences(desk.look_around()) == [delivery.sequence]


def test_a_crash_in_the_middle_hands_the_rest_out_and_nothing_twice(stage: Stage, lines: list[EventDict]) -> None:
    for installation_id in (ONE, TWO, THREE):
        stage.enqueue(installation_id, 2)
    desk = Desk(stage)
    desk.spawn_faults = [None, RuntimeError("a bug")]
    before = desk.look_around()
    after = desk.look_around()

    assert len(before) == 2
    assert sorted(sequences(before + after)) == [1, 2, 3, 4, 5, 6]
    assert [line["done"] for line in lines if line["event"] == "actor_crashed"] == ["restarted"]
    assert desk.load().held_deliveries == 6


def test_a_crash_while_reading_the_queue_is_mended_by_the_next_look(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, lines: list[EventDict]
) -> None:
    stage.enqueue(ONE, 2)
    desk = Desk(stage, per_installation=1)
    (first,) = desk.look_around()
    with monkeypatch.context() as patch:
        patch.setattr(SqliteQueue, "claim", _fail)
        during = desk.settle(first)

    assert during == []
    assert len(desk.look_around()) == 1


def _fail(*_arguments: object, **_named: object) -> Any:
    raise OSError("on purpose")


IN_A_MINUTE = "2025-02-03T12:01:00.000000Z"


def held_desk(stage: Stage, **limits: Any) -> tuple[Desk, list[QueuedDelivery]]:
    """Return a desk that was told to hand nothing more out to ONE for a minute, and what waits there."""
    first, *others = stage.enqueue(ONE, 4)
    desk = Desk(stage, per_installation=1, **limits)
    desk.look_around()
    assert desk.settle(first, hold_until=IN_A_MINUTE) == []
    return desk, others


def test_a_held_installation_gets_nothing_before_its_moment(stage: Stage) -> None:
    desk, _ = held_desk(stage)
    stage.enqueue(ONE)
    stage.clock.advance(seconds=59.999999)

    assert desk.look_around() == []


def test_a_held_installation_goes_on_at_its_moment(stage: Stage) -> None:
    desk, (next_one, *_) = held_desk(stage)
    desk.look_around()
    stage.clock.advance(seconds=60)

    assert sequences(desk.look_around()) == [next_one.sequence]


def test_a_hold_of_one_installation_holds_no_other(stage: Stage) -> None:
    desk, _ = held_desk(stage)
    stage.enqueue(TWO)

    assert of_installations(desk.look_around()) == [TWO]


def test_what_is_in_flight_when_it_is_held_lifts_nothing(stage: Stage) -> None:
    first, second, _ = stage.enqueue(ONE, 3)
    desk = Desk(stage, per_installation=2)
    desk.look_around()
    desk.settle(first, hold_until=IN_A_MINUTE)

    assert desk.settle(second) == []
    assert desk.look_around() == []


def test_a_retry_that_is_due_while_it_is_held_waits_for_the_end_of_the_hold(stage: Stage) -> None:
    (delivery,) = stage.enqueue(ONE)
    desk = Desk(stage)
    desk.look_around()
    desk.settle(delivery, retry_at=stage.put_off(delivery, 5), hold_until=IN_A_MINUTE)
    stage.clock.advance(seconds=5)
    early = desk.look_around()
    stage.clock.advance(seconds=55)

    assert early == []
    assert sequences(desk.look_around()) == [delivery.sequence]


def test_a_person_s_decision_lifts_the_hold(stage: Stage) -> None:
    stage.register(ONE)
    desk, (next_one, *_) = held_desk(stage)
    _apply(stage)

    assert sequences(desk.look_around()) == [next_one.sequence]


def test_a_test_delivery_goes_through_a_hold_and_before_everything_else(stage: Stage) -> None:
    stage.register(ONE)
    desk, _ = held_desk(stage)
    with stage.store.transaction() as transaction:
        delivery_id = enqueue_probe(transaction, ONE, by="person:ada")

    (handed_out,) = desk.look_around()
    assert (handed_out.delivery_id, handed_out.is_probe) == (delivery_id, True)


def test_what_is_put_back_for_its_rate_goes_on_at_its_moment_and_uses_no_timer_up(stage: Stage) -> None:
    (delivery,) = stage.enqueue(ONE)
    desk = Desk(stage)
    desk.look_around()
    for second in range(1, 31):
        moment = f"2025-02-03T12:00:{second:02d}.000000Z"
        desk.settle(delivery, retry_at=moment, is_answered=False, is_postponed=True, hold_until=moment)
        early = desk.look_around()
        stage.clock.advance(seconds=1)

        assert early == []
        assert sequences(desk.look_around()) == [delivery.sequence]
    assert timers_of(desk) == 0


def test_the_next_of_a_key_is_handed_out_when_the_one_before_it_is_settled(stage: Stage) -> None:
    first, second, third = stage.enqueue(ONE, 3, ordering_key="incident")
    desk = Desk(stage)
    rounds = [desk.look_around(), desk.settle(first), desk.settle(second)]

    assert [sequences(one) for one in rounds] == [[first.sequence], [second.sequence], [third.sequence]]


def test_the_next_of_a_key_waits_for_the_retry_of_the_one_before_it(stage: Stage) -> None:
    first, second = stage.enqueue(ONE, 2, ordering_key="incident")
    desk = Desk(stage)
    desk.look_around()
    at_once = desk.settle(first, retry_at=stage.put_off(first, 300))
    stage.clock.advance(seconds=300)
    after = desk.look_around()

    assert (at_once, sequences(after)) == ([], [first.sequence])
    assert sequences(desk.settle(first)) == [second.sequence]


def test_a_stuck_key_holds_up_no_other_delivery(stage: Stage) -> None:
    stuck, *_ = stage.enqueue(ONE, 5, ordering_key="stuck")
    (other,) = stage.enqueue(ONE, ordering_key="other")
    (free,) = stage.enqueue(ONE)
    stage.put_off(stuck, 36_000)

    assert sequences(Desk(stage, per_installation=3).look_around()) == [other.sequence, free.sequence]


# Packed batches


def test_what_lies_in_a_packed_batch_is_handed_out_behind_what_was_queued_before_it(stage: Stage) -> None:
    (before,) = stage.enqueue(ONE)
    packed = stage.pack(*[ONE] * 70)
    (behind,) = stage.enqueue(ONE)
    desk = Desk(stage, per_installation=100)

    assert delivery_ids(desk.look_around()) == [before.delivery_id, *packed, behind.delivery_id]


def test_packed_batches_are_opened_a_little_ahead_of_the_need(stage: Stage) -> None:
    stage.pack(*[ONE] * 640)
    desk = Desk(stage, per_installation=8)
    first = desk.look_around()

    assert len(first) == 8
    assert left_in_packed_batches(stage) == 640 - 64
    for delivery in first:
        first = desk.settle(delivery)
    assert left_in_packed_batches(stage) == 640 - 64


def test_all_of_a_backlog_is_handed_out_once_and_in_order(stage: Stage) -> None:
    packed = stage.pack(*[ONE, TWO] * 320, ordering_key="incident")
    desk = Desk(stage)
    waiting = desk.look_around()
    arrived = []
    while waiting:
        delivery = waiting.pop(0)
        arrived.append(delivery)
        waiting += desk.settle(delivery)

    for installation_id, mine in ((ONE, packed[::2]), (TWO, packed[1::2])):
        assert delivery_ids([one for one in arrived if one.installation_id == installation_id]) == mine


def test_a_packed_batch_that_another_worker_has_opened_is_found_without_a_word_from_it(stage: Stage) -> None:
    stage.register(ONE, TWO)
    packed = stage.pack(*[ONE, TWO] * 32)
    (last,) = stage.enqueue(TWO)  # queued later, and so seen before
    first, second = Desk(stage, shard=share(ONE, THREE)), Desk(stage, shard=share(TWO))
    waiting = [first.look_around(), second.look_around()]
    drained = [drain(first, waiting[0]), drain(second, waiting[1])]

    assert drained == [packed[::2], [*packed[1::2], last.delivery_id]]


def test_for_whom_the_gate_is_closed_no_packed_batch_is_opened(stage: Stage) -> None:
    (first,) = stage.enqueue(ONE)
    desk = Desk(stage)
    desk.look_around()
    desk.settle(first, hold_until=IN_A_MINUTE)
    stage.pack(*[ONE] * 64)

    assert desk.look_around() == []
    assert left_in_packed_batches(stage) == 64
    stage.clock.advance(seconds=60)
    assert len(desk.look_around()) == 8


def test_a_person_s_decision_has_packed_batches_looked_at_too(stage: Stage) -> None:
    (first,) = stage.enqueue(ONE)
    desk = Desk(stage)
    desk.look_around()
    desk.settle(first, hold_until=IN_A_MINUTE)
    stage.pack(*[ONE] * 64)
    desk.look_around()
    notify_change(stage.store.connection)

    assert len(desk.look_around()) == 8


def test_paused_it_has_no_packed_batch_opened(stage: Stage) -> None:
    stage.pack(*[ONE] * 64)
    desk = Desk(stage)
    desk.tell(PauseClaiming(), Poll())

    assert left_in_packed_batches(stage) == 64


def test_while_packed_batches_are_opened_the_load_says_so(stage: Stage) -> None:
    journal = stage.hear()
    stage.pack(*[ONE] * 64)
    desk = Desk(stage, journal=journal.ref)
    desk.look_around()

    assert desk.load() == Load(0, 0, unpacking_batches=1)
    assert desk.load().is_busy
    assert [asked.packed_batches for asked in journal.of(UnpackBatches)] == [(1,)]
    desk.tell(BatchesUnpacked((1,)))
    assert desk.load().unpacking_batches == 0


def test_a_journal_that_has_lost_what_it_was_asked_is_asked_again(stage: Stage) -> None:
    journal = stage.hear()
    stage.pack(*[ONE] * 64)
    desk = Desk(stage, journal=journal.ref)
    desk.look_around()
    stage.clock_s += 60
    desk.look_around()

    assert [asked.packed_batches for asked in journal.of(UnpackBatches)] == [(1,), (1,)]


def test_a_crash_forgets_no_packed_batch(stage: Stage) -> None:
    (first,) = stage.enqueue(TWO)
    packed = stage.pack(*[ONE] * 64)
    desk = Desk(stage, in_flight=1)
    desk.look_around()
    desk.tell("rubbish")
    desk.look_around()

    assert drain(desk, [first])[1:] == packed


def drain(desk: Desk, waiting: list[QueuedDelivery]) -> list[str]:
    """Release whatever is handed out until nothing more is, and return the ids of all of it."""
    arrived, waiting = [], list(waiting)
    while waiting:
        delivery = waiting.pop(0)
        arrived.append(delivery.delivery_id)
        waiting += desk.settle(delivery) + desk.look_around()
    return arrived


def delivery_ids(deliveries: list[QueuedDelivery]) -> list[str]:
    return [delivery.delivery_id for delivery in deliveries]


def left_in_packed_batches(stage: Stage) -> int:
    ((count,),) = stage.rows("SELECT coalesce(sum(delivery_count), 0) FROM parcels")
    return int(count)
