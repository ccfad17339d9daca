"""The scene of `hookfuse demo`: its folder, its processes, its history, and the proof of what it promises."""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from shutil import rmtree
from signal import SIGKILL
from typing import Self

import msgspec

from console.demo.servers import ServerProcess
from console.shell.session import Session
from eventstore.common.clock import ManualClock, SystemClock
from eventstore.common.uptime import read_uptime
from eventstore.deliveries.record_attempts import DeliveryRecord, record_deliveries
from eventstore.events.catalogue import DeliveryFailed, DisableEvidence, InstallationDisabled
from eventstore.home.folder import Home
from eventstore.log.event_log import read_events
from eventstore.policies.clock_doubt import ClockPair
from eventstore.projections.audit import read_audit
from eventstore.projections.outbox import count_mails
from eventstore.projections.registry import App, Installation, find_app, find_installation_of_app
from eventstore.queue.delivery import NewDelivery
from eventstore.queue.enqueue import enqueue
from eventstore.queue.queries import count_deliveries, find_delivery, read_deliveries
from eventstore.unit_of_work import Store
from eventstore.wall_clock.watch import write_clock_pair

__all__ = ["DemoError", "Promise", "Scene", "Sighting", "promises", "record_bad_days"]

# Far beyond what anything here takes, on a slow machine too.
_WAIT_S = 60.0
_COMMAND_S = 60.0
_FATES = ("delivery.succeeded", "delivery.missed", "delivery.exhausted")


class DemoError(Exception):
    """The story cannot go on."""


class Sighting(msgspec.Struct, frozen=True):
    """One request as a receiver noted it."""

    webhook_id: str
    event: str
    is_verified: bool
    status: int


@dataclass(frozen=True, slots=True)
class Promise:
    """What hookfuse promises, as it can be said of this run, and whether it holds."""

    text: str
    is_kept: bool


