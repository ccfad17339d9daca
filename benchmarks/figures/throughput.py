"""Figures 1, 2 and 3: how fast a backlog is worked off, and with how much CPU time."""

from collections.abc import Iterator

from benchmarks.alert import INSTALLATIONS
from benchmarks.conditions import Conditions
from benchmarks.drain import Drain, drain
from benchmarks.endpoints import Endpoints
from benchmarks.hookfuse_flow import HookfuseFlow
from benchmarks.peer import PEERS, BareLoops, PeerFlow
from benchmarks.peers.redis_server import RedisServer
from benchmarks.readings import Reading

__all__ = ["drain_bare", "drain_hookfuse", "drain_peer", "run_throughput"]

_SECONDS = 12
_QUICK_SECONDS = 1
_HOOKFUSE_GUESSED_PER_S = 4000
_BARE_GUESSED_PER_S = 3500
# As many as hookfuse has requests under way in each process when all endpoints answer at once.
_BARE_THREADS = 8


def run_throughput(conditions: Conditions, figures: frozenset[str]) -> Iterator[Reading]:
    """Measure what the wanted ones of the figures 1, 2 and 3 need, one after another."""
    ours = drain_hookfuse(conditions)
    if figures & {"1", "3"}:
        dramatiq = drain_peer(conditions, "dramatiq")
        yield Reading("3-cpu", ours.cpu_us, dramatiq.cpu_us)
        yield Reading("3-cpu-redis", ours.cpu_us, dramatiq.cpu_us + dramatiq.server_cpu_us)
        yield Reading("1-dramatiq", ours.per_s, dramatiq.per_s)
    if "2" in figures:
        yield Reading("2-bare", ours.per_s, drain_bare(conditions).per_s)
    if "1" in figures:
        celery = max(drain_peer(conditions, name).per_s for name in ("celery-prefork", "celery-threads"))
        yield Reading("1-celery", ours.per_s, celery)
        yield Reading("1-huey", ours.per_s, drain_peer(conditions, "huey").per_s)
        yield Reading("1-rq", ours.per_s, drain_peer(conditions, "rq").per_s)
        apart = drain_hookfuse(conditions, addresses=INSTALLATIONS)
        yield Reading("1-hosts", apart.per_s, drain_peer(conditions, "dramatiq", addresses=INSTALLATIONS).per_s)


def drain_hookfuse(conditions: Conditions, count: int = 0, *, addresses: int = 1) -> Drain:
    """Run hookfuse on a new home until its backlog is done, and check that each delivery is recorded."""
    count = count or _HOOKFUSE_GUESSED_PER_S * conditions.pick(_SECONDS, _QUICK_SECONDS)
    with conditions.scratch() as folder, Endpoints(folder, addresses=addresses) as endpoints:
        flow = HookfuseFlow.on_new_home(folder, endpoints, processes=conditions.processes, apps=INSTALLATIONS)
        flow.fill(count, INSTALLATIONS)
        seen = drain(flow, endpoints, count=count)
        flow.require_recorded(count)
    return seen


def drain_peer(conditions: Conditions, name: str, *, addresses: int = 1) -> Drain:
    """Run a peer until its backlog is done."""
    peer = PEERS[name]
    count = max(100, peer.guessed_per_s * conditions.pick(_SECONDS, _QUICK_SECONDS))
    with (
        conditions.scratch() as folder,
        Endpoints(folder, addresses=addresses) as endpoints,
        RedisServer(folder) as redis,
    ):
        flow = PeerFlow(peer, folder, endpoints, redis)
        flow.fill(count, INSTALLATIONS)
        return drain(flow, endpoints, count=count, servers=[redis.process])


def drain_bare(conditions: Conditions) -> Drain:
    """Send as much by bare loops."""
    count = _BARE_GUESSED_PER_S * conditions.pick(_SECONDS, _QUICK_SECONDS)
    with conditions.scratch() as folder, Endpoints(folder) as endpoints:
        loops = BareLoops(folder, endpoints, processes=conditions.processes, threads=_BARE_THREADS)
        loops.fill(count, INSTALLATIONS)
        return drain(loops, endpoints, count=count)
