"""`hookfuse demo`: the story, told with real processes."""

import json
import shlex
import shutil
import signal
import textwrap
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click

from console.demo.scene import DemoError, Promise, Scene, promises
from console.output.printable import printable
from console.shell.exit_codes import ExitCode
from eventstore.projections.registry import find_installation_of_app

__all__ = ["demo"]

_EXAMPLE = Path(__file__).parent.parent / "examples" / "alert.json"
_OWNERS = ("ada@acme.example", "grace@acme.example")
_ORGANIZATION, _PAGER, _CHAT = 17, 5, 6
_BAD_DAYS = 6
# How many alerts each app gets.
_BATCH = {_PAGER: 299, _CHAT: 100}
# Requests at Pager: when the daemon is killed, and after how many none is answered until then, so that however fast
# the machine is there is a middle to kill it in.
_KILL_AFTER, _ANSWER_FIRST = 100, 150
_MAIL_LINES = 9

_REGISTRY = """\
[[organizations]]
id = 17
slug = "acme"
name = "Acme"
url = "https://acme.example"
owners = {owners}

[[apps]]
id = 5
slug = "pager"
name = "Pager"
organization = 17
webhook_url = "http://127.0.0.1:{pager}/hook"
events = ["metric_alert"]

[[apps]]
id = 6
slug = "chat"
name = "Chat Bridge"
organization = 17
webhook_url = "http://127.0.0.1:{chat}/hook"
events = ["metric_alert"]

[[installations]]
app = 5
organization = 17

[[installations]]
app = 6
organization = 17
"""

_CONFIGURATION = """\
[guard]                               # only public addresses over https, were it not for this
allow_networks = ["127.0.0.0/8"]
allow_http = true

[retry]
schedule = [0.5, 1, 2]

[daemon]
stop_s = 3
"""


