"""What the original's readers find in Redis: exactly what the events add up to, however the way there was."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from eventstore.common.clock import ManualClock
from eventstore.common.identifiers import FLEET_STREAM, installation_stream
from eventstore.errors import ConfigurationError, RedisAwayError, RejectedError
from eventstore.events.catalogue import (
    DeliveryBlocked,
    DisablingFrozen,
    DisablingThawed,
    Event,
    InstallationCountsImported,
    InstallationDisabled,
    InstallationEnabled,
)
from eventstore.log.event_log import NewEvent, last_position
from eventstore.projections.request_log import request_row
from eventstore.redis.connection import open_redis
from eventstore.redis.original_projection import MARK_KEY, RedisProjection
from eventstore.unit_of_work import Store
from tests.eventstore.facts import (
    INSTALLATION_ID,
    OTHER_INSTALLATION_ID,
    attempt,
    failed,
    record,
    register,
    succeeded,
    timed_out,
)
from tests.redis_server import CONFIGURED_URL, CuttingProxy, RedisServer, own_redis

# A real server lets keys die by the real time: these events are of now.
NOW = datetime.now(UTC).replace(hour=12)
TODAY = f"{NOW:%Y-%m-%d}"
DATE = f"{NOW:%Y-%m-%d %H:%M:%S.%f}+00:00"
BUFFER = f"sentry-app-error:42:17:{TODAY}"
REQUESTS = "sentry-app-webhook-request:{42}:metric_alert.critical"
ERRORS = "sentry-app-webhook-error:{42}:metric_alert.critical"
DISABLED = InstallationDisabled(INSTALLATION_ID, 42, 17, "https://x.example", "person", "person:ada", "")
ENABLED = InstallationEnabled(INSTALLATION_ID, "person:ada", "")
own_server_only = pytest.mark.skipif(bool(CONFIGURED_URL), reason="the configured server is not to be killed")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "events.db", ManualClock(NOW)) as store:
        register(store)
        yield store


def catch_up(projection: RedisProjection, store: Store) -> None:
    while projection.catch_up(store.connection, NOW):
        pass


@pytest.fixture
def projection(server: RedisServer) -> Iterator[RedisProjection]:
    projection = RedisProjection(server.url)
    yield projection
    projection.close()


def counts(redis: Redis, key: str = BUFFER) -> dict[str, int]:
    found: Any = redis.hgetall(key)
    return {name.decode(): int(value) for name, value in found.items()}


def rows(redis: Redis, key: str) -> list[dict[str, Any]]:
    found: Any = redis.lrange(key, 0, -1)
    return [json.loads(row) for row in found]


def test_outcomes_are_counted_in_the_original_s_hash_under_its_names(
    redis: Redis, store: Store, projection: RedisProjection
) -> None:
    record(store, succeeded(), succeeded(), failed("client_error", 404), failed("gone", 410), timed_out())
    catch_up(projection, store)

    assert counts(redis) == {"success_count": 2, "error_count": 2, "timeout_count": 1}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("no_answer", "timeout_count"),
        ("reset", "timeout_count"),
        ("bad_status_line", "timeout_count"),
        ("tls", "timeout_count"),
    ],
)
def test_a_connection_that_ended_before_an_answer_is_a_timeout_to_the_original(
    redis: Redis, store: Store, projection: RedisProjection, fault: str, expected: str
) -> None:
    """It is requests' ConnectionError there, whatever a home's own policy calls it (docs/original.md, section 3)."""
    record(store, failed("protocol", 0, fault=fault), failed("protocol", 0, fault=fault))
    catch_up(projection, store)

    assert counts(redis) == {expected: 2}


def test_a_body_that_broke_off_behind_a_status_is_counted_nowhere_by_the_original(
    redis: Redis, store: Store, projection: RedisProjection
) -> None:
    record(store, failed("protocol", 200, fault="broken_body"))
    catch_up(projection, store)

    assert counts(redis) == {}


def test_what_the_original_counts_nowhere_is_in_its_request_log_only(
    redis: Redis, store: Store, projection: RedisProjection
) -> None:
    record(store, failed("server_error", 500), failed("rate_limited", 429), failed("redirect", 302))
    record(store, attempt(DeliveryBlocked, error_class="blocked"))
    catch_up(projection, store)

    assert counts(redis) == {}
    assert [row["response_code"] for row in rows(redis, REQUESTS)] == [0, 302, 429, 500]
    assert [row["response_code"] for row in rows(redis, ERRORS)] == [0, 429, 500]


def test_a_published_app_is_logged_with_its_organization_and_not_counted(
    redis: Redis, store: Store, projection: RedisProjection
) -> None:
    register(store, installation_id=OTHER_INSTALLATION_ID, app_id=43, status="published")
    record(store, succeeded(app_id=43), installation_id=OTHER_INSTALLATION_ID)
    catch_up(projection, store)

    (row,) = rows(redis, "sentry-app-webhook-request:{43}:metric_alert.critical")
    assert row == {
        "date": DATE,
        "response_code": 200,
        "webhook_url": "https://pager.example/hook",
        "organization_id": 17,
    }
    assert redis.keys("sentry-app-error:43:*") == []


def test_a_row_of_an_error_is_the_original_s_to_the_letter(
    redis: Redis, store: Store, projection: RedisProjection
) -> None:
    excerpts = {"request_body": "{}", "response_body": "no", "error_id": "e1", "project_id": "7"}
    headers = json.dumps({"Content-Type": "application/json", "X-Key": 'a "quoted" \\ value'})
    record(store, failed("client_error", 404, request_headers=headers, **excerpts))
    catch_up(projection, store)

    assert rows(redis, ERRORS) == [
        {
            "date": DATE,
            "response_code": 404,
            "webhook_url": "https://pager.example/hook",
            "request_headers": {"Content-Type": "application/json", "X-Key": 'a "quoted" \\ value'},
            **excerpts,
        }
    ]


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=6), st.integers(0, 200))
def test_of_headers_that_were_cut_the_whole_ones_are_left(headers: dict[str, str], end: int) -> None:
    whole = json.dumps(headers)

    shown = request_row(failed("client_error", 404, request_headers=whole[:end]), "", is_internal=True)
    found = msgspec.convert(shown["request_headers"], dict[str, str])
    assert list(found.items()) == list(headers.items())[: len(found)]
    shown = request_row(failed("client_error", 404, request_headers=whole), "", is_internal=True)
    assert shown["request_headers"] == headers


def test_the_last_hundred_requests_stay_newest_first_and_errors_apart(
    redis: Redis, store: Store, projection: RedisProjection
) -> None:
    record(store, failed("client_error", 404))
    record(store, *[succeeded(duration_ms=float(number)) for number in range(120)])
    catch_up(projection, store)

    assert len(rows(redis, REQUESTS)) == 100
    assert [row["response_code"] for row in rows(redis, ERRORS)] == [404]
    assert {"request_headers", "request_body", "response_body"} <= rows(redis, ERRORS)[0].keys()
    assert rows(redis, REQUESTS)[0].keys() == {"date", "response_code", "webhook_url"}


def test_every_key_lives_for_thirty_days_from_its_latest_event(
    redis: Redis, store: Store, projection: RedisProjection
) -> None:
    record(store, failed("client_error", 404))
    catch_up(projection, store)

    days = {redis.ttl(key) / 86_400 for key in (BUFFER, REQUESTS, ERRORS)}
    assert 29 < min(days) <= max(days) <= 30


def test_what_a_clock_that_was_ahead_has_recorded_lives_no_longer_for_it(
    redis: Redis, store: Store, projection: RedisProjection
) -> None:
    record(store, failed("client_error", 404))
    projection.catch_up(store.connection, NOW - timedelta(days=3652))

    days = {redis.ttl(key) / 86_400 for key in (REQUESTS, ERRORS)}
    assert 29 < min(days) <= max(days) <= 30


def test_while_the_clock_is_doubted_the_moment_that_is_believed_decides_what_lives(
    redis: Redis, store: Store, projection: RedisProjection
) -> None:
    """A clock that is 31 days ahead, also that of Redis, would have each key gone as it is written."""
    record(store, failed("client_error", 404))
    projection.catch_up(store.connection, NOW)

    assert redis.hgetall(BUFFER) == {b"error_count": b"1"}


def test_what_is_older_than_thirty_days_is_not_written(
    redis: Redis, tmp_path: Path, projection: RedisProjection
) -> None:
    with Store(tmp_path / "old.db", ManualClock(NOW - timedelta(days=31))) as store:
        register(store)
        record(store, failed("client_error", 404))
        catch_up(projection, store)
        lag = projection.lag(store.connection)

    assert redis.keys("sentry-app-*") == []
    assert lag == 0


@pytest.mark.parametrize("event", [DISABLED, ENABLED])
def test_a_decision_clears_the_buffer(redis: Redis, store: Store, projection: RedisProjection, event: Event) -> None:
    record(store, failed("client_error", 404))
    catch_up(projection, store)
    with store.transaction() as transaction:
        transaction.append(NewEvent(installation_stream(INSTALLATION_ID), event))
    record(store, succeeded())
    catch_up(projection, store)

    assert counts(redis) == {"success_count": 1}


def test_failures_while_disabling_is_frozen_are_not_counted_also_across_batches(redis: Redis, store: Store) -> None:
    with store.transaction() as transaction:
        transaction.append(NewEvent(FLEET_STREAM, DisablingFrozen(10, 6, 6)))
    record(store, timed_out(), timed_out(), succeeded())
    with store.transaction() as transaction:
        transaction.append(NewEvent(FLEET_STREAM, DisablingThawed(10, 0)))
    record(store, timed_out())
    for batch_events in (1, 2, 500):
        redis.flushdb()
        projection = RedisProjection(_url(redis), batch_events=batch_events)
        catch_up(projection, store)
        projection.close()

        assert counts(redis) == {"success_count": 1, "timeout_count": 1}


def _url(redis: Redis) -> str:
    if CONFIGURED_URL:
        return CONFIGURED_URL
    return f"unix://{redis.connection_pool.connection_kwargs['path']}"


def test_a_redis_that_was_flushed_is_filled_again(redis: Redis, store: Store, projection: RedisProjection) -> None:
    record(store, succeeded(), timed_out())
    catch_up(projection, store)
    before = counts(redis)
    redis.flushall()
    lag = projection.lag(store.connection)
    catch_up(projection, store)

    assert lag == last_position(store.connection)
    assert counts(redis) == before == {"success_count": 1, "timeout_count": 1}


def test_keys_that_another_program_wrote_are_not_mixed_with_ours(
    redis: Redis, store: Store, projection: RedisProjection
) -> None:
    redis.hincrby("sentry-app-error:9:9:2026-01-01", "error_count", 5)

    with pytest.raises(RejectedError, match="replay rebuild --to redis"):
        projection.catch_up(store.connection, NOW)
    assert redis.exists(MARK_KEY) == 0

    projection.clear()
    catch_up(projection, store)

    assert redis.keys("sentry-app-error:*") == []


def test_the_mark_of_another_log_is_not_gone_on_from(
    redis: Redis, store: Store, projection: RedisProjection, tmp_path: Path
) -> None:
    record(store, succeeded())
    catch_up(projection, store)
    with Store(tmp_path / "other.db", ManualClock(NOW)) as other:
        register(other)
        record(other, timed_out(), timed_out())

        with pytest.raises(RejectedError, match="another log"):
            projection.catch_up(other.connection, NOW)
        assert counts(redis) == {"success_count": 1}


def test_an_emptying_that_was_broken_off_holds_writers_back(
    redis: Redis, store: Store, projection: RedisProjection
) -> None:
    redis.hset(MARK_KEY, "clearing", "another-process")

    with pytest.raises(RejectedError, match="broken off"):
        projection.catch_up(store.connection, NOW)

    projection.clear()
    catch_up(projection, store)

    assert projection.lag(store.connection) == 0


@own_server_only
def test_an_answer_that_is_lost_after_the_server_has_acted_counts_nothing_twice(
    redis: Redis, server: RedisServer, store: Store
) -> None:
    record(store, *[timed_out()] * 7)
    with tempfile.TemporaryDirectory(prefix="cut-") as folder:
        proxy = CuttingProxy(server.url, Path(folder))
        projection = RedisProjection(proxy.url, batch_events=2)
        proxy.cuts = 3
        catch_up(projection, store)
        projection.close()
        proxy.close()

    assert proxy.cuts == 0
    assert counts(redis) == {"timeout_count": 7}


@own_server_only
def test_a_server_that_was_killed_is_caught_up_with_when_it_is_back(store: Store) -> None:
    record(store, succeeded())
    with own_redis(appendonly="yes", appendfsync="always") as server:
        projection = RedisProjection(server.url)
        catch_up(projection, store)
        server.kill()
        record(store, timed_out())
        with pytest.raises(RedisAwayError):
            projection.catch_up(store.connection, NOW)
        server.start()
        catch_up(projection, store)
        client = server.client()

        assert counts(client) == {"success_count": 1, "timeout_count": 1}
        client.close()
        projection.close()


def test_two_who_write_at_once_count_nothing_twice(redis: Redis, server: RedisServer, store: Store) -> None:
    record(store, *[timed_out()] * 9)
    both = [RedisProjection(server.url, batch_events=2) for _ in range(2)]
    # Turn about, each begins where the other one has just been.
    while sum(one.catch_up(store.connection, NOW) for one in both):
        pass
    for one in both:
        one.close()

    assert counts(redis) == {"timeout_count": 9}


KINDS: dict[str, Event] = {
    "success": succeeded(),
    "client_error": failed("client_error", 404),
    "server_error": failed("server_error", 503),
    "timeout": timed_out(),
    "disabled": DISABLED,
    "enabled": ENABLED,
    "imported": InstallationCountsImported(
        INSTALLATION_ID, TODAY, "redis", "person:ada", success=2, client_error=3, timeout=4
    ),
}


def _expected(kinds: Sequence[str]) -> dict[str, int]:
    total: dict[str, int] = {}
    for kind in kinds:
        match kind:
            case "disabled" | "enabled":
                total = {}
            case "imported":
                for name, count in (("success_count", 2), ("error_count", 3), ("timeout_count", 4)):
                    total[name] = total.get(name, 0) + count
            case "success" | "client_error" | "timeout":
                name = {"client_error": "error_count"}.get(kind, f"{kind}_count")
                total[name] = total.get(name, 0) + 1
    return total


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(kinds=st.lists(st.sampled_from(sorted(KINDS)), max_size=25), batch_events=st.integers(1, 7))
def test_whatever_the_batches_redis_holds_what_the_events_add_up_to(
    redis: Redis, server: RedisServer, kinds: list[str], batch_events: int
) -> None:
    redis.flushdb()
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "events.db", ManualClock(NOW)) as store:
        register(store)
        with store.transaction() as transaction:
            transaction.append(*(NewEvent(installation_stream(INSTALLATION_ID), KINDS[kind]) for kind in kinds))
        projection = RedisProjection(server.url, batch_events=batch_events)
        catch_up(projection, store)
        projection.close()

    assert counts(redis) == _expected(kinds)
    attempts = [kind for kind in kinds if kind in ("success", "client_error", "server_error", "timeout")]
    assert len(rows(redis, REQUESTS)) == len(attempts)


@pytest.mark.parametrize("url", ["http://user:geheim@x", "redis://:geheim@x:notaport", "", "redis://[::1"])
def test_a_url_that_is_none_is_said_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_redis(url)

    assert "geheim" not in str(caught.value)


def test_a_server_that_is_away_is_said_without_its_password(tmp_path: Path, store: Store) -> None:
    projection = RedisProjection(f"unix://:geheim@{tmp_path}/none.sock")

    with pytest.raises(RedisAwayError) as caught:
        projection.lag(store.connection)
    assert "geheim" not in str(caught.value)
