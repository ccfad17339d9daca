"""The demo's servers: two receivers, a mail server and the daemon's keeper, each a process of its own.

`python -m console.demo.servers ROLE ...` prints one number (its port, or the daemon's process id) and ends when
its standard input does: nothing outlives the demo, however that ends. Standard library only.
"""

import argparse
import hmac
import json
import os
import select
import socketserver
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

__all__ = ["ServerProcess", "main"]

_HOST = "127.0.0.1"
# Far beyond what anything here takes, on a slow machine too.
_START_S = 60.0
# The keeper gives up on the daemon before the demo gives up on the keeper.
_DAEMON_END_S = 45.0
_END_S = 60.0


class ServerProcess:
    """One of these processes, as the demo holds it; `number` is what it printed."""

    def __init__(self, *arguments: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.role = arguments[0]
        # In a session of its own: Ctrl-C reaches the demo alone, which then ends all in order.
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", "console.demo.servers", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
            env=dict(environment),
            start_new_session=True,
        )
        try:
            self.number = self._announced()
        except BaseException:
            self.stop()
            raise

    @property
    def exit_code(self) -> int | None:
        """How it ended, None while it runs."""
        return self._process.poll()

    def answer_all(self) -> None:
        """Let a receiver go on that holds its answers back."""
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    def ask_to_end(self) -> None:
        """Let its standard input end."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def stop(self) -> int:
        """Have it end, and return its exit code."""
        self.ask_to_end()
        try:
            return self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            if self._process.stdout is not None:
                self._process.stdout.close()

    def _announced(self) -> int:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        readable, _, _ = select.select([self._process.stdout], [], [], _START_S)
        line = self._process.stdout.readline() if readable else b""
        if not line.strip().isdigit():
            raise OSError(f"the demo's {self.role} did not start")
        return int(line)


@dataclass(frozen=True, slots=True)
class _Behaviour:
    """How a receiver answers, where it notes what it saw, and where the secret will be.

    After `answer_first` requests, 0 = never, it holds its answers back until it is told to go on.
    """

    status: int
    answer: bytes
    delay_s: float
    answer_first: int
    log: Path
    secret: Path


class _Receiver(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, behaviour: _Behaviour) -> None:
        self.behaviour = behaviour
        self.may_go_on = threading.Event()
        self._numbers = count(1)
        super().__init__((_HOST, 0), _ReceiverHandler)

    def hold(self) -> None:
        """Wait with the answer to a request, if it is one of those that are held back."""
        if 0 < self.behaviour.answer_first < next(self._numbers):
            self.may_go_on.wait()

    def handle_error(self, request: object, client_address: object) -> None:
        """Pass over a sender that was killed, and show any other trouble."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _ReceiverHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Receiver

    def do_POST(self) -> None:
        """Note the webhook, then answer: whoever is killed while it waits was seen all the same."""
        behaviour = self.server.behaviour
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        _append(behaviour.log, self._sighting(body))
        time.sleep(behaviour.delay_s)
        self.server.hold()
        with suppress(ConnectionError):
            self.send_response(behaviour.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(behaviour.answer)))
            self.end_headers()
            self.wfile.write(behaviour.answer)

    def _sighting(self, body: bytes) -> dict[str, object]:
        action = json.loads(body)["action"]
        return {
            "webhook_id": self.headers["webhook-id"],
            "event": f"{self.headers['Sentry-Hook-Resource']}.{action}",
            "is_verified": self._is_verified(body),
            "status": self.server.behaviour.status,
        }

    def _is_verified(self, body: bytes) -> bool:
        """Check both signatures as any receiver would: Sentry's, and that of Standard Webhooks."""
        secret = self.server.behaviour.secret.read_bytes()
        sentry = hmac.digest(secret, body, "sha256").hex()
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + body
        standard = "v1," + b64encode(hmac.digest(secret, signed, "sha256")).decode()
        signatures = self.headers["webhook-signature"].split(" ")  # several while a secret is rotated
        return hmac.compare_digest(sentry, self.headers["Sentry-Hook-Signature"]) and any(
            hmac.compare_digest(standard, one) for one in signatures
        )

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing: the log file says it."""


def _append(path: Path, line: dict[str, object]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")  # one write: lines of two threads do not mix
    finally:
        os.close(descriptor)


class _MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.numbers = count(1)
        super().__init__((_HOST, 0), _MailHandler)

    def keep(self, mail: bytes) -> None:
        """Write a mail to a file of its own, which is there whole or not at all."""
        path = self.folder / f"{next(self.numbers):03}.eml"
        hidden = path.with_suffix(".part")
        hidden.write_bytes(mail)
        hidden.rename(path)


class _MailHandler(socketserver.StreamRequestHandler):
    """As much of SMTP (RFC 5321) as a relay without login needs."""

    server: _MailServer

    def handle(self) -> None:
        """Hold one conversation."""
        self._say("220 demo ESMTP")
        while line := self.rfile.readline():
            verb = line[:4].upper().decode(errors="replace").strip()
            if verb == "DATA":
                self._say("354 go ahead")
                self.server.keep(self._read_mail())
            self._say("221 bye" if verb == "QUIT" else "250 ok")
            if verb == "QUIT":
                return

    def _read_mail(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        return b"".join(lines)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


def _serve(server: socketserver.BaseServer, port: int, go_on: Callable[[], None] = lambda: None) -> int:
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    _announce(port)
    while os.read(sys.stdin.fileno(), 4096):
        go_on()
    server.shutdown()
    return 0


def _keep_daemon(output: Path) -> int:
    """Run the daemon, end it when standard input ends, and end as it did."""
    with output.open("ab") as file:
        daemon = subprocess.Popen(
            [sys.executable, "-P", "-m", "runner", "run"], stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    _announce(daemon.pid)
    while daemon.poll() is None:
        readable, _, _ = select.select([sys.stdin], [], [], 0.02)
        if readable and not os.read(sys.stdin.fileno(), 4096):
            daemon.terminate()
            break
    try:
        code = daemon.wait(_DAEMON_END_S)
    except subprocess.TimeoutExpired:
        daemon.kill()
        code = daemon.wait()
    return code if code >= 0 else 128 - code  # as a shell says it


def _announce(number: int) -> None:
    with suppress(BrokenPipeError):  # the demo is gone already: standard input has ended, too
        os.write(sys.stdout.fileno(), f"{number}\n".encode())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m console.demo.servers", description=__doc__)
    roles = parser.add_subparsers(dest="role", required=True)
    receiver = roles.add_parser("receiver", help="answer webhooks")
    receiver.add_argument("--status", type=int, required=True, help="what it answers")
    receiver.add_argument("--answer", default="{}", help="the answer's body")
    receiver.add_argument("--delay-s", type=float, default=0.0, help="how long it takes")
    receiver.add_argument("--answer-first", type=int, default=0, help="hold back answers after so many requests")
    receiver.add_argument("--log", type=Path, required=True, help="the file for what it saw")
    receiver.add_argument("--secret", type=Path, required=True, help="the file with the client secret")
    mail = roles.add_parser("mail", help="take mails")
    mail.add_argument("--folder", type=Path, required=True, help="where each mail is put")
    keeper = roles.add_parser("keeper", help="run the daemon of HOOKFUSE_HOME")
    keeper.add_argument("--output", type=Path, required=True, help="the file for what it says")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the role that the arguments name, until standard input ends."""
    options = _parser().parse_args(arguments)
    if options.role == "keeper":
        return _keep_daemon(options.output)
    if options.role == "mail":
        mail_server = _MailServer(options.folder)
        return _serve(mail_server, mail_server.server_address[1])
    behaviour = _Behaviour(
        options.status, options.answer.encode(), options.delay_s, options.answer_first, options.log, options.secret
    )
    receiver = _Receiver(behaviour)
    return _serve(receiver, receiver.server_port, receiver.may_go_on.set)


if __name__ == "__main__":
    sys.exit(main())
