"""Producers as processes of their own; what they did is printed as JSON.

python -m benchmarks.load paced --home HOME --per-s 500 --seconds 20
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.home_builder import alert
from benchmarks.process_group import ProcessGroup
from eventstore.deliveries.producer import Producer
from eventstore.home.folder import Home
from eventstore.queue.delivery import NewDelivery
from eventstore.queue.queries import count_deliveries
from eventstore.sqlite.database import open_database

__all__ = ["finished", "run_load", "start_load"]

_TICK_S = 0.005


def start_load(mode: str, home: Home, **options: float) -> ProcessGroup:
    """Start a producer; options are those of the command line, with `_` for `-`."""
    arguments = [sys.executable, "-m", "benchmarks.load", mode, "--home", str(home.path)]
    for name, value in options.items():
        arguments += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
    return ProcessGroup(f"load-{mode}", arguments, folder=home.path.parent, settings={})


def run_load(mode: str, home: Home, *, limit_s: float, **options: float) -> dict[str, float]:
    """Run a producer to its end, and return what it did. Raises BenchmarkError when that takes too long."""
    with start_load(mode, home, **options) as load:
        load.wait(limit_s)
        return finished(load)


def finished(load: ProcessGroup) -> dict[str, float]:
    """Return what a producer that has ended did. Raises BenchmarkError when it failed."""
    load.wait(0)
    done: dict[str, float] = json.loads(load.output())
    return done


def _paced(producer: Producer, options: argparse.Namespace) -> dict[str, float]:
    """Queue at an even pace, whatever becomes of it: each bears the moment at which it was to be queued.

    What is queued too late, as the queue was locked or the machine busy, is late by the clock of the plan.
    """
    started_s = time.monotonic() + _TICK_S
    sent, late_s = 0, 0.0
    for tick in range(int(options.seconds / _TICK_S)):
        planned_s = started_s + tick * _TICK_S
        time.sleep(max(0.0, planned_s - time.monotonic()))
        late_s = max(late_s, time.monotonic() - planned_s)
        due = int((tick + 1) * _TICK_S * options.per_s)
        _send(producer, options, range(sent, due), planned_s)
        sent = due
    return {"sent": sent, "late_s": late_s}


def _live(producer: Producer, options: argparse.Namespace) -> dict[str, float]:
    """Queue beside a daemon at work as paced ones do, few at a time, and as fast as it works them off."""
    started_s = time.monotonic()
    sent = waiting = 0
    with closing(open_database(Home(options.home).database, is_writer=False)) as connection:
        while (now_s := time.monotonic()) < started_s + options.seconds:
            if waiting >= options.count:
                time.sleep(_TICK_S)
            for _ in range(0, options.count - waiting, options.batch):
                _send(producer, options, range(sent, sent + options.batch), now_s)
                sent += options.batch
            waiting = count_deliveries(connection)["waiting"]
    return {"sent": sent}


def _burst(producer: Producer, options: argparse.Namespace) -> dict[str, float]:
    """Queue as fast as it goes, in batches; what is to be queued is there already."""
    started_s = time.monotonic()
    starts = range(0, options.count, options.batch)
    numbers = [range(start, min(start + options.batch, options.count)) for start in starts]
    batches = [_alerts(options, some, started_s) for some in numbers]
    time.sleep(max(0.0, started_s + options.after_s - time.monotonic()))
    started_s = time.monotonic()
    for batch in batches:
        producer.send(batch)
    return {"sent": options.count, "seconds": time.monotonic() - started_s}


def _singles(producer: Producer, options: argparse.Namespace) -> dict[str, float]:
    """Queue one at a time, with a pause of random length before each."""
    chance = random.Random(options.first)
    for number in range(options.count):
        time.sleep(chance.uniform(0.5, 1.5) * options.pause_s)
        _send(producer, options, range(number, number + 1), time.monotonic())
    return {"sent": options.count}


def _send(producer: Producer, options: argparse.Namespace, numbers: Sequence[int], queued_s: float) -> None:
    if numbers:
        producer.send(_alerts(options, numbers, queued_s))


def _alerts(options: argparse.Namespace, numbers: Sequence[int], queued_s: float) -> list[NewDelivery]:
    first, lowest, count = options.first, options.lowest, options.installations
    return [alert(first + number, lowest + number % count, queued_s) for number in numbers]


_MODES = {"paced": _paced, "live": _live, "burst": _burst, "singles": _singles}


def main() -> None:
    """Queue, and say what was queued."""
    parser = argparse.ArgumentParser(description="Queue deliveries.")
    parser.add_argument("mode", choices=_MODES)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0, help="number of the first delivery")
    parser.add_argument("--lowest", type=int, default=0, help="number of the first installation")
    parser.add_argument("--installations", type=int, default=500, help="how many installations, each in turn")
    parser.add_argument("--per-s", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--after-s", type=float, default=0.0, help="seconds until a burst begins")
    parser.add_argument("--pause-s", type=float, default=0.0, help="seconds between two singles, on average")
    options = parser.parse_args()
    with Producer(Home(options.home)) as producer:
        print(json.dumps(_MODES[options.mode](producer, options)))


if __name__ == "__main__":
    main()
