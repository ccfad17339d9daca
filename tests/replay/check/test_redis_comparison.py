"""Verify names every value in Redis that the events do not bear out, and nothing else."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis import Redis

from eventstore.common.clock import ManualClock
from eventstore.errors import RejectedError
from eventstore.redis.original_projection import RedisProjection
from eventstore.unit_of_work import Store
from replay.check.redis_comparison import RedisDifference, compare_redis
from tests.eventstore.facts import failed, record, register, succeeded, timed_out
from tests.redis_server import RedisServer

NOW = datetime.now(UTC).replace(hour=12)  # a real server lets keys die by the real time
BUFFER = f"sentry-app-error:42:17:{NOW:%Y-%m-%d}"
REQUESTS = "sentry-app-webhook-request:{42}:metric_alert.critical"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "events.db", ManualClock(NOW)) as store:
        register(store)
        record(store, succeeded(), failed("client_error", 404), timed_out(), timed_out())
        yield store


@pytest.fixture
def projection(server: RedisServer, redis: Redis, store: Store) -> Iterator[RedisProjection]:
    projection = RedisProjection(server.url, batch_events=3)
    catch_up(projection, store)
    yield projection
    projection.close()


def catch_up(projection: RedisProjection, store: Store) -> None:
    while projection.catch_up(store.connection, NOW):
        pass


def differences(projection: RedisProjection, store: Store) -> tuple[RedisDifference, ...]:
    return compare_redis(store.connection, projection, NOW)


def test_what_was_written_agrees(projection: RedisProjection, store: Store) -> None:
    assert differences(projection, store) == ()


def test_what_is_not_written_yet_is_no_difference(projection: RedisProjection, store: Store) -> None:
    record(store, timed_out())

    assert differences(projection, store) == ()


def test_a_count_that_was_changed_by_hand_is_named_with_both_values(
    redis: Redis, projection: RedisProjection, store: Store
) -> None:
    redis.hincrby(BUFFER, "timeout_count", 5)

    assert differences(projection, store) == (RedisDifference(BUFFER, "timeout_count", "7", "2"),)


def test_a_key_that_is_gone_and_one_that_is_too_many_are_named(
    redis: Redis, projection: RedisProjection, store: Store
) -> None:
    redis.delete(BUFFER)
    redis.hset("sentry-app-error:9:9:2026-01-01", "error_count", 3)

    found = {(one.key, one.field): (one.live, one.rebuilt) for one in differences(projection, store)}
    assert found == {
        (BUFFER, "success_count"): (None, "1"),
        (BUFFER, "error_count"): (None, "1"),
        (BUFFER, "timeout_count"): (None, "2"),
        ("sentry-app-error:9:9:2026-01-01", "error_count"): ("3", None),
    }


def test_a_row_that_is_gone_or_another_is_named(redis: Redis, projection: RedisProjection, store: Store) -> None:
    redis.lset(REQUESTS, 0, "rubbish")
    (changed,) = differences(projection, store)
    redis.lpop(REQUESTS)
    (gone,) = differences(projection, store)

    assert (changed.key, changed.field, changed.live) == (REQUESTS, "row 0", "rubbish")
    assert (gone.live, gone.rebuilt) == ("3 rows", "4 rows")


def test_a_key_that_would_never_die_is_named(redis: Redis, projection: RedisProjection, store: Store) -> None:
    redis.persist(BUFFER)

    assert differences(projection, store) == (RedisDifference(BUFFER, "time to live", "none", "30 days"),)


def test_a_rebuild_after_flushall_or_any_damage_agrees_again(
    redis: Redis, projection: RedisProjection, store: Store
) -> None:
    redis.hincrby(BUFFER, "timeout_count", 5)
    redis.hset("sentry-app-error:9:9:2026-01-01", "error_count", 3)
    projection.clear()
    catch_up(projection, store)
    after_damage = differences(projection, store)
    redis.flushall()
    projection.clear()
    catch_up(projection, store)

    assert after_damage == differences(projection, store) == ()


def test_keys_of_another_program_can_not_be_compared(redis: Redis, projection: RedisProjection, store: Store) -> None:
    redis.delete("hookfuse:projection")

    with pytest.raises(RejectedError, match="did not write"):
        differences(projection, store)
