"""Redis is kept in step beside the deliveries, and one that is away holds up nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import cast

import pytest
from structlog.typing import EventDict

from actors.messages import CatchUp, Ref
from actors.redis.projector import ProjectorActor, ProjectorDependencies
from eventstore.redis.original_projection import MARK_KEY, RedisProjection
from tests.actors.stage import ONE, Stage, lines_of
from tests.redis_server import CONFIGURED_URL, RedisServer, own_redis, serving_redis


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with serving_redis() as server:
        yield server


def projector(stage: Stage, url: str) -> Ref:
    stage.clock.moment = datetime.now(UTC)  # a real server's keys die by the real time
    parts = ProjectorDependencies(stage.readers, RedisProjection(url, batch_events=2), stage.clock, retry_s=5.0)
    return stage.keep(
        cast(
            "Ref",
            ProjectorActor.start(
                pool=stage.pool, budget=stage.budget, escalate=stage.escalations.append, dependencies=parts
            ),
        )
    )


def position(server: RedisServer) -> int:
    client = server.client()
    try:
        return int(client.hget(MARK_KEY, "position") or 0)
    finally:
        client.close()


def test_one_word_brings_redis_up_to_the_last_event(stage: Stage, server: RedisServer) -> None:
    ref = projector(stage, server.url)
    stage.register(ONE)
    stage.wear_out(ONE)
    ref.tell(CatchUp())
    stage.run()

    assert position(server) == len(stage.events())


def test_an_asker_hears_whether_there_was_something_to_write(stage: Stage, server: RedisServer) -> None:
    ref = projector(stage, server.url)
    stage.register(ONE)
    replies = []
    for _ in range(3):
        future = ref.ask(CatchUp(), block=False)
        stage.run()
        replies.append(future.get(timeout=0))

    assert replies == [True, True, False]


@pytest.mark.skipif(bool(CONFIGURED_URL), reason="the configured server is not to be killed")
def test_a_redis_that_is_away_is_said_once_and_asked_again_when_it_is_time(
    stage: Stage, lines: list[EventDict]
) -> None:
    with own_redis() as server:
        ref = projector(stage, server.url)
        stage.register(ONE)
        server.kill()
        for _ in range(3):
            ref.tell(CatchUp())
            stage.run()
            stage.clock.advance(seconds=5)
        server.start()
        ref.tell(CatchUp())
        stage.run()

        assert position(server) == len(stage.events())
    assert len(lines_of(lines, "redis_projection_stopped")) == 1
    assert len(lines_of(lines, "redis_projection_resumed")) == 1
    assert ref.is_alive()
    assert stage.budget.crash_count == 0


def test_before_it_is_time_nothing_is_asked(stage: Stage, server: RedisServer, lines: list[EventDict]) -> None:
    client = server.client()
    client.hset(MARK_KEY, "clearing", "another-process")
    ref = projector(stage, server.url)
    stage.register(ONE)
    ref.tell(CatchUp())
    stage.run()
    client.delete(MARK_KEY)
    ref.tell(CatchUp())
    stage.run()
    before = position(server)
    stage.clock.advance(seconds=5)
    ref.tell(CatchUp())
    stage.run()
    client.close()

    assert (before, position(server)) == (0, len(stage.events()))
