"""What tests of several rooms need: a Redis, a SIGINT that interrupts, and hypothesis without a stopwatch."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis

from tests.redis_server import RedisServer, serving_redis

# A shell has what it runs in the background ignore it, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says something of the machine, and nothing of what is tested.
settings.register_profile("hookfuse", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hookfuse")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """Run a real Redis for the tests of a file."""
    with serving_redis() as server:
        yield server


@pytest.fixture
def redis(server: RedisServer) -> Iterator[Redis]:
    """Give a client of it, and an empty database."""
    client = server.client()
    client.flushdb()
    yield client
    client.close()
