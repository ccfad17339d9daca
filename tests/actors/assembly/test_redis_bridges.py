"""What is configured around the deliveries is started, woken and stopped; what is not costs nothing."""

from typing import Any

from actors.assembly.redis_bridges import RedisBridges
from actors.messages import CatchUp, Ingest, Ref
from actors.redis.intake import IntakeActor
from actors.redis.projector import ProjectorActor
from eventstore.home.folder import Home
from eventstore.settings.configuration import Configuration
from eventstore.settings.sections import QueueSettings, RedisSettings
from eventstore.settings.values import Secret
from tests.actors.stage import Heard, Stage

URL = Secret("unix:///nowhere/redis")


class Around:
    """RedisBridges whose actors only write down what they are told."""

    def __init__(self, stage: Stage, **sections: Any) -> None:
        self.stage = stage
        self.heard: dict[type[Any], Heard] = {}
        self.stopped: list[Ref] = []
        self.redis_bridges = RedisBridges(
            Home(stage.path.parent),
            Configuration(**sections),
            clock=stage.clock,
            readers=stage.readers,
            spawn=self._spawn,
        )

    def _spawn(self, actor_class: type[Any], name: str, parts: object) -> Ref:
        self.heard[actor_class] = self.stage.hear()
        return self.heard[actor_class].ref

    def told(self, actor_class: type[Any]) -> list[Any]:
        self.stage.run()
        return self.heard[actor_class].messages


def _ask(ref: Ref, message: object) -> object:
    raise AssertionError(f"there is nobody to ask {message}: {ref}")


def test_where_nothing_is_configured_nothing_is_started_and_nothing_happens(stage: Stage) -> None:
    around = Around(stage)
    redis_bridges = around.redis_bridges
    redis_bridges.look_around()
    redis_bridges.catch_up(_ask)
    redis_bridges.stop_taking_in(around.stopped.append)
    redis_bridges.stop(around.stopped.append)

    assert (redis_bridges.refs, redis_bridges.take_in(_ask), around.stopped) == ([], False, [])


def test_a_redis_has_a_projector(stage: Stage) -> None:
    around = Around(stage, redis=RedisSettings(url=URL))
    around.redis_bridges.look_around()

    assert list(around.heard) == [ProjectorActor]
    assert around.told(ProjectorActor) == [CatchUp()]


def test_a_stream_has_an_intake(stage: Stage) -> None:
    around = Around(stage, queue=QueueSettings(url=URL))
    around.redis_bridges.look_around()

    assert list(around.heard) == [IntakeActor]
    assert around.told(IntakeActor) == [Ingest()]


def test_who_is_at_it_is_not_woken_again(stage: Stage) -> None:
    around = Around(stage, redis=RedisSettings(url=URL), queue=QueueSettings(url=URL))
    for _ in range(5):
        around.redis_bridges.look_around()

    assert around.told(ProjectorActor) == [CatchUp()]
    assert around.told(IntakeActor) == [Ingest()]


def test_one_that_has_ended_is_not_told_anything(stage: Stage) -> None:
    around = Around(stage, redis=RedisSettings(url=URL))
    around.heard[ProjectorActor].ref.stop(block=False)
    stage.run()
    around.redis_bridges.look_around()

    assert around.told(ProjectorActor) == []


def test_what_brings_deliveries_stops_before_the_rest(stage: Stage) -> None:
    around = Around(stage, redis=RedisSettings(url=URL), queue=QueueSettings(url=URL))
    around.redis_bridges.stop_taking_in(around.stopped.append)
    first = list(around.stopped)
    around.redis_bridges.stop(around.stopped.append)

    assert first == [around.heard[IntakeActor].ref]
    assert around.stopped[1:] == [around.heard[ProjectorActor].ref]
