"""What the start of an installation's actor costs, with few events before it and with many.

python -m benchmarks.actor_start --events 1000000
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from actors.delivery.delivery_gate import GateRule
from actors.delivery.installation import InstallationActor
from actors.delivery.installation_dependencies import InstallationDependencies
from actors.runtime.manual_pool import ManualPool
from actors.runtime.restart_budget import RestartBudget
from eventstore.common.clock import ManualClock
from eventstore.common.identifiers import app_stream, installation_stream, organization_stream
from eventstore.events.catalogue import (
    AppRegistered,
    DeliveryFailed,
    DeliverySucceeded,
    InstallationCreated,
    OrganizationRegistered,
)
from eventstore.log.event_log import NewEvent
from eventstore.policies.breaker import BreakerRule
from eventstore.policies.policy import BALANCED
from eventstore.projections.app_secrets import AppSecrets, write_secrets
from eventstore.sqlite.reader_pool import Readers
from eventstore.unit_of_work import Store
from webhook import FakeSender, RetrySchedule, Timeouts

if TYPE_CHECKING:
    from actors.messages import Ref

_FEW_EVENTS = 100
_LIMIT = 2.0  # of issue 4
_BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
_APP_ID = 5
_URL = "https://pager.example/hook"
_GROUP = 50
_TRANSACTION_EVENTS = 20_000


@dataclass(frozen=True, slots=True)
class _Kind:
    """Installations with as many events; starts are spread over them."""

    name: str
    installation_ids: tuple[str, ...]
    events: int


class _Deaf:
    """Stands in for the actors that a start tells nothing."""

    def tell(self, message: object) -> None:
        raise AssertionError(f"a start told somebody {message}")


def _kind(name: str, first: int, count: int, events: int) -> _Kind:
    return _Kind(
        name, tuple(f"{number:08x}-0000-4000-8000-000000000000" for number in range(first, first + count)), events
    )


def _attempt(number: int) -> DeliverySucceeded | DeliveryFailed:
    """Return an outcome; one in twenty is a failure, the last ones are not."""
    delivery_id = f"0197d3c0-1f2e-7a40-9d3c-{number:012x}"
    if number % 20 == 10:
        return DeliveryFailed(
            delivery_id, "metric_alert.critical", _APP_ID, 17, 1, _URL, 500, 12.5, error_class="server_error",
            request_body="x" * 700, response_body="y" * 300,
        )  # fmt: skip
    return DeliverySucceeded(delivery_id, "metric_alert.critical", _APP_ID, 17, 1, _URL, 200, 12.5, f"{number:032x}")


def _register(store: Store, installation_ids: tuple[str, ...]) -> None:
    organization = OrganizationRegistered(17, "acme", "Acme", "https://acme.example", ("ada@acme.example",))
    app = AppRegistered(_APP_ID, "pager", "Pager", "uuid-5", "internal", 17, _URL)
    with store.transaction() as transaction:
        write_secrets(transaction.connection, _APP_ID, AppSecrets("a secret"))
        transaction.append(NewEvent(organization_stream(17), organization), NewEvent(app_stream(_APP_ID), app))
        transaction.append(
            *(NewEvent(installation_stream(one), InstallationCreated(one, _APP_ID, 17)) for one in installation_ids)
        )


def _fill(store: Store, clock: ManualClock, kind: _Kind) -> None:
    """Record attempts as the journal does, ten a second in all, so that a breaker's window holds many."""
    stream_of = [installation_stream(one) for one in kind.installation_ids]
    left = (kind.events - 1) * len(stream_of)
    for start in range(0, left, _TRANSACTION_EVENTS):
        numbers = range(start, min(left, start + _TRANSACTION_EVENTS))
        with store.transaction() as transaction:
            for group in range(numbers.start, numbers.stop, _GROUP):
                some = range(group, min(numbers.stop, group + _GROUP))
                transaction.append(*(NewEvent(stream_of[n % len(stream_of)], _attempt(n)) for n in some))
        clock.advance(seconds=len(numbers) / 10)


