"""One month of an installation's life, played against a real receiver on an injected clock.

`python -m tests.end_to_end.one_month` prints its days; `python -m tests.end_to_end.one_month FOLDER` keeps its home,
to look at with the commands.
"""

import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from actors.assembly.outside import sender_for
from actors.assembly.system import ActorSystem
from actors.mail.mail_transport import MemoryTransport
from eventstore.common.clock import ManualClock
from eventstore.decisions.disable import enable
from eventstore.deliveries.producer import Producer
from eventstore.deliveries.recover import start_recovery
from eventstore.home.folder import Home
from eventstore.log.event_log import StoredEvent, read_events
from eventstore.queue.delivery import NewDelivery
from eventstore.registry.apply import apply_document
from eventstore.registry.document import read_registry_document
from eventstore.settings.configuration import load_configuration
from eventstore.sqlite.database import open_database
from eventstore.unit_of_work import Store
from tests.end_to_end.stage import LIMIT_S, Stage, installation_id, serving

APP = 5
ALERTS_A_DAY = 6
FIRST_DAY = datetime(2026, 3, 1, tzinfo=UTC)

# The day of the month from which on the receiver answers so. 0 = every third request fails.
CHAPTERS = {1: 200, 8: 0, 12: 500, 21: 200}
MENDED_DAY, LAST_DAY = 22, 31

# What happens too often for a line of its own.
_COUNTED = ("delivery.", "breaker.", "mail.")


@dataclass
class Month:
    """What came of it."""

    events: list[StoredEvent]
    postbox: MemoryTransport
    received: list[str]
    state_a_day: dict[int, str] = field(default_factory=dict)


def play(folder: Path) -> Month:
    """Live through the month, hour by hour."""
    with serving("receiver.py", folder / "receiver.jsonl") as receiver:
        stage = Stage(folder / "home", receiver)
        stage.configure(
            "[retry]\nschedule = [900, 3600]\n[breaker]\nstreak_min = 5\n[delivery]\nper_installation = 1\n"
        )
        clock, postbox = ManualClock(FIRST_DAY), MemoryTransport()
        document = read_registry_document(stage.write_registry({APP: "/told"}, owners=("owner@acme.example",)))
        with Store(stage.home / "events.db", clock) as store, store.transaction() as transaction:
            apply_document(transaction, document)
        month = Month([], postbox, [])
        with _running(Home(stage.home), clock, postbox) as system:
            for day in range(1, LAST_DAY + 1):
                _live_a_day(stage, system, clock, day, month)
        connection = open_database(stage.home / "events.db", is_writer=False)
        month.events = list(read_events(connection, stream=f"installation-{installation_id(APP)}"))
        connection.close()
        month.received = [request["headers"]["webhook-id"] for request in receiver.seen()]
    return month


def timeline(month: Month) -> Iterator[str]:
    """Tell the month: a line for each day's outcomes, and one for each decision."""
    for day in range(1, LAST_DAY + 1):
        date = (FIRST_DAY + timedelta(days=day - 1)).date().isoformat()
        todays = [stored for stored in month.events if stored.recorded_at.startswith(date)]
        counts = Counter(
            stored.type.partition(".")[2] if stored.type.startswith("delivery.") else stored.type
            for stored in todays
            if stored.type.startswith(_COUNTED)
        )
        told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nothing"
        yield f"{date}  {month.state_a_day[day]:<8}  {told}"
        for stored in todays:
            if not stored.type.startswith(_COUNTED):
                yield f"            {stored.recorded_at[11:16]}  {stored.type}  {_detail(stored)}"


def _detail(stored: StoredEvent) -> str:
    event = stored.event
    evidence = getattr(event, "evidence", None)
    for text in (
        getattr(evidence, "explanation", ""),
        *(getattr(event, name, "") for name in ("explanation", "reason")),
    ):
        if text:
            return str(text)
    return " ".join(str(getattr(event, name)) for name in ("event", "kind", "deliveries") if hasattr(event, name))


@contextmanager
def _running(home: Home, clock: ManualClock, postbox: MemoryTransport) -> Iterator[ActorSystem]:
    configuration = load_configuration(home.configuration)
    system = ActorSystem(
        home,
        configuration,
        sender=sender_for(configuration),
        postbox=postbox,
        on_failure=lambda: None,
        clock=clock,
    )
    try:
        yield system
    finally:
        system.stop()
    if system.failure:
        raise AssertionError(system.failure)


def _live_a_day(stage: Stage, system: ActorSystem, clock: ManualClock, day: int, month: Month) -> None:
    code = max(start for start in CHAPTERS if start <= day)
    with Producer(Home(stage.home), clock) as producer, Store(stage.home / "events.db", clock) as store:
        for hour in range(24):
            if hour % (24 // ALERTS_A_DAY) == 0:
                number = hour // (24 // ALERTS_A_DAY)
                answer = CHAPTERS[code] or (500 if number % 3 == 2 else 200)
                stage.receiver.tell(answer)
                producer.send([NewDelivery(installation_id(APP), "metric_alert.critical", f'{{"day":{day}}}')])
            if day == MENDED_DAY and hour == 9:
                _fix(store)
            _settle(system)
            clock.advance(seconds=3600)
        row = store.connection.execute("SELECT state FROM installations").fetchone()
        month.state_a_day[day] = str(row[0])


def _fix(store: Store) -> None:
    with store.transaction() as transaction:
        enable(transaction, installation_id(APP), by="person:ann", reason="the endpoint is fixed")
        start_recovery(transaction, installation_id(APP), by="person:ann", per_s=10.0)


def _settle(system: ActorSystem) -> None:
    """Run everything that is due at this hour."""
    deadline_s = time.monotonic() + LIMIT_S
    system.look_around()
    while not system.is_drained():
        if system.failure or time.monotonic() > deadline_s:
            raise AssertionError(system.failure or "it never came to rest")
        system.look_around()


def main(arguments: Sequence[str]) -> None:
    """Play the month and print it, in a folder that is kept when one is given."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with ExitStack() as stack:
        folder = Path(arguments[0] if arguments else stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(exist_ok=True)
        sys.stdout.write("\n".join(timeline(play(folder))) + "\n")
        if arguments:
            sys.stdout.write(f"\nhookfuse --home {folder / 'home'} replay timeline {installation_id(APP)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
