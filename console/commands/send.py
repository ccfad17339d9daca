"""`hookfuse send`: any event, or a file of many."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace

import click

from console.input.batch_file import read_batch
from console.input.documents import read_json_object
from console.input.input_file import opened_input
from console.output.progress import SlowProgress
from console.output.tables import print_json, print_line
from console.shell.lookup import resolve_installation
from console.shell.options import json_option
from console.shell.session import Session
from eventstore.common.plural import counted
from eventstore.deliveries.admission import admit
from eventstore.deliveries.producer import Producer
from eventstore.queue.delivery import NewDelivery
from eventstore.queue.enqueue import Batch, prepare
from eventstore.queue.sequences import newest_sequence
from eventstore.unit_of_work import Transaction

__all__ = ["send"]

_CHUNK = 1_000


@click.command()
@click.option(
    "--installation", metavar="ID", help="The installation to send to (its UUID, or at least its first 6 characters)."
)
@click.option("--event", "event_name", metavar="NAME", help="The event's name, such as issue.created.")
@click.option("--data", metavar="FILE|-", help="The data as a JSON object; - = standard input.")
@click.option("--idempotency-key", metavar="KEY", help="An idempotency key: the same one queues only once.")
@click.option("--ordering-key", default="", metavar="KEY", help="Deliveries with the same key arrive in order.")
@click.option("--batch", metavar="FILE.jsonl|-", help="Queue every line of a file, all or none.")
@json_option
@click.pass_obj
def send(
    session: Session,
    *,
    installation: str | None,
    event_name: str | None,
    data: str | None,
    idempotency_key: str | None,
    ordering_key: str,
    batch: str | None,
    is_json: bool,
) -> None:
    """Queue an event and print the delivery's id; it is on disk when this returns.

    A line of a batch is {"installation": UUID, "event": NAME, "data": {...}}, and may have "idempotency_key",
    "ordering_key" and "actor" (an object: who is behind it; without one it is the platform). The file is checked
    completely before anything is queued, in one transaction: at most 100,000 lines and 256 MiB. How many were queued is
    printed; `hookfuse deliveries` lists them with their ids.

    \b
    Example:
      hookfuse send --installation 7c1f0a52 --event issue.created --data issue.json --idempotency-key issue-81
      hookfuse send --batch events.jsonl
    """  # noqa: D301 - \b is click's
    single = (installation, event_name, data, idempotency_key, ordering_key or None)
    if batch is not None:
        if any(value is not None for value in single):
            raise click.UsageError("--batch takes no other option: its lines hold the rest")
        _send_batch(session, batch, is_json=is_json)
    elif installation is None or event_name is None or data is None:
        raise click.UsageError("give --installation, --event and --data, or --batch")
    else:
        session.require_home()
        document = read_json_object(data, session.configuration().limits.attachment_bytes)
        delivery = NewDelivery(
            installation, event_name, document, ordering_key=ordering_key, idempotency_key=idempotency_key
        )
        installation_id, delivery_id = _send_one(session, delivery)
        if is_json:
            print_json({"delivery_id": delivery_id, "installation_id": installation_id, "event": event_name})
        else:
            print_line(delivery_id)


def _send_one(session: Session, delivery: NewDelivery) -> tuple[str, str]:
    """Queue a delivery, whose installation may be the beginning of an id; return the ids of both."""
    with closing(Producer(session.home, session.clock)) as producer:
        installation_id = resolve_installation(producer.store.connection, delivery.installation_id)
        (delivery_id,) = producer.send([replace(delivery, installation_id=installation_id)])
    return installation_id, delivery_id


def _send_batch(session: Session, path: str, *, is_json: bool) -> None:
    session.require_home()
    limit_bytes = session.configuration().limits.attachment_bytes
    with closing(Producer(session.home, session.clock)) as producer:
        with opened_input(path) as file, SlowProgress(f"checking {file.name}", file.size_bytes) as progress:
            deliveries = read_batch(file.stream, file.name, producer, limit_bytes, progress.advance)
        chunks = [prepare(deliveries[start : start + _CHUNK]) for start in range(0, len(deliveries), _CHUNK)]
        with SlowProgress("queueing", len(deliveries)) as progress, producer.store.transaction() as transaction:
            queued_count = _queue(transaction, chunks, progress)
    session.home.doorbell.notify()
    duplicate_count = len(deliveries) - queued_count
    if is_json:
        print_json({"queued": queued_count, "duplicates": duplicate_count})
        return
    duplicates = counted(duplicate_count, "duplicate")
    print_line(f"queued {queued_count}" + (f", {duplicates} (same idempotency key)" if duplicate_count else ""))


def _queue(transaction: Transaction, chunks: Iterable[Batch], progress: SlowProgress) -> int:
    """Queue all within the transaction, and return how many were not known by their key."""
    before = newest_sequence(transaction.connection)
    for chunk in chunks:
        admit(transaction, chunk)
        progress.advance(len(chunk.deliveries))
    return newest_sequence(transaction.connection) - before