def _parts(readers: Readers, clock: ManualClock, pool: ManualPool) -> InstallationDependencies:
    deaf = cast("Ref", _Deaf())

    def complain(reason: str) -> None:
        raise AssertionError(reason)

    return InstallationDependencies(
        pool=pool,
        send_pool=pool,
        budget=RestartBudget(0, 60.0),
        escalate=complain,
        readers=readers,
        sender=FakeSender(),
        journal=deaf,
        supervisor=deaf,
        dispatcher=deaf,
        clock=clock,
        policy=BALANCED,
        disable_scope="internal",
        retry=RetrySchedule((5.0,), jitter=0.0),
        timeouts=Timeouts(),
        gate=GateRule(breaker=BreakerRule()),
    )


def _measure(kinds: list[_Kind], rounds: int, start: Callable[[str], None]) -> dict[str, list[float]]:
    """Start each kind in turn, so that whatever else the machine does meets all of them; in microseconds."""
    taken: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    for number in range(rounds):
        for kind in kinds:
            installation_id = kind.installation_ids[number % len(kind.installation_ids)]
            before_s = time.perf_counter()
            start(installation_id)
            taken[kind.name].append((time.perf_counter() - before_s) * 1e6)
    return taken


def _percentiles(samples: list[float]) -> tuple[float, float]:
    return statistics.median(samples), statistics.quantiles(samples, n=100)[-1]


def _table(store: Store, kinds: list[_Kind], rounds: int, start: Callable[[str], None]) -> Iterator[tuple[Any, ...]]:
    for name, statement in (("with snapshots", ""), ("without", "DELETE FROM snapshots")):
        store.connection.execute(statement)
        taken = _measure(kinds, rounds, start)
        few, many = (_percentiles(taken[kind.name]) for kind in kinds)
        yield name, *few, *many, many[0] / few[0], many[1] / few[1]


def measure_starts(folder: Path, events: int, rounds: int) -> list[tuple[Any, ...]]:
    """Return the rows of the table: what is there, then p50 and p99 of few and of many, and both ratios."""
    clock, pool = ManualClock(_BEGIN), ManualPool()
    few, many = _kind("few", 0, 20, _FEW_EVENTS), _kind("many", 100, 1, events)
    with Store(folder / "events.db", clock) as store:
        _register(store, few.installation_ids + many.installation_ids)
        started_s = time.perf_counter()
        for kind in (many, few):
            _fill(store, clock, kind)
        print(f"wrote {events} events in {time.perf_counter() - started_s:.0f} s", file=sys.stderr)
        clock.advance(seconds=timedelta(minutes=1).total_seconds())
        readers = Readers(folder / "events.db")
        parts = _parts(readers, clock, pool)

        def start(installation_id: str) -> None:
            InstallationActor.start(installation_id, parts)
            pool.run_all()

        _measure([few, many], 50, start)
        rows = list(_table(store, [few, many], rounds, start))
        readers.close()
    return rows


def main() -> int:
    """Measure, print a table, and exit with 1 when many events cost more than the limit."""
    parser = argparse.ArgumentParser(description="Time the start of an installation's actor.")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure_starts(Path(folder), arguments.events, arguments.rounds)
    print(f"{'microseconds':16}{'100: p50':>10}{'p99':>8}{'many: p50':>12}{'p99':>8}{'ratio p50':>12}{'p99':>8}")
    for name, *figures, ratio, ratio_p99 in rows:
        print(
            f"{name:16}{figures[0]:10.0f}{figures[1]:8.0f}{figures[2]:12.0f}{figures[3]:8.0f}{ratio:12.2f}{ratio_p99:8.2f}"
        )
    return int(max(rows[0][-2:]) > _LIMIT)


if __name__ == "__main__":
    sys.exit(main())
