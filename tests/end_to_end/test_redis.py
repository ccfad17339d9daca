"""A daemon with a real Redis beside it: what the original's readers find there, and that its absence harms nobody."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from tests.end_to_end.stage import PATIENT, Stage, installation_id
from tests.end_to_end.waiting import kill_moments, wait_for_requests, wait_until
from tests.redis_server import CONFIGURED_URL, RedisServer, own_redis, serving_redis


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with serving_redis() as server:
        yield server


def test_what_was_sent_stands_in_redis_as_the_original_keeps_it(stage: Stage, server: RedisServer) -> None:
    stage.configure(f'[redis]\nurl = "{server.url}"\n[retry]\nschedule = []\n')
    stage.apply({1: "/ok", 2: "/404"})
    stage.send([(1, "issue.created"), (1, "issue.created"), (2, "issue.created")])
    stage.run("run", "--drain")

    client = server.client()
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    healthy: Any = client.hgetall(f"sentry-app-error:1:17:{today}")
    broken: Any = client.hgetall(f"sentry-app-error:2:17:{today}")
    (row,) = [json.loads(one) for one in client.lrange("sentry-app-webhook-error:{2}:issue.created", 0, -1)]
    client.close()
    assert healthy == {b"success_count": b"2"}
    assert broken == {b"error_count": b"1"}
    assert row["response_code"] == 404
    assert stage.json("status")["redis"]["lag_events"] == 0


@pytest.mark.skipif(bool(CONFIGURED_URL), reason="the configured server is not to be killed")
def test_deliveries_go_on_without_redis_and_it_catches_up(stage: Stage) -> None:
    with own_redis(appendonly="yes") as server:
        stage.configure(f'[redis]\nurl = "{server.url}"\ntimeout_s = 1\nretry_s = 0.1\n')
        stage.apply({1: "/ok"})
        server.kill()
        stage.send([(1, "issue.created")] * 3)
        stage.run("run", "--drain")
        away = stage.json("status")["redis"]
        server.start()
        behind = stage.json("status")["redis"]
        stage.run("run", "--drain")

        assert len(stage.receiver.seen()) == 3
        assert (away["lag_events"], "Redis at unix://" in away["error"]) == (None, True)
        assert behind["lag_events"] > 0
        assert stage.json("status")["redis"]["lag_events"] == 0


def add(client: Redis, count: int) -> None:
    for number in range(count):
        client.xadd(
            "hookfuse:deliveries",
            {"installation": installation_id(1), "event": "issue.created", "data": f'{{"number":{number}}}'},
        )


def consumers(client: Redis) -> list[Any]:
    try:
        return list(client.xinfo_consumers("hookfuse:deliveries", "hookfuse"))
    except ResponseError:  # nobody has made the stream yet
        return []


def test_what_any_program_puts_into_the_stream_is_delivered_and_then_let_go_of(
    stage: Stage, server: RedisServer
) -> None:
    stage.configure(f'[queue]\nurl = "{server.url}"\n')
    stage.apply({1: "/ok"})
    client = server.client()
    add(client, 3)
    before = stage.json("status")["stream"]
    stage.run("run", "--drain")
    after = stage.json("status")["stream"]

    assert len(stage.receiver.seen()) == 3
    assert client.xlen("hookfuse:deliveries") == 0
    assert (before["unread"], after["unread"], after["pending"]) == (3, 0, 0)
    client.close()


def test_a_daemon_that_is_killed_again_and_again_loses_and_doubles_nothing_of_the_stream(
    stage: Stage, server: RedisServer
) -> None:
    count = 400
    stage.configure(f'{PATIENT}[queue]\nurl = "{server.url}"\n')
    stage.apply({1: "/ok"})
    client = server.client()
    add(client, count)
    for moment in kill_moments(stage.receiver, random.Random(5), kills=3):
        with stage.daemon():
            wait_for_requests(stage.receiver, moment)
    stage.run("run", "--drain")
    left = client.xlen("hookfuse:deliveries")
    client.close()

    succeeded = stage.json("events", "--type", "delivery.succeeded", "--limit", "1000")
    assert len(succeeded) == count
    assert len({event["data"]["delivery_id"] for event in succeeded}) == count
    assert left == 0


def test_two_homes_that_share_a_stream_share_the_work(stage: Stage, server: RedisServer, tmp_path: Path) -> None:
    other = Stage(tmp_path / "other", stage.receiver, stage.mail_server)
    client, sent = server.client(), 0
    for one in (stage, other):
        one.configure(f'[queue]\nurl = "{server.url}"\nshared = true\n')
        one.apply({1: "/ok"})
    with stage.daemon(), other.daemon():
        wait_until(lambda: len(consumers(client)) == 2, "both have joined the group")
        for _ in range(100):  # one of them may be quick enough to take a round alone
            add(client, 50)
            sent += 50
            wait_until(lambda: not client.xlen("hookfuse:deliveries"), "all is release")
            if all(map(delivered, (stage, other))):
                break
    client.close()

    assert delivered(stage) + delivered(other) == len(stage.receiver.seen()) == sent
    assert min(delivered(stage), delivered(other)) > 0


def delivered(stage: Stage) -> int:
    return len(stage.json("events", "--type", "delivery.succeeded", "--limit", "10000"))


def test_redis_is_verified_and_made_anew_also_after_it_was_flushed(stage: Stage, server: RedisServer) -> None:
    stage.configure(f'[redis]\nurl = "{server.url}"\n[retry]\nschedule = []\n')
    stage.apply({1: "/ok", 2: "/404"})
    stage.send([(1, "issue.created"), (2, "issue.created")])
    stage.run("run", "--drain")
    good = stage.run("replay", "verify", "--against", "redis")
    client = server.client()
    key = f"sentry-app-error:2:17:{datetime.now(UTC):%Y-%m-%d}"
    client.hset(key, "error_count", 9)
    bad = stage.run("replay", "verify", "--against", "redis", code=1)
    stage.run("replay", "rebuild", "--to", "redis")
    stage.run("replay", "verify", "--against", "redis")
    client.flushall()
    stage.run("replay", "rebuild", "--to", "redis")
    stage.run("replay", "verify", "--against", "redis")
    count = client.hget(key, "error_count")
    client.close()

    assert "holds what the events add up to" in good.stdout
    assert f"{key}  error_count  9         1" in bad.stdout
    assert count == b"1"


def test_without_a_redis_there_is_nothing_to_verify(stage: Stage) -> None:
    stage.apply({1: "/ok"})

    assert "no Redis is configured" in stage.run("replay", "verify", "--against", "redis", code=3).stderr
