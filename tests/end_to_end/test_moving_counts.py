"""Who moves over from the original keeps the week that matters."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.end_to_end.stage import Stage, installation_id
from tests.redis_server import RedisServer, serving_redis

_APP = 5


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with serving_redis() as server:
        yield server


def test_after_a_week_of_error_days_from_a_redis_the_very_next_failure_disables_with_the_whole_week_as_evidence(
    stage: Stage, redis: RedisServer
) -> None:
    stage.apply({_APP: "/404"})
    stage.configure('[policy]\nname = "sentry-2024"\n')
    today = datetime.now(UTC).date()
    days = [str(today - timedelta(days=number)) for number in range(7)]
    client = redis.client()
    for day in days:
        client.hset(f"sentry-app-error:{_APP}:17:{day}", mapping={"error_count": 4})
    client.close()

    assert stage.json("events", "import", "--counts", redis.url)["imported"] == 7
    assert stage.json("status")["installations"] == {"active": 1, "disabled": 0}
    stage.send([(_APP, "issue.created")])
    stage.run("run", "--drain")

    why = stage.json("why", installation_id(_APP))
    assert (why["state"], why["rule"]) == ("disabled", "seven-error-days")
    # Should it be tomorrow meanwhile, the window has moved by a day, and the failure is of that one.
    counts = {day["day"]: day["client_error"] for day in why["days"]}
    assert len(counts) == 7
    assert sum(counts.values()) in (7 * 4 + 1, 6 * 4 + 1)
    assert [day for day in counts if day in days[:6]]
    assert len(stage.json("events", "--type", "mail.requested")) == 1
