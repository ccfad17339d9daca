"""Which figure is measured by what."""

from collections.abc import Callable, Iterator

from benchmarks.conditions import Conditions
from benchmarks.figures.burst import run_burst
from benchmarks.figures.ceiling import run_ceiling
from benchmarks.figures.enqueueing import run_enqueueing
from benchmarks.figures.idle import run_idle
from benchmarks.figures.long_history import run_long_history
from benchmarks.figures.looking_back import run_actor_start, run_rebuild
from benchmarks.figures.memory import run_memory
from benchmarks.figures.silence import run_silence_latency, run_silence_rate
from benchmarks.figures.throughput import run_throughput
from benchmarks.readings import Reading

__all__ = ["EXPERIMENTS", "FIGURES", "Experiment"]

# Gives one run's readings for those of its figures that are wanted.
Experiment = Callable[[Conditions, frozenset[str]], Iterator[Reading]]

EXPERIMENTS: tuple[tuple[frozenset[str], Experiment], ...] = (
    (frozenset({"receiver"}), run_ceiling),
    (frozenset({"1", "2", "3"}), run_throughput),
    (frozenset({"4"}), run_silence_rate),
    (frozenset({"5"}), run_silence_latency),
    (frozenset({"6"}), run_idle),
    (frozenset({"7"}), run_memory),
    (frozenset({"8"}), run_long_history),
    (frozenset({"9"}), run_enqueueing),
    (frozenset({"10"}), run_burst),
    (frozenset({"rebuild", "what-if"}), run_rebuild),
    (frozenset({"actor-start"}), run_actor_start),
)

FIGURES = frozenset().union(*(figures for figures, _ in EXPERIMENTS))
