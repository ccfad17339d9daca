"""A stream is read beside the deliveries, and one that is away, or another home's, holds up nothing."""

from collections.abc import Iterator

import pytest
from redis import Redis
from structlog.typing import EventDict

from actors.messages import Ingest, Ref
from actors.redis.intake import IntakeActor, IntakeDependencies
from eventstore.deliveries.producer import Producer
from eventstore.home.folder import Home
from eventstore.redis.stream_intake import IntakeRule, StreamIntake
from tests.actors.stage import ONE, Stage, lines_of
from tests.redis_server import CONFIGURED_URL, RedisServer, own_redis, serving_redis

STREAM = "hookfuse:deliveries"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with serving_redis() as server:
        yield server


def intake(stage: Stage, url: str, *, adopt_after_s: float = 60.0) -> Ref:
    rule = IntakeRule(url, STREAM, "hookfuse", "home-1", adopt_after_s=adopt_after_s)
    parts = IntakeDependencies(
        StreamIntake(Producer(Home(stage.path.parent), stage.clock), rule),
        stage.clock,
        adopt_every_s=adopt_after_s / 4,
        retry_s=5.0,
        block_s=0.0,
    )
    return stage.keep(
        IntakeActor.start(pool=stage.pool, budget=stage.budget, escalate=stage.escalations.append, dependencies=parts)
    )


def add(client: Redis) -> None:
    client.xadd(STREAM, {"installation": ONE, "event": "issue.created", "data": "{}"})


def look(stage: Stage, ref: Ref) -> bool:
    """Ask once, as somebody who drains does; a tell would go on for ever."""
    future = ref.ask(Ingest(), block=False)
    stage.run()
    return bool(future.get(timeout=0))


def queued(stage: Stage) -> int:
    return int(stage.rows("SELECT count(*) FROM queue")[0][0])


def test_what_is_in_the_stream_comes_into_the_queue_and_an_asker_hears_of_it(stage: Stage, server: RedisServer) -> None:
    stage.register(ONE)
    client = server.client()
    add(client)
    ref = intake(stage, server.url)
    replies = [look(stage, ref), look(stage, ref)]
    client.close()

    assert replies == [True, False]
    assert queued(stage) == 1


def test_what_was_attempted_is_let_go_of(stage: Stage, server: RedisServer) -> None:
    stage.register(ONE)
    client = server.client()
    add(client)
    ref = intake(stage, server.url)
    look(stage, ref)
    stage.store.connection.execute("UPDATE queue SET attempts = 1")
    look(stage, ref)
    length = client.xlen(STREAM)
    client.close()

    assert length == 0
    assert queued(stage) == 1


@pytest.mark.skipif(bool(CONFIGURED_URL), reason="the configured server is not to be killed")
def test_a_stream_that_is_away_is_said_once_and_read_when_it_is_back(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    with own_redis() as server:
        ref = intake(stage, server.url)
        look(stage, ref)
        server.kill()
        away = []
        for _ in range(3):
            away.append(look(stage, ref))
            stage.clock.advance(seconds=5)
        server.start()
        client = server.client()
        add(client)
        client.close()
        look(stage, ref)  # the group went with the server: this one finds out
        stage.clock.advance(seconds=5)
        look(stage, ref)

    assert away == [False, False, False]
    assert queued(stage) == 1
    assert len(lines_of(lines, "stream_stopped")) == 1
    assert len(lines_of(lines, "stream_resumed")) == 1
    assert stage.budget.crash_count == 0


def test_a_stream_that_another_home_reads_is_left_alone_and_said(
    stage: Stage, server: RedisServer, lines: list[EventDict]
) -> None:
    stage.register(ONE)
    client = server.client()
    add(client)
    client.xgroup_create(STREAM, "hookfuse", id="0")
    client.xreadgroup("hookfuse", "home-2", {STREAM: ">"})
    client.close()
    look(stage, intake(stage, server.url))

    (line,) = lines_of(lines, "stream_stopped")
    assert "a daemon on another home (home-2)" in line["error"]
    assert queued(stage) == 0
