"""The stage for tests with real processes: a home, the command, a receiver, a mail server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from console.shell.cli import cli

_HERE = Path(__file__).parent
_ROOT = _HERE.parent.parent

ATTACHMENT = json.loads((_ROOT / "console" / "examples" / "alert.json").read_text())


# Far beyond what anything here takes: reaching it is a failure, not a measurement.
LIMIT_S = 300.0
# Settings with which a request is not given up while the receiver holds its answer back.
PATIENT = f"[timeouts]\nread_s = {LIMIT_S}\ntotal_s = {LIMIT_S}\n"


@dataclass(frozen=True)
class Server:
    """A server that runs, and what it has written down."""

    port: int
    log: Path
    process: subprocess.Popen[str] | None = None

    def seen(self) -> list[dict[str, Any]]:
        """Read what it has written down so far."""
        return _whole_lines(self.log)

    def count(self) -> int:
        """Count the requests that it has seen so far."""
        return self.log.read_bytes().count(b"\n")

    def answer_first(self, count: float = inf) -> None:
        """Answer the first so many requests ever, and hold back the answers to all that follow."""
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{count:g}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == f"{count:g}\n"

    def tell(self, code: int) -> None:
        """Answer this status code at /told from now on."""
        partial = self.log.with_name(self.log.name + ".partial")
        partial.write_text(str(code))
        partial.rename(self.log.with_name(self.log.name + ".told"))


@contextmanager
def serving(script: str, log: Path) -> Iterator[Server]:
    """Run one of the servers beside this file."""
    process = subprocess.Popen(
        [sys.executable, str(_HERE / script), str(log)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Server(int(process.stdout.readline()), log, process)
    finally:
        process.stdin.close()
        process.stdout.close()
        if process.wait(LIMIT_S) != 0:
            raise AssertionError(f"{script} ended with {process.returncode}")


# In the place of a mail server that nobody needs: mails go into the home's outbox.
NO_MAIL_SERVER = Server(0, Path(os.devnull))


@dataclass(frozen=True)
class Stage:
    """A home folder and the command that works on it."""

    home: Path
    receiver: Server
    mail_server: Server = NO_MAIL_SERVER

    def configure(self, text: str = "") -> None:
        """Write a configuration that lets the daemon reach the servers here."""
        self.home.mkdir(mode=0o700, exist_ok=True)
        if "[breaker]" not in text:  # what waits behind an open breaker would outlast the test
            text += "[breaker]\nenabled = false\n"
        if self.mail_server is not NO_MAIL_SERVER:
            text = f'[smtp]\nhost = "127.0.0.1"\nport = {self.mail_server.port}\nsecurity = "none"\n{text}'
        (self.home / "hookfuse.toml").write_text(
            f'[guard]\nallow_http = true\nallow_networks = ["127.0.0.0/8"]\n{text}'
        )

    def apply(self, paths: dict[int, str], owners: Sequence[str] = ("owner@acme.example",), **fields: str) -> None:
        """Register app ids with what the receiver answers them, one installation each, secret `secret-ID`."""
        self.run("apply", "--by", "ops", str(self.write_registry(paths, owners, **fields)))

    def write_registry(self, paths: dict[int, str], owners: Sequence[str], **fields: str) -> Path:
        """Write the registry file that `apply` applies."""
        lines = [
            '[[organizations]]\nid = 17\nslug = "acme"\nname = "Acme"\nurl = "https://acme.example"\n',
            f"owners = {json.dumps(list(owners))}\n",
        ]
        extra = "".join(f"{name} = {value}\n" for name, value in fields.items())
        lines += [
            f'[[apps]]\nid = {app}\nslug = "app-{app}"\nname = "App {app}"\norganization = 17\n'
            f'webhook_url = "http://127.0.0.1:{self.receiver.port}{path}"\nsecret = "secret-{app}"\n{extra}'
            f'[[installations]]\napp = {app}\norganization = 17\nuuid = "{installation_id(app)}"\n'
            for app, path in paths.items()
        ]
        registry = self.home.parent / "registry.toml"
        registry.write_text("\n".join(lines))
        return registry

    def command(self, *arguments: str) -> list[str]:
        """Return the command line for a hookfuse command on this home."""
        return [sys.executable, "-m", "runner", "--home", str(self.home), *arguments]

    def run(self, *arguments: str, code: int = 0, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a hookfuse command to its end, and insist on its exit code."""
        done = subprocess.run(
            self.command(*arguments),
            input=text,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            cwd=_ROOT,
            check=False,
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str) -> Any:
        """Run a hookfuse command with --json and read what it says."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def look(self, *arguments: str) -> Any:
        """Read what `json` would say, but within this process: for who looks again and again.

        A command is half a second of CPU, for most of which an interpreter starts: that is taken from the daemon.
        """
        said = CliRunner().invoke(cli, ["--home", str(self.home), *arguments, "--json"], catch_exceptions=False)
        assert said.exit_code == 0, f"{arguments}: {said.exit_code}\n{said.output}"
        return json.loads(said.stdout)

    def send(self, deliveries: Sequence[tuple[int, str]]) -> None:
        """Queue deliveries, each an app id and an event name, in one batch."""
        lines = [
            json.dumps({"installation": installation_id(app), "event": event, "data": {"number": number}})
            for number, (app, event) in enumerate(deliveries)
        ]
        self.run("send", "--batch", "-", text="\n".join(lines))

    @contextmanager
    def daemon(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run the daemon in the background; it is killed at the end if it has not ended by then."""
        process = subprocess.Popen(
            self.command("run", *arguments), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=_ROOT
        )
        assert process.stderr is not None
        try:
            yield process
        finally:
            process.kill()
            process.wait(LIMIT_S)
            process.stderr.close()

    def log_lines(self) -> list[dict[str, Any]]:
        """Read the daemon's log."""
        return _whole_lines(self.home / "logs" / "hookfuse.jsonl")


def installation_id(app: int) -> str:
    """Return the fixed id of an app's installation on the stage."""
    return f"00000000-0000-4000-8000-{app:012d}"


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """Read the JSON lines of a file that another process is writing; one that is not written to its end is left out."""
    *lines, _unfinished = path.read_text().split("\n")
    return [json.loads(line) for line in lines]
