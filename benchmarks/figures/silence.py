"""Figures 4 and 5: endpoints that accept and never answer, and what the healthy ones notice of them."""

from collections.abc import Iterator

from benchmarks.alert import INSTALLATIONS
from benchmarks.conditions import Conditions
from benchmarks.drain import Contender, drain
from benchmarks.endpoints import Endpoints
from benchmarks.figures.throughput import drain_hookfuse
from benchmarks.hookfuse_flow import HookfuseFlow
from benchmarks.latency import latencies_ms, wait_for
from benchmarks.load import run_load
from benchmarks.peer import PEERS, PeerFlow
from benchmarks.peers.redis_server import RedisServer
from benchmarks.readings import Reading, percentile
from benchmarks.receiver import Answering

__all__ = ["run_silence_latency", "run_silence_rate"]

# Every 50th installation is 2% of them, every 5th is 20%.
_SILENT_EVERY = {"2": 50, "20": 5}
_WINDOW_S = 30
_QUICK_WINDOW_S = 6
_GUESSED_PER_S = 4000
_PACED_S = 30
_QUICK_PACED_S = 8
_SETTLE_S = 60.0


def run_silence_rate(conditions: Conditions, _figures: frozenset[str]) -> Iterator[Reading]:
    """Measure the pace of the healthy ones, without and with silent ones: hookfuse, then Dramatiq."""
    for prefix, measure in (("4-", _hookfuse_rate), ("4-dramatiq-", _dramatiq_rate)):
        alone = measure(conditions, 0)
        for share, silent_every in _SILENT_EVERY.items():
            yield Reading(f"{prefix}{share}", measure(conditions, silent_every), alone)


def _hookfuse_rate(conditions: Conditions, silent_every: int) -> float:
    with conditions.scratch() as folder, Endpoints(folder, Answering(silent_every)) as endpoints:
        flow = HookfuseFlow.on_new_home(folder, endpoints, processes=conditions.processes, apps=INSTALLATIONS)
        return _rate(conditions, flow, endpoints, _GUESSED_PER_S)


def _dramatiq_rate(conditions: Conditions, silent_every: int) -> float:
    peer = PEERS["dramatiq"]
    with (
        conditions.scratch() as folder,
        Endpoints(folder, Answering(silent_every)) as endpoints,
        RedisServer(folder) as redis,
    ):
        return _rate(conditions, PeerFlow(peer, folder, endpoints, redis), endpoints, peer.guessed_per_s)


def _rate(conditions: Conditions, flow: Contender, endpoints: Endpoints, guessed_per_s: int) -> float:
    """Return the healthy deliveries a second from the first one on, over the window: its first seconds count too."""
    window_s = conditions.pick(_WINDOW_S, _QUICK_WINDOW_S)
    count = guessed_per_s * window_s
    flow.fill(count, INSTALLATIONS)
    healthy = sum(not endpoints.is_silent(number % INSTALLATIONS) for number in range(count))
    return drain(flow, endpoints, count=healthy, limit_s=window_s).per_s_within(window_s, expected=healthy)


def run_silence_latency(conditions: Conditions, _figures: frozenset[str]) -> Iterator[Reading]:
    """Measure how long the healthy ones take at half the full load, without and with silent ones."""
    half_per_s = drain_hookfuse(conditions).per_s / 2
    alone = _p99_ms(conditions, 0, half_per_s)
    for share, silent_every in _SILENT_EVERY.items():
        yield Reading(f"5-{share}", _p99_ms(conditions, silent_every, half_per_s), alone)


def _p99_ms(conditions: Conditions, silent_every: int, per_s: float) -> float:
    seconds = conditions.pick(_PACED_S, _QUICK_PACED_S)
    with conditions.scratch() as folder, Endpoints(folder, Answering(silent_every)) as endpoints:
        flow = HookfuseFlow.on_new_home(folder, endpoints, processes=conditions.processes, apps=INSTALLATIONS)
        with flow.start():
            started_s = flow.warm_up(endpoints, INSTALLATIONS)
            sent = run_load("paced", flow.home, limit_s=seconds + _SETTLE_S, per_s=per_s, seconds=seconds)
            silent = sum(endpoints.is_silent(number % INSTALLATIONS) for number in range(int(sent["sent"])))
            wait_for(endpoints, int(sent["sent"]) - silent, from_s=started_s, limit_s=_SETTLE_S)
        return percentile(latencies_ms(endpoints.healthy(), from_s=started_s), 99)
