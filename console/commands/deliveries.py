"""`hookfuse deliveries`: what waits, was missed or is dead; sent again, or given up."""

from collections.abc import Callable, Sequence
from functools import partial

import click
import msgspec

from console.output.tables import Column, note_limit, print_json, print_json_rows, print_line, print_table, shown_id
from console.output.times import short_time
from console.shell.filters import event_option, period, period_options, require_error_class, require_event_name
from console.shell.lookup import resolve_installation
from console.shell.options import (
    by_option,
    installation_option,
    json_option,
    limit_option,
    person,
    reason_option,
    refuse_own_options,
)
from console.shell.session import Session
from eventstore.common.plural import counted, noun
from eventstore.deliveries.resend import drop_kept, lay_out, resend_kept
from eventstore.queue.delivery import QueuedDelivery
from eventstore.queue.kept import count_expired, kept_deliveries
from eventstore.queue.queries import read_deliveries
from eventstore.unit_of_work import Store, Transaction
from eventstore.views.deliveries import Hold, view_deliveries

__all__ = ["deliveries"]

# Deliveries that are put back in one transaction: the daemon's own commits wait for it.
_BATCH = 500

_COLUMNS = (
    Column("delivery", is_whole=True),
    Column("state"),
    Column("installation", is_whole=True, is_extra=True),
    Column("event"),
    Column("attempts", is_number=True),
    Column("last error", is_extra=True),
    Column("queued at", is_whole=True, is_extra=True),
    Column("due at", is_whole=True, is_extra=True),
)


@click.group(invoke_without_command=True)
@click.option("--state", type=click.Choice(["waiting", "missed", "dead"]), help="Only in this state.")
@installation_option
@event_option
@click.option(
    "--error-class", metavar="CLASS", help="Only those whose last failure was of this class, such as server_error."
)
@period_options
@click.option("--payload", is_flag=True, help="Show the payload too.")
@limit_option(100)
@json_option
@click.pass_context
def deliveries(
    context: click.Context,
    *,
    state: str | None,
    installation: str | None,
    event_name: str | None,
    error_class: str | None,
    since: str | None,
    until: str | None,
    payload: bool,
    limit: int,
    is_json: bool,
) -> None:
    """Show what the queue holds, in the order of queueing; or send it again, or drop it.

    --since and --until go by when it was queued. Payloads of missed and dead deliveries are kept for [missed] keep_s
    seconds; then their state says "payload gone", and they can only be dropped.

    \b
    Example:
      hookfuse deliveries --state dead --error-class server_error --since 2d
      hookfuse deliveries resend --installation 7c1f0a52 --state missed
    """  # noqa: D301 - \b is click's
    if context.invoked_subcommand is not None:
        refuse_own_options(context)
        return
    session: Session = context.obj
    start, end = period(since, until, session.now())
    with session.reading() as connection:
        installation_id = None if installation is None else resolve_installation(connection, installation)
        found = read_deliveries(
            connection,
            state=state,
            installation_id=installation_id,
            event_name=None if event_name is None else require_event_name(connection, event_name),
            error_class=None if error_class is None else require_error_class(error_class),
            since=start,
            until=end,
            limit=limit,
        )
        shown = view_deliveries(connection, found, session.now())
    if is_json:
        print_json_rows(_document(one.delivery, one.hold, is_with_payload=payload) for one in shown)
        return
    columns = (*_COLUMNS, Column("data")) if payload else _COLUMNS
    rows = [_cells(one.delivery, one.hold)[: len(columns)] for one in shown]
    print_table(columns, rows, empty="no delivery to show")
    note_limit(len(found), limit)


def _cells(delivery: QueuedDelivery, hold: Hold | None) -> tuple[object, ...]:
    return (
        delivery.delivery_id,
        f"{delivery.state}, payload gone" if delivery.is_expired else delivery.state,
        shown_id(delivery.installation_id),
        delivery.event_name,
        delivery.attempts,
        delivery.last_error,
        short_time(delivery.enqueued_at),
        _due_text(delivery, hold),
        "" if delivery.is_expired else delivery.data,
    )


def _due_text(delivery: QueuedDelivery, hold: Hold | None) -> str:
    """Return when it is due; of one that is held past that, what holds it."""
    if delivery.state != "waiting":
        return ""
    if delivery.is_probe:
        return "at once"
    if hold is None:
        return short_time(delivery.due_at)
    if hold.by == "key":
        return f"after {hold.until}"
    if hold.until is None:
        return "one at a time (breaker)"
    return f"{short_time(hold.until)} ({hold.by})"


def _document(delivery: QueuedDelivery, hold: Hold | None, *, is_with_payload: bool) -> dict[str, object]:
    document: dict[str, object] = {
        "delivery_id": delivery.delivery_id,
        "state": delivery.state,
        "installation_id": delivery.installation_id,
        "event": delivery.event_name,
        "ordering_key": delivery.ordering_key,
        "attempts": delivery.attempts,
        "enqueued_at": delivery.enqueued_at,
        "due_at": delivery.due_at if delivery.state == "waiting" and not delivery.is_probe else None,
        "held_by": hold.by if hold else None,
        "held_until": hold.until if hold and hold.by != "key" else None,
        "held_behind": hold.until if hold and hold.by == "key" else None,
        "last_error": delivery.last_error,
        "is_probe": bool(delivery.is_probe),
        "is_recovery": bool(delivery.is_recovery),
        "is_expired": bool(delivery.is_expired),
    }
    if is_with_payload:
        document["data"] = None if delivery.is_expired else msgspec.Raw(delivery.data.encode())
    return document


