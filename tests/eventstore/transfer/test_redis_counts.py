"""Reading the original's counts from a real Redis, which is left as it is."""

import pytest
from redis import Redis

from eventstore.common.clock import ManualClock
from eventstore.common.json_lines import Faults
from eventstore.errors import RedisAwayError, RejectedError
from eventstore.redis.original_projection import RedisProjection
from eventstore.transfer.count_import import CountRule, import_counts
from eventstore.transfer.redis_counts import read_redis_counts
from eventstore.unit_of_work import Store
from tests.eventstore.facts import failed, record, register
from tests.redis_server import CONFIGURED_URL, RedisServer, own_redis

DAY = "2025-02-03"


def test_every_key_of_the_layout_is_read_and_no_other_and_nothing_is_written(server: RedisServer, redis: Redis) -> None:
    for number in range(1, 1_201):
        redis.hset(f"sentry-app-error:{number}:17:{DAY}", mapping={"error_count": number, "success_count": 1})
    redis.lpush("sentry-app-webhook-error:{5}:issue.created", "{}")
    redis.set("another", "thing")
    before = {key: redis.dump(key) for key in redis.scan_iter()}
    faults = Faults()
    told: list[int] = []

    found = list(read_redis_counts(server.url, faults, on_keys=told.append))

    assert faults.count == 0
    assert {one.app_id: one.counts["client_error"] for one in found} == {number: number for number in range(1, 1_201)}
    assert sum(told) == 1_200
    assert {key: redis.dump(key) for key in redis.scan_iter()} == before


def test_what_is_wrong_is_named_by_its_key(server: RedisServer, redis: Redis) -> None:
    redis.hset(f"sentry-app-error:5:17:{DAY}", mapping={"error_count": 1})
    redis.hset("sentry-app-error:5:17", mapping={"error_count": 1})
    redis.set(f"sentry-app-error:6:17:{DAY}", "1")
    redis.hset(f"sentry-app-error:7:17:{DAY}", mapping={"error_count": "many"})
    redis.hset(f"sentry-app-error:8:17:{DAY}", mapping={b"\xff": "1"})
    redis.hset(b"sentry-app-error:\xff", mapping={"error_count": "1"})
    faults = Faults()

    found = list(read_redis_counts(server.url, faults))

    assert [one.app_id for one in found] == [5]
    assert {one.place: one.text.partition(":")[0][:25] for one in faults.first} == {
        "sentry-app-error:5:17": "'sentry-app-error",
        f"sentry-app-error:6:17:{DAY}": "cannot be read as a hash",
        f"sentry-app-error:7:17:{DAY}": "error_count is not a coun",
        f"sentry-app-error:8:17:{DAY}": "'\N{REPLACEMENT CHARACTER}' is none of the fields",
        "sentry-app-error:\\xff": "'sentry-app-error",
    }


def test_counts_that_grow_while_they_are_imported_again_and_again_add_up(
    server: RedisServer, redis: Redis, store: Store, clock: ManualClock
) -> None:
    register(store)
    rule = CountRule("redis", "person:ada", window_days=7)
    for number in (1, 1, 4, 0, 2):
        redis.hincrby(f"sentry-app-error:42:17:{DAY}", "error_count", number)
        import_counts(store, read_redis_counts(server.url, Faults()), rule, Faults())

    assert store.connection.execute("SELECT day, client_error FROM buffer").fetchall() == [(DAY, 8)]
    assert clock.now().date().isoformat() == DAY


def test_what_hookfuse_itself_has_written_is_not_counted_a_second_time(
    server: RedisServer, redis: Redis, store: Store
) -> None:
    register(store)
    record(store, failed("client_error", 404))
    projection = RedisProjection(server.url)
    projection.catch_up(store.connection, store.clock.now())
    projection.close()

    with pytest.raises(RejectedError, match="are those of a hookfuse: its events have them already"):
        list(read_redis_counts(server.url, Faults()))


def test_a_redis_that_is_away_is_named_without_its_password() -> None:
    with pytest.raises(RedisAwayError, match="Redis at unix:///nowhere: ") as raised:
        list(read_redis_counts("unix://ada:s3cret@/nowhere", Faults()))

    assert "s3cret" not in str(raised.value)


def test_what_is_no_url_is_refused_and_not_shown() -> None:
    with pytest.raises(RejectedError) as raised:
        list(read_redis_counts("redis://:s3/cret@host:port/x", Faults()))

    assert "s3" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.skipif(bool(CONFIGURED_URL), reason="the configured server is not to be killed")
def test_a_redis_that_goes_away_meanwhile_leaves_nothing_half_imported(store: Store) -> None:
    register(store)
    with own_redis() as server:
        client = server.client()
        for number in range(1, 3_001):
            client.hset(f"sentry-app-error:42:{number}:{DAY}", mapping={"error_count": 1})
        client.close()
        buckets = read_redis_counts(server.url, Faults(), on_keys=lambda _count: server.kill())
        with pytest.raises(RedisAwayError):
            import_counts(store, buckets, CountRule("redis", "person:ada", 7, is_unknown_skipped=True), Faults())

    assert store.connection.execute("SELECT count(*) FROM buffer").fetchone() == (0,)
