"""hookfuse itself, as a user runs it: the command, with every default but the guard's and the time-outs."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.endpoints import Endpoints
from benchmarks.home_builder import alert, build_home
from benchmarks.latency import wait_for
from benchmarks.process_group import ROOT, BenchmarkError, ProcessGroup
from eventstore.deliveries.producer import Producer
from eventstore.home.folder import Home
from eventstore.log.event_log import last_position
from eventstore.queue.queries import count_deliveries
from eventstore.sqlite.database import open_database

__all__ = ["COMMAND", "HookfuseFlow", "has_processes"]

_BATCH = 1000
_WARM_UP_FIRST = 9_000_000_000
_WARM_UP_S = 60.0
_QUIET_S = 1.0
COMMAND = Path(sys.executable).with_name("hookfuse")


class HookfuseFlow:
    """A daemon and its home."""

    name = "hookfuse"

    def __init__(self, home: Home, processes: int, folder: Path) -> None:
        self.home = home
        self._folder = folder
        self._processes = processes
        with self._reading() as connection:
            self._from_position = last_position(connection)

    @classmethod
    def on_new_home(
        cls, folder: Path, endpoints: Endpoints, *, processes: int, apps: int, settings: str = ""
    ) -> "HookfuseFlow":
        """Return one on a home of its own."""
        return cls(build_home(folder / "home", endpoints, apps=apps, settings=settings), processes, folder)

    def fill(self, count: int, installations: int, *, first: int = 0) -> None:
        """Queue so many deliveries, one to each installation in turn."""
        with Producer(self.home) as producer:
            for start in range(first, first + count, _BATCH):
                now_s = time.monotonic()
                numbers = range(start, min(start + _BATCH, first + count))
                producer.send([alert(number, number % installations, now_s) for number in numbers])

    def warm_up(self, endpoints: Endpoints, installations: int) -> float:
        """Deliver once to each installation that answers; return the moment after which all else is queued.

        From then on processes, actors and connections are there.
        """
        answering = [number for number in range(installations) if not endpoints.is_silent(number)]
        first_s = time.monotonic()
        with Producer(self.home) as producer:
            producer.send([alert(_WARM_UP_FIRST + number, number, first_s) for number in answering])
        wait_for(endpoints, len(answering), limit_s=_WARM_UP_S)
        time.sleep(_QUIET_S)
        return time.monotonic()

    def start(self) -> ProcessGroup:
        """Start the daemon."""
        return ProcessGroup(
            "hookfuse",
            [str(COMMAND), "--home", str(self.home.path), "run", *process_options(self._processes)],
            folder=self._folder,
            settings={},
        )

    def require_recorded(self, count: int) -> None:
        """Raise BenchmarkError unless exactly so many different deliveries are recorded as successful since then."""
        events, deliveries = self.successes()
        if not events == deliveries == count:
            raise BenchmarkError(
                f"{count} deliveries were received; {deliveries} are recorded as successful, by {events} events"
            )

    def successes(self) -> tuple[int, int]:
        """Count the events that record a success since then, and the different deliveries that they are of."""
        with self._reading() as connection:
            events, deliveries = connection.execute(
                "SELECT count(*), count(DISTINCT json_extract(data, '$.delivery_id')) FROM events"
                " WHERE position > ? AND type = 'delivery.succeeded'",
                (self._from_position,),
            ).fetchone()
        return int(events), int(deliveries)

    def count_waiting(self) -> int:
        """Count the deliveries that wait, those under way included."""
        with self._reading() as connection:
            return count_deliveries(connection)["waiting"]

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        connection = open_database(self.home.database, is_writer=False)
        try:
            yield connection
        finally:
            connection.close()


def process_options(processes: int) -> list[str]:
    """Return the options of `hookfuse run` for a number of processes."""
    return [] if processes == 1 else ["--processes", str(processes)]


def has_processes() -> bool:
    """Return whether this hookfuse can run with several processes."""
    shown = subprocess.run([COMMAND, "run", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    return "--processes" in shown.stdout
