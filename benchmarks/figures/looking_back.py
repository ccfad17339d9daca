"""What looking back costs: rebuilding the buffer, asking what if, and an actor's start after a long life."""

import sys
from collections.abc import Iterator

from benchmarks.actor_start import measure_starts
from benchmarks.conditions import Conditions
from benchmarks.histories import home_with_history
from benchmarks.history import Shape
from benchmarks.hookfuse_flow import COMMAND
from benchmarks.process_group import ProcessGroup, Usage
from benchmarks.readings import Reading
from eventstore.home.folder import Home

__all__ = ["run_actor_start", "run_rebuild"]

_EVENTS = 2_000_000
_QUICK_EVENTS = 100_000
_FEWER = 10
_ACTOR_EVENTS = 1_000_000
_QUICK_ACTOR_EVENTS = 20_000
_STARTS = 2000
_QUICK_STARTS = 100
_LIMIT_S = 900.0


def run_rebuild(conditions: Conditions, figures: frozenset[str]) -> Iterator[Reading]:
    """Rebuild the buffer by the command, and count the same by a bare loop and by the library; then ask what if."""
    events = conditions.pick(_EVENTS, _QUICK_EVENTS)
    home = home_with_history(conditions, "history", Shape(events))
    fewer = home_with_history(conditions, "history", Shape(events // _FEWER))
    for one in (home, fewer):  # once before: what differs from a new home's tables is written only once
        _rebuild(conditions, one)
    rebuilt = _rebuild(conditions, home)
    if "rebuild" in figures:
        loop, _ = _run(conditions, sys.executable, "-m", "benchmarks.bare_fold", str(home.database))
        yield Reading("rebuild-loop", events / rebuilt.seconds, events / loop.seconds)
        yield Reading("rebuild-memory", rebuilt.peak_mb, _rebuild(conditions, fewer).peak_mb)
        yield Reading("rebuild-library", events / rebuilt.seconds, _library_per_s(conditions, home))
    if "what-if" in figures:
        question = ("replay", "what-if", "--policy", "sentry-2024", "--json")
        asked, _ = _run(conditions, str(COMMAND), "--home", str(home.path), *question)
        yield Reading("what-if", asked.seconds, rebuilt.seconds)


def _rebuild(conditions: Conditions, home: Home) -> Usage:
    return _run(conditions, str(COMMAND), "--home", str(home.path), "replay", "rebuild", "--projection", "buffer")[0]


def _library_per_s(conditions: Conditions, home: Home) -> float:
    """Return the events a second of the library, which holds every tenth installation in a file of its own."""
    path = home.path / "library.db"
    module = (sys.executable, "-m", "benchmarks.peers.eventsourcing_fold")
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        _run(conditions, *module, "write", str(home.database), str(unfinished))
        unfinished.rename(path)
    usage, counted = _run(conditions, *module, "rebuild", str(path))
    return int(counted) / usage.seconds


def _run(conditions: Conditions, *arguments: str) -> tuple[Usage, str]:
    """Run a command to its end, and return what it used and printed."""
    with conditions.scratch() as folder, ProcessGroup("command", arguments, folder=folder, settings={}) as group:
        return group.usage(_LIMIT_S), group.output()


def run_actor_start(conditions: Conditions, _figures: frozenset[str]) -> Iterator[Reading]:
    """Start actors with few events and with many before them, in turn, from their snapshots."""
    with conditions.scratch() as folder:
        events = conditions.pick(_ACTOR_EVENTS, _QUICK_ACTOR_EVENTS)
        starts = conditions.pick(_STARTS, _QUICK_STARTS)
        with_snapshots, *_ = measure_starts(folder, events, starts)
    _, few_us, _, many_us, *_ = with_snapshots
    yield Reading("actor-start", many_us / 1000, few_us / 1000)
