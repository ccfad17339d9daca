"""`hookfuse test`: one signed test delivery to an installation, and what came back."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from console.output.printable import one_line
from console.output.tables import print_facts, print_json
from console.shell.exit_codes import ExitCode
from console.shell.lookup import resolve_installation
from console.shell.options import by_option, json_option, person
from console.shell.session import Session
from eventstore.common.identifiers import installation_stream
from eventstore.decisions.probing import enqueue_probe
from eventstore.events.catalogue import DeliveryDropped, ProbeFailed, ProbeSucceeded
from eventstore.log.event_log import StoredEvent, last_position, read_events
from eventstore.queue.probes import drop_probe

__all__ = ["ProbeRun", "print_run", "run_probe", "test", "timeout_option"]

_POLL_S = 0.1
_LONGEST_S = 3_600.0
_EXCERPT_CHARACTERS = 200
_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)([smh]?)", re.ASCII)
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3_600}

# Tests put their own in: one that turns the world by hand.
_pause: Callable[[float], None] = time.sleep
_monotonic_s: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class ProbeRun:
    """What became of a test delivery: its outcome as it was recorded, or why there is none."""

    installation_id: str
    outcome: StoredEvent | None = None
    fault: str = ""

    @property
    def is_success(self) -> bool:
        """Return whether the endpoint answered it with success."""
        return self.outcome is not None and isinstance(self.outcome.event, ProbeSucceeded)


def _seconds(_context: click.Context, _parameter: click.Parameter, text: str) -> float:
    found = _DURATION.fullmatch(text.strip())
    seconds = float(found.group(1)) * _UNIT_S[found.group(2)] if found else 0.0
    if not 0 < seconds <= _LONGEST_S:
        raise click.BadParameter("give a duration such as 30s or 2m, an hour at most")
    return seconds


timeout_option = click.option(
    "--timeout",
    "timeout_s",
    default="30s",
    show_default=True,
    callback=_seconds,
    metavar="TIME",
    help="How long to wait for the outcome of a test delivery, such as 30s or 2m.",
)


@click.command("test")
@click.argument("installation")
@timeout_option
@by_option
@json_option
@click.pass_obj
def test(session: Session, installation: str, *, timeout_s: float, by: str, is_json: bool) -> ExitCode:
    """Send one signed test delivery to INSTALLATION, and show what came back.

    It is sent at once, whatever the installation's state, once, and counts for nothing. The running daemon
    sends it. The command exits with 9 when it does not succeed.

    \b
    Example:
      hookfuse test 7c1f0a52
    """  # noqa: D301 - \b is click's
    run = run_probe(session, installation, by=person(by), timeout_s=timeout_s)
    if is_json and run.outcome is not None:
        print_json(_document(run, run.outcome))
    else:
        print_run(run)
    return ExitCode.OK if run.is_success else ExitCode.PROBE_FAILED


def run_probe(session: Session, installation: str, *, by: str, timeout_s: float) -> ProbeRun:
    """Queue a test delivery and wait for its outcome; nothing is left in the queue when there is none in time.

    Raises NotFoundError, and RejectedError when the installation is removed or not named clearly.
    """
    with session.reading() as connection:
        installation_id = resolve_installation(connection, installation)
    if session.home.ownership.daemon_pid() is None:
        return ProbeRun(installation_id, fault=_no_daemon(session))
    with session.writing() as store, store.transaction() as transaction:
        before = last_position(transaction.connection)
        delivery_id = enqueue_probe(transaction, installation_id, by=by)
    try:
        with _spinner(f"waiting for the answer to test delivery {delivery_id}"):
            outcome, fault = _wait(session, installation_id, delivery_id, before, timeout_s)
    except BaseException:  # Ctrl-C: nobody waits for it any more
        _drop(session, delivery_id)
        raise
    if outcome is None and not _drop(session, delivery_id):
        # It was recorded between the last look and now.
        outcome = _find(session, installation_id, delivery_id, before)
    return ProbeRun(installation_id, outcome, "" if outcome else f"{fault}; the test delivery is dropped")


def print_run(run: ProbeRun) -> None:
    """Print what came back; that nothing did goes to standard error."""
    event = run.outcome.event if run.outcome else None
    if isinstance(event, ProbeSucceeded | ProbeFailed):
        print_facts(
            {
                "test delivery": "succeeded" if run.is_success else "failed",
                "webhook url": event.webhook_url,
                "answer": event.status_code or "none",
                "error class": event.error_class,
                "detail": event.detail,
                "duration": f"{event.duration_ms:.0f} ms",
                "excerpt": event.response_body[:_EXCERPT_CHARACTERS],
                "delivery id": event.delivery_id,
            }
        )
        return
    fault = event.reason if isinstance(event, DeliveryDropped) else run.fault
    sys.stderr.write(f"hookfuse: {one_line(fault)}\n")


def _document(run: ProbeRun, outcome: StoredEvent) -> dict[str, object]:
    event = outcome.event
    document: dict[str, object] = {
        "installation_id": run.installation_id,
        "is_success": run.is_success,
        "position": outcome.position,
        "recorded_at": outcome.recorded_at,
    }
    if isinstance(event, DeliveryDropped):
        return document | {"delivery_id": event.delivery_id, "detail": event.reason}
    assert isinstance(event, ProbeSucceeded | ProbeFailed)  # noqa: S101 - _find gives no other
    return document | {
        "delivery_id": event.delivery_id,
        "webhook_url": event.webhook_url,
        "response_code": event.status_code,
        "error_class": event.error_class,
        "detail": event.detail,
        "duration_ms": event.duration_ms,
        "response_body": event.response_body,
    }


def _no_daemon(session: Session) -> str:
    return f"no daemon runs on home {session.home.path}: start one with: hookfuse --home {session.home.path} run"


def _wait(
    session: Session, installation_id: str, delivery_id: str, before: int, timeout_s: float
) -> tuple[StoredEvent | None, str]:
    deadline_s = _monotonic_s() + timeout_s
    while True:
        outcome = _find(session, installation_id, delivery_id, before)
        if outcome is not None:
            return outcome, ""
        if session.home.ownership.daemon_pid() is None:
            return None, "the daemon stopped before the test delivery was answered"
        if _monotonic_s() >= deadline_s:
            return None, f"no outcome after {timeout_s:g} s"
        _pause(_POLL_S)


def _find(session: Session, installation_id: str, delivery_id: str, before: int) -> StoredEvent | None:
    types = (ProbeSucceeded.type_name, ProbeFailed.type_name, DeliveryDropped.type_name)
    stream = installation_stream(installation_id)
    with session.reading() as connection:
        for stored in read_events(connection, after_position=before, stream=stream, type_names=types):
            event = stored.event
            assert isinstance(event, ProbeSucceeded | ProbeFailed | DeliveryDropped)  # noqa: S101 - as asked for
            if event.delivery_id == delivery_id:
                return stored
    return None


def _drop(session: Session, delivery_id: str) -> bool:
    with session.writing() as store, store.transaction() as transaction:
        return drop_probe(transaction.connection, delivery_id)


@contextmanager
def _spinner(text: str) -> Iterator[None]:
    """Show that something is waited for, only to a person."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - 60 ms that a program need not pay

    with Console(stderr=True, markup=False).status(text):
        yield