class Story:
    """What happens, step by step; each step takes the scene on from where the one before left it."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._example = json.loads(_EXAMPLE.read_bytes())

    def play(self) -> list[Promise]:
        """Tell the whole story, and return the promises with whether they were kept."""
        self._set_up()
        healthy, broken = self._queue_alerts()
        killed = self._run_and_kill(len(healthy) + len(broken))
        self._run_again()
        late_id = self._look_at_the_broken_one()
        found = list(promises(self._scene, healthy, broken, late_id, _OWNERS))
        code = self._scene.stop_daemon()
        return [killed, *found, Promise("the second daemon ended in order when asked (exit code 0)", code == 0)]

    def _set_up(self) -> None:
        scene = self._scene
        _step("1. Two receivers, a registry and a configuration")
        pager, chat = scene.healthy.server_port, scene.broken.server_port
        _say(f"port {pager}: Pager answers 200 within 30 ms, and checks each signature")
        _say(f"port {chat}: Chat Bridge is broken: it answers 500, after a whole second")
        (scene.folder / "registry.toml").write_text(
            _REGISTRY.format(owners=json.dumps(_OWNERS), pager=pager, chat=chat)
        )
        scene.session.home.configuration.write_text(_CONFIGURATION)
        (scene.folder / "alert.json").write_bytes(_EXAMPLE.read_bytes())
        _command(f"cd {scene.folder} && export HOOKFUSE_HOME=$PWD/home")
        self._run("apply", "registry.toml")
        self._run("app", "secret", str(_PAGER), "--to", "pager.secret")
        self._run("app", "secret", str(_CHAT), "--to", "chat.secret")
        _step(f"2. Chat Bridge gets a past: {_BAD_DAYS} bad days, counted by the system before this one")
        days = (scene.session.now().date() - timedelta(days=ago) for ago in range(_BAD_DAYS, 0, -1))
        keys = (f"sentry-app-error:{_CHAT}:{_ORGANIZATION}:{day}" for day in days)
        self._write_lines("counts.jsonl", [{"key": key, "fields": {"error_count": 1}} for key in keys])
        self._run("events", "import", "--counts", "counts.jsonl")
        _say(f"The policy `balanced` asks for 10 failures without a success: {_BAD_DAYS} are not enough yet.")

    def _queue_alerts(self) -> tuple[set[str], set[str]]:
        scene = self._scene
        _step(f"3. {1 + sum(_BATCH.values())} alerts are queued; no daemon runs yet, and none is needed for that")
        alert = f"alert --app {_PAGER} --organization {_ORGANIZATION} --incident 3 --action 9 --status critical"
        self._run(*alert.split(), "--attachment", "alert.json")
        with scene.session.reading() as connection:
            found = {app: find_installation_of_app(connection, app, _ORGANIZATION) for app in _BATCH}
        ids = {app: installation.installation_id for app, installation in found.items() if installation}
        self._chat_id = ids[_CHAT]
        batch = [
            {
                "installation": ids[app],
                "event": "metric_alert.warning",
                "data": self._example | {"description_title": f"Warning: {number}"},
                "idempotency_key": f"warning-{number}",
            }
            for number in range(max(_BATCH.values()))
            for app, size in _BATCH.items()
            if number < size
        ]
        self._write_lines("alerts.jsonl", batch)
        self._run("send", "--batch", "alerts.jsonl")
        return scene.waiting_ids(ids[_PAGER]), scene.waiting_ids(ids[_CHAT])

    def _run_and_kill(self, queued_count: int) -> Promise:
        scene = self._scene
        _step("4. The daemon runs, and is killed with SIGKILL in the middle of the deliveries")
        _command("hookfuse run &")
        pid = scene.start_daemon()
        scene.wait_until(lambda: len(scene.healthy.sightings) >= _KILL_AFTER, f"{_KILL_AFTER} deliveries")
        _command(f"kill -9 {pid}")
        code = scene.kill_daemon()
        scene.healthy.go_on.set()
        seen_count, waiting_count = len(scene.healthy.sightings), scene.waiting_count()
        _say(f"Pager had seen {seen_count} requests by then, Chat Bridge {len(scene.broken.sightings)}.")
        self._run("status")
        return Promise(
            f"the daemon was killed in the middle: {seen_count} requests were out, {waiting_count} alerts waited",
            code == 128 + signal.SIGKILL and 0 < waiting_count < queued_count,
        )

    def _run_again(self) -> None:
        scene = self._scene
        _step("5. The daemon starts again, and goes on where the first one was stopped")
        _say("What was on its way is sent again under the same id, and counted once.")
        _command("hookfuse run &")
        scene.start_daemon()
        scene.wait_until(lambda: not scene.waiting_count(), "the queue to be empty")
        seen = len(scene.healthy.sightings), len(scene.broken.sightings)
        _say(f"Nothing is waiting any longer. Pager has seen {seen[0]} requests, Chat Bridge {seen[1]}.")

    def _look_at_the_broken_one(self) -> str:
        scene = self._scene
        _step("6. Chat Bridge is disabled: the evidence, the audit entry, the mail")
        self._run("show", self._chat_id[:8])
        self._run("audit", "--organization", "acme")
        mails = scene.last_mails()
        if not mails:
            raise DemoError("there is no mail about it")
        _say(
            f"In {scene.session.home.outbox}, as no mail server is set, are {len(mails)} mails about it, such as this:"
        )
        body = mails[0].get_body(("plain",))
        text = body.get_content().strip().splitlines() if body else []
        _output("\n".join((f"Subject: {mails[0]['Subject']}", "", *text[:_MAIL_LINES], "[...]")))
        _say("What comes now is kept, and not sent:")
        arguments = ("--installation", self._chat_id[:8], "--event", "metric_alert.critical", "--data", "alert.json")
        late_id = self._run("send", *arguments).strip()
        scene.wait_until(lambda: not scene.waiting_count(), "the last alert to be missed")
        self._run("status")
        return late_id

    def _write_lines(self, name: str, documents: Sequence[object]) -> None:
        (self._scene.folder / name).write_text("".join(f"{json.dumps(one)}\n" for one in documents))

    def _run(self, *arguments: str) -> str:
        """Run a command, and show it with what it printed."""
        _command(f"hookfuse {shlex.join(arguments)}")
        output = self._scene.run(*arguments)
        _output(output)
        return output


def _step(title: str) -> None:
    click.secho(f"\n{title}", bold=True)


def _say(text: str = "", indent: str = "   ", colour: str | None = None) -> None:
    """Print something, on as many lines as it takes; the later ones begin behind the indent."""
    width, later = min(shutil.get_terminal_size().columns, 100), " " * len(indent)
    wrapper = textwrap.TextWrapper(width, indent, later, break_long_words=False, break_on_hyphens=False)
    lines = wrapper.wrap(printable(text))
    click.secho("\n".join(lines), fg=colour)


def _command(text: str) -> None:
    click.secho(f"   $ {text}", fg="cyan")


def _output(text: str) -> None:
    click.secho("\n".join(f"   {printable(line)}".rstrip() for line in text.splitlines()), dim=True)


@click.command()
@click.option("--keep", "is_kept", is_flag=True, help="Keep the folder, so that you can look around in it.")
@click.pass_context
def demo(context: click.Context, is_kept: bool) -> None:
    """Show what hookfuse does, in seconds and with a real daemon.

    Two receivers, one of them broken, and the daemon, which is killed in the middle. All of it on 127.0.0.1 and in a
    temporary folder; nothing is left afterwards. Exits with 1 when a promise does not hold.

    \b
    Example:
      hookfuse demo --keep
    """  # noqa: D301 - \b is click's
    started_s = time.monotonic()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # as Ctrl-C: with everything cleaned up
    with Scene(_ANSWER_FIRST) as scene:
        _say(f"hookfuse demo: a real daemon, in {scene.folder}", "")
        try:
            found = Story(scene).play()
        except DemoError as error:
            found = [Promise(f"the demo broke off: {error}", is_kept=False)]
        is_good = all(promise.is_kept for promise in found)
        scene.is_kept = is_kept or not is_good
    _step("7. What you saw")
    for promise in found:
        mark, colour = ("[ok]", "green") if promise.is_kept else ("[FAILED]", "red")
        _say(promise.text, f"   {mark:<8} ", colour)
    where = f"the folder is kept: {scene.folder}" if scene.is_kept else "the folder is gone (--keep keeps it)"
    _say(f"It took {time.monotonic() - started_s:.0f} s; all processes have ended; {where}. Where to go next:")
    _command("hookfuse run        # prints how to send a first alert")
    _command("hookfuse --help     # enable, deliveries resend, requests, ...")
    context.exit(ExitCode.OK if is_good else ExitCode.FAILED)
