"""The scene of `hookfuse demo`: its folder, its processes, and the proof of what it promises."""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from shutil import rmtree
from signal import SIGKILL
from typing import Self

from console.demo.servers import Daemon, Receiver
from console.shell.session import Session
from eventstore.common.clock import SystemClock
from eventstore.events.catalogue import InstallationDisabled
from eventstore.home.folder import Home
from eventstore.log.event_log import read_events
from eventstore.projections.audit import read_audit
from eventstore.projections.outbox import count_mails
from eventstore.queue.queries import count_deliveries, read_deliveries

__all__ = ["DemoError", "Promise", "Scene", "promises"]

# Far beyond what anything here takes, on a slow machine too.
_WAIT_S = 60.0
_COMMAND_S = 60.0
_FATES = {"delivery.succeeded": "delivered", "delivery.missed": "missed", "delivery.exhausted": "dead"}


class DemoError(Exception):
    """The story cannot go on."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What hookfuse promises, as it can be said of this run, and whether it holds."""

    text: str
    is_kept: bool


class Scene:
    """Owns a folder with a home in it, two receivers, and a daemon; all are gone when it closes.

    The folder is not, if it `is_kept`.
    """

    def __init__(self, answer_first: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hookfuse-demo-"))
        self.is_kept = False
        self.session = Session(Home(self.folder / "home"), SystemClock())
        self.session.home.prepare()
        # Settings of the one who looks on are not for the demo.
        settings = {name: value for name, value in os.environ.items() if not name.startswith("HOOKFUSE_")}
        self._environment = settings | {"HOOKFUSE_HOME": str(self.session.home.path)}
        self.healthy = Receiver(200, b'{"ok": true}', 0.03, self.folder / "pager.secret", answer_first)
        self.broken = Receiver(500, b'{"error": "database is down"}', 1.0, self.folder / "chat.secret")
        self._daemon: Daemon | None = None

    def start_daemon(self) -> int:
        """Start `hookfuse run`, and return its process id."""
        self._daemon = Daemon(self.folder)
        return self._daemon.start(self._environment)

    def kill_daemon(self) -> int:
        """Kill the daemon with SIGKILL, and return the exit code that a shell would see."""
        assert self._daemon is not None  # noqa: S101 - the story has started it
        os.kill(self._daemon.pid, SIGKILL)
        return self.stop_daemon()

    def stop_daemon(self) -> int:
        """Stop the daemon in order, if it has not ended, and return its exit code; 0 where none was started."""
        code = self._daemon.stop() if self._daemon else 0
        self._daemon = None
        return code

    def run(self, *arguments: str) -> str:
        """Run a hookfuse command, and return what it printed. Raises DemoError when it fails."""
        command = [sys.executable, "-P", "-m", "runner", *arguments]
        try:
            done = subprocess.run(  # noqa: S603 - our own command
                command,
                cwd=self.folder,
                env=self._environment,
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
            if self._daemon is not None and self._daemon.exit_code is not None:
                raise DemoError(f"the daemon ended with {self._daemon.exit_code}: {self._daemon.last_words()}")
            if time.monotonic() > end_s:
                raise DemoError(f"waited {_WAIT_S:.0f} s in vain for {what}")
            time.sleep(0.005)

    def waiting_count(self) -> int:
        """Count the deliveries that wait, and the mails that are still pending."""
        with self.session.reading() as connection:
            return count_deliveries(connection)["waiting"] + count_mails(connection)["requested"]

    def waiting_ids(self, installation_id: str) -> set[str]:
        """Return the ids of the deliveries of an installation that wait."""
        with self.session.reading() as connection:
            found = read_deliveries(connection, state="waiting", installation_id=installation_id, limit=-1)
            return {delivery.delivery_id for delivery in found}

    def last_mails(self) -> list[EmailMessage]:
        """Return the mails about the disabling; the others have warned of it."""
        files = (self.session.home.outbox / "new").glob("*")
        mails = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in sorted(files)]
        return [mail for mail in mails if str(mail["Subject"]).startswith("Action required")]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop_daemon()
        for server in (self.healthy, self.broken):
            server.shutdown()
            server.server_close()
        if not self.is_kept:
            rmtree(self.folder, ignore_errors=True)


def promises(
    scene: Scene, healthy: set[str], broken: set[str], late_id: str, owners: Sequence[str]
) -> Iterator[Promise]:
    """Return which promises this run has kept: from the events, the receivers' own notes, and the mails.

    `healthy` and `broken` are the ids that were queued for each app, `late_id` came after the disabling.
    """
    fates: dict[str, list[str]] = {}
    with scene.session.reading() as connection:
        for stored in read_events(connection, type_names=tuple(_FATES)):
            fates.setdefault(getattr(stored.event, "delivery_id", ""), []).append(_FATES[stored.type])
        disablings = [stored.event for stored in read_events(connection, type_names=("installation.disabled",))]
        audit_count = len(read_audit(connection, target="organization:17"))
    queued = healthy | broken | {late_id}
    ends = Counter(fate for delivery_id in queued for fate in fates.get(delivery_id, ()))
    yield Promise(
        f"each of the {len(queued)} queued alerts, the late one too, has exactly one final outcome:"
        f" {ends['delivered']} delivered, {ends['missed']} missed, {ends['dead']} dead",
        all(len(fates.get(delivery_id, ())) == 1 for delivery_id in queued),
    )
    seen = Counter(sighting.webhook_id for sighting in scene.healthy.sightings)
    yield Promise(
        f"the healthy receiver saw each of its {len(healthy)} ids at least once ({seen.total() - len(seen)} requests"
        " came again under the same id: they were on their way when the daemon was killed), and no other",
        set(seen) == healthy,
    )
    verified = sum(sighting.is_verified for sighting in scene.healthy.sightings)
    yield Promise(
        f"it found the signature good on all {verified} of {seen.total()} requests", verified == seen.total() > 0
    )
    yield Promise("nothing is waiting any longer", scene.waiting_count() == 0)
    evidence = [event.evidence for event in disablings if isinstance(event, InstallationDisabled) and event.evidence]
    days = len(evidence[0].days) if evidence else 0
    yield Promise(
        f"the broken one was disabled: {len(disablings)} disabling with {days} days of evidence,"
        f" {audit_count} audit entry",
        (len(disablings), audit_count) == (1, 1) and days > 1 and evidence[0].last_failure is not None,
    )
    told = {mail["Message-ID"]: str(mail["To"]) for mail in scene.last_mails()}
    yield Promise(f"each of the {len(owners)} owners got one mail about it", sorted(told.values()) == sorted(owners))
    yield Promise(
        "what came after the disabling was not sent, and is kept as missed",
        fates.get(late_id) == ["missed"] and all(late_id != one.webhook_id for one in scene.broken.sightings),
    )