class Scene:
    """Owns a folder with a home in it, and processes; all are gone when it closes, the folder if it is not kept."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hookfuse-demo-"))
        self.session = Session(Home(self.folder / "home"), SystemClock())
        self.session.home.prepare()
        # Settings of the one who looks on are not for the demo.
        settings = {name: value for name, value in os.environ.items() if not name.startswith("HOOKFUSE_")}
        self.environment = settings | {"HOOKFUSE_HOME": str(self.session.home.path)}
        self.is_kept = False
        self._servers: list[ServerProcess] = []

    def start(self, *arguments: str) -> ServerProcess:
        """Start a process of demo_servers."""
        try:
            server = ServerProcess(*arguments, folder=self.folder, environment=self.environment)
        except OSError as error:
            raise DemoError(f"{error}{self._last_words()}") from error
        self._servers.append(server)
        return server

    def start_daemon(self) -> ServerProcess:
        """Start `hookfuse run`; the number is its process id."""
        return self.start("keeper", "--output", "daemon.txt")

    def kill_daemon(self, daemon: ServerProcess) -> int:
        """Kill the daemon with SIGKILL, and return the exit code that a shell would see."""
        os.kill(daemon.number, SIGKILL)
        self._servers.remove(daemon)
        return daemon.stop()

    def stop_daemon(self, daemon: ServerProcess) -> int:
        """Have the daemon end in order, and return its exit code."""
        self._servers.remove(daemon)
        return daemon.stop()

    def run(self, *arguments: str) -> str:
        """Run a hookfuse command, and return what it printed. Raises DemoError when it fails."""
        try:
            done = subprocess.run(  # noqa: S603 - our own command
                [sys.executable, "-P", "-m", "runner", *arguments],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_COMMAND_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DemoError(f"`hookfuse {' '.join(arguments)}` took over {_COMMAND_S:.0f} s") from error
        if done.returncode:
            raise DemoError(f"`hookfuse {' '.join(arguments)}` ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def wait_until(self, is_so: Callable[[], bool], what: str) -> None:
        """Look again and again until something is so. Raises DemoError when that takes too long."""
        end_s = time.monotonic() + _WAIT_S
        while not is_so():
            ended = next((server for server in self._servers if server.exit_code is not None), None)
            if ended is not None:
                words = self._last_words() if ended.role == "keeper" else ""
                raise DemoError(f"the {ended.role} ended by itself with {ended.exit_code}{words}")
            if time.monotonic() > end_s:
                raise DemoError(f"waited {_WAIT_S:.0f} s in vain for {what}")
            time.sleep(0.005)

    def sightings(self, slug: str) -> list[Sighting]:
        """Read what the receiver of an app has seen so far."""
        with suppress(FileNotFoundError):
            whole, _, _ = (self.folder / f"{slug}.jsonl").read_bytes().rpartition(b"\n")
            return [msgspec.json.decode(line, type=Sighting) for line in whole.splitlines()]
        return []

    def mails(self) -> list[EmailMessage]:
        """Read the mails that the mail server took."""
        files = sorted((self.folder / "mails").glob("*.eml"))
        return [message_from_bytes(path.read_bytes(), policy=policy.default) for path in files]

    def counts(self) -> dict[str, int]:
        """Count what the queue holds by state, and the mails that are still owed."""
        with self.session.reading() as connection:
            return count_deliveries(connection) | {"owed": count_mails(connection)["requested"]}

    def waiting_ids(self) -> dict[str, set[str]]:
        """Name the deliveries that wait, by installation."""
        found: dict[str, set[str]] = {}
        with self.session.reading() as connection:
            for delivery in read_deliveries(connection, state="waiting", limit=-1):
                found.setdefault(delivery.installation_id, set()).add(delivery.delivery_id)
        return found

    def installation(self, app_id: int, organization_id: int) -> Installation:
        """Read the installation of an app."""
        with self.session.reading() as connection:
            found = find_installation_of_app(connection, app_id, organization_id)
        if found is None:
            raise DemoError(f"app {app_id} is not installed")
        return found

    @contextmanager
    def as_environment(self) -> Iterator[None]:
        """Let this process see the scene's home, as a producer's process would."""
        before = dict(os.environ)
        os.environ.clear()
        os.environ.update(self.environment)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def close(self) -> None:
        """End all processes at once, then wait for each; the folder goes last."""
        for server in self._servers:
            server.ask_to_end()
        for server in self._servers:
            server.stop()
        self._servers.clear()
        if not self.is_kept:
            rmtree(self.folder, ignore_errors=True)

    def _last_words(self) -> str:
        with suppress(OSError, IndexError):
            return ": " + (self.folder / "daemon.txt").read_text(errors="replace").strip().splitlines()[-1]
        return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def record_bad_days(session: Session, installation: Installation, data: str, days: int) -> None:
    """Record one alert, and its one failed attempt, for each of the days before today.

    Through the queue and the same function that the daemon's journal calls, under a clock that is set back.
    """
    clock = ManualClock(session.now() - timedelta(days=days + 1))
    with session.reading() as connection:
        app = find_app(connection, installation.app_id)
    with Store(session.home.database, clock) as store:
        for _ in range(days):
            clock.advance(days=1)
            with store.transaction() as transaction:
                new = NewDelivery(installation.installation_id, "metric_alert.critical", data)
                (delivery_id,) = enqueue(transaction.connection, [new], enqueued_at=transaction.recorded_at)
                delivery = find_delivery(transaction.connection, delivery_id)
                assert delivery is not None  # noqa: S101 - queued in this transaction
                failure = _failure(app, installation, delivery_id)
                record_deliveries(transaction, [DeliveryRecord(delivery, failure)])
        # As a stopped daemon would have: else the first one finds a day between the newest event and now, and doubts.
        with store.transaction() as transaction:
            write_clock_pair(transaction.connection, ClockPair(session.now(), read_uptime()))


def _failure(app: App, installation: Installation, delivery_id: str) -> DeliveryFailed:
    return DeliveryFailed(
        delivery_id=delivery_id,
        event_name="metric_alert.critical",
        app_id=app.app_id,
        organization_id=installation.organization_id,
        attempt=1,
        webhook_url=app.webhook_url,
        status_code=500,
        duration_ms=31.0,
        error_class="server_error",
        detail="HTTP 500",
        response_body='{"error": "database is down"}',
    )


def promises(
    scene: Scene, healthy: set[str], broken: set[str], late_id: str, owners: Sequence[str]
) -> Iterator[Promise]:
    """Return which promises this run has kept: from the events, the receivers' own notes, and the mails.

    `healthy` and `broken` are the ids that were queued for each app, `late_id` came after the disabling.
    """
    queued = healthy | broken | {late_id}
    with scene.session.reading() as connection:
        fates = _fates_of(event.event for event in read_events(connection, type_names=_FATES))
        disablings = [event.event for event in read_events(connection, type_names=("installation.disabled",))]
        audit_count = len(read_audit(connection))
    ends = Counter(fate for delivery_id in queued for fate in fates.get(delivery_id, ()))
    yield Promise(
        f"each of the {len(queued)} queued alerts has exactly one final outcome:"
        f" {ends['delivered']} delivered, {ends['missed']} missed, {ends['dead']} dead",
        all(len(fates.get(delivery_id, ())) == 1 for delivery_id in queued),
    )
    yield from _healthy_promises(scene.sightings("pager"), healthy)
    yield Promise("nothing waits any more", scene.counts()["waiting"] == 0)
    yield _disabled_promise(disablings, audit_count)
    yield _mail_promise([mail for mail in scene.mails() if is_about_disabling(mail)], owners)
    seen_by_broken = {sighting.webhook_id for sighting in scene.sightings("chat")}
    yield Promise(
        "what came after the disabling was not sent, and is kept as missed",
        late_id not in seen_by_broken and fates.get(late_id) == ["missed"],
    )


def _fates_of(events: Iterator[object]) -> Mapping[str, list[str]]:
    names = {"DeliverySucceeded": "delivered", "DeliveryMissed": "missed", "DeliveryExhausted": "dead"}
    fates: dict[str, list[str]] = {}
    for event in events:
        fates.setdefault(getattr(event, "delivery_id", ""), []).append(names[type(event).__name__])
    return fates


def _healthy_promises(sightings: list[Sighting], queued: set[str]) -> Iterator[Promise]:
    seen = Counter(sighting.webhook_id for sighting in sightings)
    again = sum(1 for times in seen.values() if times > 1)
    yield Promise(
        f"the healthy receiver saw each of its {len(queued)} ids at least once ({again} of them again under the"
        " same id: they were on their way when the daemon was killed), and no other",
        set(seen) == queued,
    )
    verified = sum(sighting.is_verified for sighting in sightings)
    yield Promise(
        f"it found the signature good on all {verified} of {len(sightings)} requests", verified == len(sightings) > 0
    )


def _disabled_promise(disablings: Sequence[object], audit_count: int) -> Promise:
    evidence = [event.evidence for event in disablings if isinstance(event, InstallationDisabled) and event.evidence]
    days = len(evidence[0].days) if evidence else 0
    return Promise(
        f"the broken one was disabled: {len(disablings)} disabling with {days} days of evidence,"
        f" {audit_count} audit entry",
        (len(disablings), audit_count) == (1, 1) and _is_evident(evidence[0] if evidence else None),
    )


def _is_evident(evidence: DisableEvidence | None) -> bool:
    return evidence is not None and len(evidence.days) > 1 and evidence.last_failure is not None


def is_about_disabling(mail: EmailMessage) -> bool:
    """Return whether a mail tells of the disabling; the others have warned of it."""
    return str(mail["Subject"]).startswith("Action required")


def _mail_promise(mails: list[EmailMessage], owners: Sequence[str]) -> Promise:
    ids = {owner: {mail["Message-ID"] for mail in mails if mail["To"] == owner} for owner in owners}
    again = len(mails) - sum(len(found) for found in ids.values())
    return Promise(
        f"each of the {len(owners)} owners got one mail about it"
        + (f", {again} again under its Message-ID" if again else ""),
        all(len(found) == 1 for found in ids.values()) and {mail["To"] for mail in mails} == set(owners),
    )
