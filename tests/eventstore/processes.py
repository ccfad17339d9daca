"""Other processes: each worker waits at a barrier, works, and puts what came of it into the answers."""

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventstore.common.clock import SystemClock
from eventstore.decisions.outage_watch import HealthChange, note_health
from eventstore.decisions.review import ReviewRequest, review
from eventstore.deliveries.producer import Producer
from eventstore.errors import EventStoreError
from eventstore.events.catalogue import InstallationRemoved
from eventstore.home.folder import Home
from eventstore.log.event_log import NewEvent
from eventstore.policies.outage_rule import OutageRule
from eventstore.policies.policy import BALANCED
from eventstore.queue.delivery import NewDelivery
from eventstore.sqlite.database import open_database
from eventstore.unit_of_work import Store

_SPAWN = multiprocessing.get_context("spawn")
_PATIENCE_S = 60


def at_once(worker: Callable[..., Any], *arguments: Any, count: int = 2) -> list[Any]:
    """Run a worker of this module in so many processes at once and give their answers."""
    barrier, answers = _SPAWN.Barrier(count), _SPAWN.Queue()
    processes = [
        _SPAWN.Process(target=_answer, args=(worker, barrier, answers, number, arguments)) for number in range(count)
    ]
    for process in processes:
        process.start()
    try:
        found = [answers.get(timeout=_PATIENCE_S) for _ in processes]
    finally:
        for process in processes:
            process.join(_PATIENCE_S)
            process.close()
        answers.close()
        answers.join_thread()
    return found


def _answer(worker: Callable[..., Any], barrier: Any, answers: Any, number: int, arguments: tuple[Any, ...]) -> None:
    try:
        answers.put(worker(barrier, number, *arguments))
    except BaseException as error:
        answers.put(repr(error))
        raise


def appending(barrier: Any, number: int, path: Path, rounds: int) -> str:
    with Store(path) as store:
        barrier.wait(_PATIENCE_S)
        for _ in range(rounds):
            with store.transaction() as transaction:
                transaction.append(
                    NewEvent("installation-shared", InstallationRemoved(f"by-{number}")),
                    NewEvent(f"installation-{number}", InstallationRemoved(f"by-{number}")),
                )
    return "done"


def writing(barrier: Any, _number: int, path: Path, rounds: int) -> int:
    with Store(path) as store:
        barrier.wait(_PATIENCE_S)
        for _ in range(rounds):
            with store.transaction() as transaction:
                transaction.append(NewEvent("installation-shared", InstallationRemoved("one")))
        return rounds


def opening(barrier: Any, _number: int, folder: Path, rounds: int) -> list[str]:
    found = []
    for one in range(rounds):
        barrier.wait(_PATIENCE_S)
        try:
            open_database(folder / f"{one}.db", is_writer=True).close()
        except EventStoreError as error:
            found.append(str(error))
    return found


def queueing(barrier: Any, _number: int, path: Path, installation_id: str, keys: int) -> list[str]:
    producer = Producer(Home(path))
    barrier.wait(_PATIENCE_S)
    try:
        return [
            delivery_id
            for key in range(keys)
            for delivery_id in producer.send(
                [NewDelivery(installation_id, "issue.created", "{}", idempotency_key=str(key))]
            )
        ]
    finally:
        producer.close()


def deciding(barrier: Any, _number: int, path: Path, installation_id: str, clock: Any) -> bool:
    with Store(path, clock) as store:
        barrier.wait(_PATIENCE_S)
        with store.transaction() as transaction:
            return review(transaction, ReviewRequest(installation_id, BALANCED)).is_changed


def noting_failures(barrier: Any, number: int, path: Path, count: int) -> str:
    with Store(path) as store:
        barrier.wait(_PATIENCE_S)
        for one in range(count):
            with store.transaction() as transaction:
                note_health(transaction, [HealthChange(f"{number}-{one}", SystemClock().now())], OutageRule())
    return "done"


def reading_and_leaving(barrier: Any, _number: int, path: Path) -> int:
    barrier.wait(_PATIENCE_S)
    connection = open_database(path, is_writer=True)
    (count,) = connection.execute("SELECT count(*) FROM events").fetchone()
    connection.close()
    return int(count)


def seen_daemon(barrier: Any, _number: int, path: Path) -> tuple[str, int | None]:
    barrier.wait(_PATIENCE_S)
    home = Home(path)
    try:
        with home.ownership.held():
            return "held", os.getpid()
    except EventStoreError as error:
        return str(error), home.ownership.daemon_pid()
