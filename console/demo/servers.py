"""The demo's receivers, on free ports of this machine, and the process that keeps its daemon."""

import hmac
import os
import select
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from signal import SIGKILL

__all__ = ["Daemon", "Receiver", "Sighting"]

_HOST = "127.0.0.1"
# Far beyond what anything here takes, on a slow machine too.
_END_S = 60.0

# Ends the daemon when standard input ends: so nothing outlives the demo, however that ends. Ends as the daemon did.
_KEEPER = """
import os, subprocess, sys, threading
daemon = subprocess.Popen([sys.executable, "-P", "-m", "runner", "run"], stdin=subprocess.DEVNULL)
threading.Thread(target=lambda: (sys.stdin.read(), daemon.terminate()), daemon=True).start()
try:
    print(daemon.pid, flush=True)
except OSError:
    pass  # whoever wanted to know is gone already, and so is standard input
code = daemon.wait()
os._exit(code if code >= 0 else 128 - code)
"""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One request as a receiver noted it."""

    webhook_id: str
    is_verified: bool


class Receiver(ThreadingHTTPServer):
    """Answers webhooks with one status, after a while, and notes them first: what it saw is `sightings`.

    After `answer_first` requests, 0 = never, it holds its answers back until `go_on` is set.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, status: int, answer: bytes, delay_s: float, secret: Path, answer_first: int = 0) -> None:
        self.status, self.answer, self.delay_s = status, answer, delay_s
        self.secret, self.answer_first = secret, answer_first
        self.sightings: list[Sighting] = []
        self.go_on = threading.Event()
        super().__init__((_HOST, 0), _ReceiverHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Pass over a sender that was killed, and show any other trouble."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _ReceiverHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        """Note the webhook, then answer: whoever is killed while it waits was seen all the same."""
        receiver = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        receiver.sightings.append(Sighting(self.headers["webhook-id"], self._is_verified(body)))
        time.sleep(receiver.delay_s)
        if 0 < receiver.answer_first < len(receiver.sightings):
            receiver.go_on.wait()
        with suppress(ConnectionError):
            self.send_response(receiver.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(receiver.answer)))
            self.end_headers()
            self.wfile.write(receiver.answer)

    def _is_verified(self, body: bytes) -> bool:
        """Check both signatures as any receiver would: Sentry's, and that of Standard Webhooks."""
        secret = self.server.secret.read_bytes()
        sentry = hmac.digest(secret, body, "sha256").hex()
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + body
        standard = "v1," + b64encode(hmac.digest(secret, signed, "sha256")).decode()
        signatures = self.headers["webhook-signature"].split(" ")  # several while a secret is rotated
        return hmac.compare_digest(sentry, self.headers["Sentry-Hook-Signature"]) and any(
            hmac.compare_digest(standard, one) for one in signatures
        )

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Log nothing."""


class Daemon:
    """`hookfuse run`, in a process of its own, and in the care of another one."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._output = folder, folder / "daemon.txt"
        self._keeper: subprocess.Popen[bytes] | None = None
        # The keeper reads one, whose end asks it to end, and holds the other, whose end says that it has: so it can be
        # stopped whenever Ctrl-C comes, before it is known here that there is one too.
        self._read_by_it, self._leash = os.pipe()
        self._life, self._held_by_it = os.pipe()
        self._open = [self._leash, self._read_by_it, self._held_by_it]

    def start(self, environment: Mapping[str, str]) -> int:
        """Start it, and return the daemon's process id."""
        with self._output.open("ab") as output:
            # In a session of its own: Ctrl-C reaches the demo alone, which then ends all in order.
            self._keeper = subprocess.Popen(  # noqa: S603 - our own script
                [sys.executable, "-P", "-c", _KEEPER],
                stdin=self._read_by_it,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=self._folder,
                env=dict(environment),
                pass_fds=(self._held_by_it,),
                start_new_session=True,
            )
        assert self._keeper.stdout is not None  # noqa: S101 - it was asked for
        self.pid = int(self._keeper.stdout.readline())
        return self.pid

    @property
    def exit_code(self) -> int | None:
        """Return how it ended, None while it runs."""
        return self._keeper.poll() if self._keeper else None

    def last_words(self) -> str:
        """Return the last line that it wrote to standard error."""
        return (self._output.read_text(errors="replace").strip().splitlines() or [""])[-1]

    def stop(self) -> int:
        """Stop it, and return its exit code as a shell gives it; 0 where it was never started.

        One that was broken off may be asked again.
        """
        while self._open:
            os.close(self._open.pop())
        if not select.select([self._life], [], [], _END_S)[0]:
            os.kill(self.pid, SIGKILL)
        os.read(self._life, 1)
        if self._keeper is None:
            return 0
        if self._keeper.stdout is not None:
            self._keeper.stdout.close()
        code = self._keeper.wait()
        os.close(self._life)
        return code
