"""What tests of several rooms need: a Redis, a SIGINT that interrupts, and hypothesis without a stopwatch."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis

from eventstore.common import lazy_log
from tests import prepared_schema, scratch_space
from tests.redis_server import RedisServer, serving_redis

# A shell has what it runs in the background ignore it, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says something of the machine, and nothing of what is tested.
settings.register_profile("hookfuse", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hookfuse")

# Where the environment forbids bytecode beside the sources it goes elsewhere, or each of a thousand processes would
# compile the same files again.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(scratch_space.own_folder("hookfuse-bytecode"))
    sys.dont_write_bytecode = False

# OpenSSL takes 60 ms to read the system's certificates, for each sender and each daemon. No server here has one of
# those; tests of the stores name theirs.
os.environ["SSL_CERT_FILE"] = os.environ["SSL_CERT_DIR"] = os.devnull

prepared_schema.install()


def pytest_configure(config: pytest.Config) -> None:
    """Keep what tests write in memory, where there is room for it and no other place is named."""
    scratch_space.choose(config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process of several is alone with it at the end."""
    items.sort(key=lambda item: "end_to_end" not in item.path.parts)


@pytest.fixture(autouse=True)
def _configures_no_logging_later() -> Iterator[None]:
    """Keep a command that was run within a test's process from configuring the logging of the next test."""
    yield
    lazy_log._configure.clear()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """Run a real Redis for the tests of a file."""
    with serving_redis() as server:
        yield server


@pytest.fixture
def redis(server: RedisServer) -> Iterator[Redis]:
    """Return a client of it, and an empty database."""
    client = server.client()
    client.flushdb()
    yield client
    client.close()
