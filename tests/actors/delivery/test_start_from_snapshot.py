"""An actor that starts from a snapshot is the one that starts from the events."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.delivery.delivery_gate import DeliveryGate, GateRule
from eventstore.log import snapshots as snapshot
from eventstore.policies.breaker import BreakerRule
from eventstore.projections.registry import find_installation
from tests.actors.stage import GONE, ONE, READ_TIMEOUT, SERVER_ERROR, Receiver, Stage, Works, outcome
from webhook import ErrorClass, Outcome

ANSWERS: dict[str, Outcome] = {
    "ok": outcome(),
    "server error": SERVER_ERROR,
    "time-out": READ_TIMEOUT,
    "slowly": outcome(ErrorClass.RATE_LIMITED, 429, retry_after_s=1.0),
    "blocked": outcome(ErrorClass.BLOCKED),
    "gone": GONE,
}
GATE = GateRule(breaker=BreakerRule(window_s=100.0, failures_min=6, streak_min=4, open_s=30, recovery_s=60))


def gate_of(stage: Stage, works: Works) -> Any:
    """Return the state of the running actor's gate, None while there is no actor."""
    actor = works.actors[ONE]._actor_weakref() if ONE in works.actors else None
    gate: DeliveryGate | None = getattr(actor, "_gate", None)
    if gate is None:
        return None
    row = find_installation(stage.store.connection, ONE)
    return gate._breaker, gate._paused_until, row.breaker_open_until


@given(
    steps=st.lists(
        st.tuples(st.sampled_from([*ANSWERS, "restart"]), st.integers(1, 3), st.sampled_from([0.0, 2.0, 40.0])),
        min_size=1,
        max_size=14,
    )
)
@settings(max_examples=15)
def test_it_lives_on_as_if_there_were_no_snapshots(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, float]]
) -> None:
    def live(folder: Path, *, has_snapshots: bool) -> list[Any]:
        stage = Stage(folder)
        try:
            stage.register(ONE, status="published")  # nothing is disabled, so that it goes on
            works = Works(stage, receiver=Receiver(), gate=GATE, delays_s=(5.0,) * 20)
            seen: list[Any] = []
            for name, count, after_s in steps:
                if not has_snapshots:
                    stage.store.connection.execute("DELETE FROM snapshots")
                if name == "restart":
                    works.restart()
                else:
                    works.receiver.answer = ANSWERS[name]
                stage.enqueue(ONE, count)
                works.look_around(after_s=after_s)
                seen.append((len(works.receiver.requests), gate_of(stage, works)))
            return [*seen, [event.type_name for event in stage.events()]]
        finally:
            stage.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "_SNAPSHOT_EVERY", 3)
        with_snapshots = live(tmp_path_factory.mktemp("with"), has_snapshots=True)
        without = live(tmp_path_factory.mktemp("without"), has_snapshots=False)

    assert with_snapshots == without


def test_a_snapshot_is_made_by_a_daemon_at_work_and_its_next_actor_reads_only_the_rest(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "_SNAPSHOT_EVERY", 4)
    stage.register(ONE)
    works = Works(stage, receiver=Receiver(SERVER_ERROR), gate=GATE, limits={"per_installation": 1})
    stage.enqueue(ONE, 3)
    works.look_around()
    made = stage.rows("SELECT installation_id, version FROM snapshots")
    # What the snapshot knows is nowhere else any more: were it not read, the next failure would open nothing.
    stage.store.connection.execute("DROP TRIGGER events_refuse_update")
    stage.store.connection.execute("UPDATE events SET type = 'delivery.succeeded' WHERE type = 'delivery.failed'")
    works.restart()
    stage.enqueue(ONE)
    works.look_around()

    assert made == [(ONE, 4)]
    assert [event.explanation for event in stage.events("breaker.opened")] == ["4 failures in a row (the limit is 4)"]
