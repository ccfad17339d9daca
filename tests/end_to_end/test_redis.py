"""A daemon with a real Redis beside it: what the original's readers find there, and that its absence harms nobody."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.end_to_end.stage import Stage
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