@deliveries.command("resend")
@click.argument("delivery_ids", nargs=-1, metavar="[DELIVERY_ID]...")
@click.option("--installation", metavar="ID", help="All kept deliveries of this installation.")
@click.option(
    "--state", type=click.Choice(["dead", "missed", "waiting"]), help="With --installation: only in this state."
)
@reason_option("by hand")
@by_option
@json_option
@click.pass_obj
def resend(
    session: Session,
    *,
    delivery_ids: tuple[str, ...],
    installation: str | None,
    state: str | None,
    reason: str,
    by: str,
    is_json: bool,
) -> None:
    """Send dead or missed deliveries again, in order, under their ids and with all attempts before them.

    They are all due at once; what an installation missed is better sent by `hookfuse enable --recover`, which
    paces it. By its id, or with --state waiting, one that waits for its next attempt is due at once, too.

    \b
    Example:
      hookfuse deliveries resend 0197d3c0-1f2e-7a40-9d3c-5b1c2d3e4f50
      hookfuse deliveries resend --installation 7c1f0a52 --state dead --reason "endpoint fixed"
    """  # noqa: D301 - \b is click's
    _require_either(delivery_ids, installation, state)
    with session.writing() as store:
        if installation is None:
            with store.transaction() as transaction:
                resend_kept(transaction, delivery_ids, by=person(by), reason=reason)
            _print_resent(len(set(delivery_ids)), 0, is_due=False, is_json=is_json)
            return
        installation_id = resolve_installation(store.connection, installation)
        states = ("dead", "missed") if state is None else (state,)
        resend_batch = partial(resend_kept, by=person(by), reason=reason)
        count = _in_batches(store, resend_batch, installation_id, states, is_with_expired=False)
        gone_count = count_expired(store.connection, installation_id, states)
    _print_resent(count, gone_count, is_due=states == ("waiting",), is_json=is_json)


def _print_resent(count: int, gone_count: int, *, is_due: bool, is_json: bool) -> None:
    if is_json:
        print_json({"resent": count, "without_payload": gone_count})
        return
    print_line(_counted(count, "is due now", "are due now") if is_due else _counted(count, "waits again", "wait again"))
    if gone_count:
        print_line(_counted(gone_count, "no longer has a payload", "no longer have a payload"))


def _require_either(delivery_ids: tuple[str, ...], installation: str | None, state: str | None) -> None:
    if bool(delivery_ids) == (installation is not None):
        raise click.UsageError("give delivery ids, or --installation")
    if state is not None and installation is None:
        raise click.UsageError("--state goes with --installation")


def _counted(count: int, one: str, many: str) -> str:
    return f"{counted(count, 'delivery', 'deliveries')} {noun(count, one, many)}"


def _in_batches(
    store: Store,
    decide: Callable[[Transaction, Sequence[str]], None],
    installation_id: str,
    states: tuple[str, ...],
    *,
    is_with_expired: bool,
) -> int:
    """Decide about all that are kept of an installation, in transactions of their own, and give how many."""
    count = after_sequence = 0
    if "waiting" in states:
        with store.transaction() as transaction:
            lay_out(transaction, installation_id)
    while True:
        with store.transaction() as transaction:
            kept = kept_deliveries(
                transaction.connection,
                installation_id,
                states,
                after_sequence=after_sequence,
                limit=_BATCH,
                is_with_expired=is_with_expired,
            )
            if kept:
                decide(transaction, [delivery_id for _, delivery_id in kept])
        count += len(kept)
        if len(kept) < _BATCH:
            return count
        after_sequence = kept[-1][0]


@deliveries.command("drop")
@click.argument("delivery_ids", nargs=-1, metavar="[DELIVERY_ID]...")
@click.option("--installation", metavar="ID", help="All dead deliveries of this installation.")
@click.option(
    "--state",
    type=click.Choice(["dead", "missed", "waiting"]),
    help="With --installation: all in this state instead.",
)
@reason_option()
@by_option
@json_option
@click.pass_obj
def drop(
    session: Session,
    *,
    delivery_ids: tuple[str, ...],
    installation: str | None,
    state: str | None,
    reason: str,
    by: str,
    is_json: bool,
) -> None:
    """Drop dead or missed deliveries for good; their data is gone, the decision is recorded.

    By its id, or with --state waiting, one that waits can be given up too; an attempt that is under way is made all the
    same, and its outcome is not recorded.

    \b
    Example:
      hookfuse deliveries drop 0197d3c0-1f2e-7a40-9d3c-5b1c2d3e4f50 --reason "sent by hand"
      hookfuse deliveries drop --installation 7c1f0a52 --reason "nobody needs them any more"
    """  # noqa: D301 - \b is click's
    _require_either(delivery_ids, installation, state)
    with session.writing() as store:
        if installation is None:
            with store.transaction() as transaction:
                drop_kept(transaction, delivery_ids, by=person(by), reason=reason)
            count = len(set(delivery_ids))
        else:
            installation_id = resolve_installation(store.connection, installation)
            drop_batch = partial(drop_kept, by=person(by), reason=reason)
            count = _in_batches(store, drop_batch, installation_id, (state or "dead",), is_with_expired=True)
    if is_json:
        print_json({"dropped": count})
    else:
        print_line(_counted(count, "dropped", "dropped"))
