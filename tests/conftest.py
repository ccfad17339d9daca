"""What tests of several rooms need: a Redis."""

from collections.abc import Iterator

import pytest
from redis import Redis

from tests.redis_server import RedisServer, serving_redis


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
