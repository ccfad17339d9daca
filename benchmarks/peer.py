"""The peers as the harness sees them: a backlog, and workers as their own documentation starts them."""

import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.endpoints import Endpoints
from benchmarks.peers.redis_server import RedisServer
from benchmarks.process_group import ProcessGroup

__all__ = ["PEERS", "BareLoops", "Peer", "PeerFlow"]

_BIN = Path(sys.executable).parent
_FILL_S = 600.0


@dataclass(frozen=True, slots=True)
class Peer:
    """A task queue: how its workers are started, and about how fast it is, which says how much it gets to do."""

    name: str
    title: str
    module: str
    command: tuple[str, ...]
    guessed_per_s: int


PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            "dramatiq",
            "Dramatiq on Redis, 2 processes x 16 threads",
            "dramatiq_flow",
            ("dramatiq", "{module}", "--processes=2", "--threads=16"),
            1300,
        ),
        Peer(
            "celery-prefork",
            "Celery on Redis, prefork 2",
            "celery_flow",
            ("celery", "--app={module}", "worker", "--pool=prefork", "--concurrency=2", "--loglevel=warning"),
            800,
        ),
        Peer(
            "celery-threads",
            "Celery on Redis, threads 32",
            "celery_flow",
            ("celery", "--app={module}", "worker", "--pool=threads", "--concurrency=32", "--loglevel=warning"),
            600,
        ),
        Peer(
            "huey",
            "Huey on SQLite, 16 threads",
            "huey_flow",
            ("huey_consumer", "{module}.huey", "--workers=16", "--worker-type=thread", "--quiet"),
            650,
        ),
        Peer(
            "rq",
            "RQ on Redis, 2 SimpleWorkers",
            "rq_flow",
            (
                *("rq", "worker-pool", "benchmark", "--num-workers=2", "--worker-class={module}.SimpleWorker"),
                *("--url=unix://{redis}", "--quiet"),
            ),
            250,
        ),
    )
}


class PeerFlow:
    """A peer with its Redis, its backlog and its workers."""

    def __init__(self, peer: Peer, folder: Path, endpoints: Endpoints, redis: RedisServer) -> None:
        self.name = peer.name
        self.redis = redis
        self._peer = peer
        self._folder = folder
        self._module = f"benchmarks.peers.{peer.module}"
        self._settings = {
            "BENCHMARK_PORT": str(endpoints.port),
            "BENCHMARK_ADDRESSES": str(len(endpoints.addresses)),
            "BENCHMARK_REDIS": redis.socket,
            "BENCHMARK_FOLDER": str(folder),
        }

    def fill(self, count: int, installations: int) -> None:
        """Queue so many deliveries, one to each installation in turn."""
        arguments = [sys.executable, "-m", self._module, str(count), str(installations)]
        with ProcessGroup("fill", arguments, folder=self._folder, settings=self._settings) as filling:
            filling.wait(_FILL_S)

    def start(self) -> ProcessGroup:
        """Start the workers."""
        program, *options = (part.format(module=self._module, redis=self.redis.socket) for part in self._peer.command)
        return ProcessGroup(self.name, [str(_BIN / program), *options], folder=self._folder, settings=self._settings)


class BareLoops:
    """Loops of requests.Session.post in as many processes and threads as hookfuse uses."""

    def __init__(self, folder: Path, endpoints: Endpoints, *, processes: int, threads: int) -> None:
        self.name = "bare"
        self._folder = folder
        self._base_url = endpoints.url(0).removesuffix("0")
        self._workers = (str(processes), str(threads))
        self._work = ("0", "0")

    def fill(self, count: int, installations: int) -> None:
        """Remember what there is to do."""
        self._work = (str(count), str(installations))

    def start(self) -> ProcessGroup:
        """Start the loops."""
        arguments = [sys.executable, "-m", "benchmarks.peers.bare_requests", self._base_url, *self._work]
        return ProcessGroup(self.name, [*arguments, *self._workers], folder=self._folder, settings={})
