"""What `hookfuse status` costs on a large home: a tenth in trouble, one in a hundred disabled, a year of days.

python -m benchmarks.status --installations 10000 /tmp/home
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from benchmarks.history import Shape, installation_id, write_history
from eventstore.common.clock import SystemClock, time_text
from eventstore.common.identifiers import installation_stream
from eventstore.events.catalogue import BreakerOpened, DisableEvidence, Event, InstallationDisabled, InstallationWarned
from eventstore.home.folder import Home
from eventstore.log.event_log import NewEvent
from eventstore.policies.day_counts import COUNTED_CLASSES
from eventstore.policies.policy import BALANCED
from eventstore.sqlite.database import open_database, writing
from eventstore.unit_of_work import Store
from eventstore.views.status import read_status

__all__ = ["build_home"]

_DAYS = 365
# Of the log: so many attempts an installation stand in the request log, half of them failed.
_ATTEMPTS = 20
_RUNS = 9


def build_home(home: Home, installations: int) -> None:
    """Make a home that has been at work for a year until today."""
    now = datetime.now(UTC)
    shape = Shape(
        events=installations * (2 + _ATTEMPTS),
        installations=installations,
        failing=0.5,
        broken=0.0,
        days=0.9,
        ends_at=now - timedelta(seconds=1),
    )
    write_history(home, shape)
    with Store(home.database, SystemClock()) as store:
        with writing(store.connection):
            store.connection.execute("DELETE FROM buffer")
            store.connection.executemany(
                f"INSERT INTO buffer (installation_id, day, {', '.join(COUNTED_CLASSES)}, first_failure, last_failure)"
                f" VALUES ({', '.join('?' * (len(COUNTED_CLASSES) + 4))})",
                _days(installations, now),
            )
            store.connection.execute(
                "INSERT INTO request_log SELECT data ->> 'app_id', data ->> 'event_name', position,"
                " type != 'delivery.succeeded' FROM events WHERE type LIKE 'delivery.%'"
            )
            store.connection.execute(
                "INSERT INTO failures SELECT substr(recorded_at, 1, 13), data ->> 'error_class', count(*) FROM events"
                " WHERE type LIKE 'delivery.%' AND data ->> 'error_class' != '' GROUP BY 1, 2"
            )
        with store.transaction() as transaction:
            transaction.append(
                *(NewEvent(installation_stream(known), event) for known, event in _decisions(installations, now))
            )


def _is_troubled(number: int) -> bool:
    return number % 10 == 3


def _is_disabled(number: int) -> bool:
    return number % 100 == 7


def _days(installations: int, now: datetime) -> Iterator[tuple[object, ...]]:
    """Yield each day of each installation: all work, with some errors and now and then a time-out among them."""
    for number in range(installations):
        for ago in range(_DAYS, -1, -1):
            day = time_text(now - timedelta(days=ago))[:10]
            is_failing = (_is_troubled(number) and ago < 1 + number // 10 % 6) or (_is_disabled(number) and ago < 7)
            success = 0 if is_failing else 40
            server_error = 8 if is_failing else (number + ago) % 3
            timeout = 3 if is_failing else int((number + ago) % 7 == 0)
            positions = (number + 1, number + 2) if server_error or timeout else (None, None)
            yield (installation_id(number), day, success, 0, 0, 0, server_error, 0, timeout, 0, 0, *positions)


def _decisions(installations: int, now: datetime) -> Iterator[tuple[str, Event]]:
    url, until = "https://receiver.example", time_text(now + timedelta(minutes=10))
    evidence = DisableEvidence(BALANCED.name, BALANCED.version, "no-success", "no success within 7 days", (), 1)
    for number in range(installations):
        known = installation_id(number)
        if _is_disabled(number):
            disabled = InstallationDisabled(
                known, number + 1, 17, url, "policy", "system", evidence.explanation, evidence
            )
            yield known, disabled
        elif number % 20 == 3:
            yield known, InstallationWarned(known, number + 1, 17, url, 50, 0.5, evidence)
        elif number % 50 == 13:
            yield known, BreakerOpened(known, until, "5 failures in a row")


def cpu_ms(work: Callable[[], object]) -> float:
    """Return the CPU time of one call, the median of some."""
    taken = []
    work()
    for _ in range(_RUNS):
        started_s = time.process_time()
        work()
        taken.append((time.process_time() - started_s) * 1000)
    return median(taken)


def command_ms(*arguments: str) -> float:
    """Return the CPU time of a command, the median of some."""
    taken = []
    for _ in range(_RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "runner", *arguments], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000)
    return median(taken)


def main() -> None:
    """Build the home where there is none yet, measure, and print one line for each figure."""
    parser = argparse.ArgumentParser(description="Measure what `hookfuse status` costs on a large home.")
    parser.add_argument("home", type=Path)
    parser.add_argument("--installations", type=int, default=500)
    arguments = parser.parse_args()
    home = Home(arguments.home)
    if not home.database.exists():
        build_home(home, arguments.installations)
    connection = open_database(home.database, is_writer=False)
    now = datetime.now(UTC)
    view_ms = cpu_ms(lambda: read_status(connection, BALANCED, now, limit=10, longest_retry_s=36_000.0))
    connection.close()
    help_ms, status_ms = command_ms("--help"), command_ms("--home", str(home.path), "status")
    print(f"view     {view_ms:6.1f} ms")
    print(f"--help   {help_ms:6.1f} ms")
    print(f"status   {status_ms:6.1f} ms, {status_ms - help_ms:.1f} more")


if __name__ == "__main__":
    main()
