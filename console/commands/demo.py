"""`hookfuse demo`: the story, told with real processes."""

import json
import re
import shlex
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGTERM, signal
from types import FrameType

import click
from rich.console import Console
from rich.text import Text

from console.demo.scene import DemoError, Promise, Scene, is_about_disabling, promises, record_bad_days
from console.demo.servers import ServerProcess
from console.output.printable import printable
from console.shell.exit_codes import ExitCode
from eventstore.deliveries.producer import send_incident_alert_notification

__all__ = ["demo"]

_EXAMPLE = Path(__file__).parent.parent / "examples" / "alert.json"
_OWNERS = ("ada@acme.example", "grace@acme.example")
_ORGANIZATION, _PAGER, _CHAT = 17, 5, 6
_BAD_DAYS = 6
# For each app: how many alerts go in by the batch, and how many by the Python function.
_BATCH = {_PAGER: 249, _CHAT: 80}
_CALLS = {_PAGER: 50, _CHAT: 20}
# Requests at Pager: when the daemon is killed, and after how many none is answered until then, so that however fast
# the machine is there is a middle to kill it in.
_KILL_AFTER, _ANSWER_FIRST = 100, 150
_MAIL_LINES = 9
_WHY_LINES = 4

_ORGANIZATION_ENTRY = """\
[[organizations]]
id = {organization}
slug = "acme"
name = "Acme"
url = "https://acme.example"
owners = {owners}
"""

_APP_ENTRY = """
[[apps]]
id = {app}
slug = "{slug}"
name = "{name}"
organization = {organization}
webhook_url = "http://127.0.0.1:{port}/hook"
events = ["metric_alert"]

[[installations]]
app = {app}
organization = {organization}
"""

_CONFIGURATION = """\
[guard]                               # only public addresses over https, were it not for this
allow_networks = ["127.0.0.0/8"]
allow_http = true

[retry]
schedule = [0.5, 1, 2]

[smtp]
host = "127.0.0.1"
port = {mail_port}
security = "none"

[daemon]
stop_s = 3
"""


class Narrator:
    """Tells the story on standard output: in colour to a person at a terminal, plainly to a pipe."""

    def __init__(self) -> None:
        self._console = Console(markup=False, highlight=False, emoji=False)
        self._width = min(self._console.width, 100)
        self._step = 0

    def step(self, title: str) -> None:
        """Begin a step."""
        self._step += 1
        self._line(f"\n{self._step}. {title}", "bold")

    def say(self, text: str, style: str = "", indent: int = 3) -> None:
        """Say something, on as many lines as it takes."""
        for line in textwrap.wrap(printable(text), self._width - indent, break_on_hyphens=False) or [""]:
            self._line((" " * indent + line).rstrip(), style)

    def command(self, text: str) -> None:
        """Show a command as a person would type it, on as many lines as it takes."""
        bound = re.sub(r"(--\S+) (?!-)", "\\1\N{NO-BREAK SPACE}", text)  # an option stays with its value
        folded = textwrap.wrap(bound, self._width - 7, break_long_words=False, break_on_hyphens=False)
        first, *rest = (line.replace("\N{NO-BREAK SPACE}", " ") for line in folded)
        lines = [f"   $ {first}", *(f"       {line}" for line in rest)]
        for line in (*(f"{line} \\" for line in lines[:-1]), lines[-1]):
            self._line(line, "cyan")

    def output(self, text: str) -> None:
        """Show what a command or a program gave; on a terminal a long line goes on below its last column."""
        for line in text.splitlines():
            shown = printable(line)
            column = max((found.end() for found in re.finditer(r"^\S.*?\s{2,}", shown)), default=2)
            folded = textwrap.wrap(shown, self._width - 3, subsequent_indent=" " * column, break_on_hyphens=False)
            for part in folded if self._console.is_terminal and folded else [shown]:
                self._line(f"   {part}".rstrip(), "dim")

    def promise(self, promise: Promise) -> None:
        """Say whether a promise was kept."""
        mark, style = ("[ok]", "green") if promise.is_kept else ("[FAILED]", "bold red")
        first, *rest = textwrap.wrap(promise.text, self._width - 12)
        self._line(f"   {mark:<8} {first}", style)
        for line in rest:
            self._line(f"            {line}", style)

    def _line(self, text: str, style: str) -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)


class Story:
    """What happens, step by step; each step takes the scene on from where the one before left it."""

    def __init__(self, scene: Scene, narrator: Narrator) -> None:
        self._scene = scene
        self._tell = narrator
        self._example = json.loads(_EXAMPLE.read_bytes())

    def play(self) -> list[Promise]:
        """Tell the whole story, and give the promises with whether they were kept."""
        self._start_servers()
        self._apply()
        self._record_bad_days()
        healthy, broken = self._queue_alerts()
        killed = self._run_and_kill(len(healthy) + len(broken))
        daemon = self._run_again()
        late_id = self._look_at_the_broken_one()
        found = list(promises(self._scene, healthy, broken, late_id, _OWNERS))
        stopped_code = self._scene.stop_daemon(daemon)
        stopped = Promise("the second daemon ended in order when asked (exit code 0)", stopped_code == 0)
        return [killed, *found, stopped]

    def _start_servers(self) -> None:
        scene, tell = self._scene, self._tell
        tell.step("Two receivers and a mail server, each a process of its own on a free port")
        (scene.folder / "mails").mkdir()
        self._pager_server = scene.start(*_receiver("pager", 200, 0.03), "--answer-first", str(_ANSWER_FIRST))
        self._chat_port = scene.start(*_receiver("chat", 500, 1.0)).number
        self._mail_port = scene.start("mail", "--folder", "mails").number
        tell.say(f"port {self._pager_server.number}: Pager answers 200 within 30 ms, and checks each signature")
        tell.say(f"port {self._chat_port}: Chat Bridge is broken: it answers 500, after a whole second")
        tell.say(f"port {self._mail_port}: SMTP, for the mails to the owners")

    def _apply(self) -> None:
        scene, tell = self._scene, self._tell
        tell.step("A registry and a configuration")
        (scene.folder / "registry.toml").write_text(self._registry())
        scene.session.home.configuration.write_text(_CONFIGURATION.format(mail_port=self._mail_port))
        (scene.folder / "alert.json").write_bytes(_EXAMPLE.read_bytes())
        tell.command(f"cd {scene.folder} && export HOOKFUSE_HOME=$PWD/home")
        self._run("apply", "registry.toml")
        self._run("app", "secret", str(_PAGER), "--to", "pager.secret")
        self._run("app", "secret", str(_CHAT), "--to", "chat.secret")
        self._pager = scene.installation(_PAGER, _ORGANIZATION)
        self._chat = scene.installation(_CHAT, _ORGANIZATION)

    def _registry(self) -> str:
        organization = _ORGANIZATION_ENTRY.format(organization=_ORGANIZATION, owners=json.dumps(_OWNERS))
        apps = ((_PAGER, "pager", "Pager", self._pager_server.number), (_CHAT, "chat", "Chat Bridge", self._chat_port))
        return organization + "".join(
            _APP_ENTRY.format(organization=_ORGANIZATION, app=app_id, slug=slug, name=name, port=port)
            for app_id, slug, name, port in apps
        )

    def _record_bad_days(self) -> None:
        tell = self._tell
        tell.step(f"Chat Bridge gets a past: {_BAD_DAYS} bad days")
        record_bad_days(self._scene.session, self._chat, json.dumps(self._example), _BAD_DAYS)
        tell.say(
            f"One alert a day, answered 500: written now, as they would have been recorded on the {_BAD_DAYS} days"
            " before today. This is the only thing here that is staged. The policy `balanced` asks for 10 failures"
            f" over 3 days without a success: {_BAD_DAYS} are not enough yet."
        )

    def _queue_alerts(self) -> tuple[set[str], set[str]]:
        scene, tell = self._scene, self._tell
        tell.step("400 alerts are queued; no daemon runs yet, and none is needed for that")
        self._run(*f"alert --app {_PAGER} --organization {_ORGANIZATION} --incident 3 --action 9".split(),
                  "--status", "critical", "--attachment", "alert.json")  # fmt: skip
        (scene.folder / "alerts.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in self._batch()))
        self._run("send", "--batch", "alerts.jsonl")
        with scene.as_environment():
            queued = sum(self._call(app_id, number) for app_id, calls in _CALLS.items() for number in range(calls))
        tell.say(f"and {queued} by the Python function send_incident_alert_notification(...) -> True")
        waiting = scene.waiting_ids()
        healthy, broken = (waiting.get(one.installation_id, set()) for one in (self._pager, self._chat))
        tell.say(f"On disk: {len(healthy)} for Pager, {len(broken)} for Chat Bridge.")
        expected = (1 + _BATCH[_PAGER] + _CALLS[_PAGER], _BATCH[_CHAT] + _CALLS[_CHAT])
        if (len(healthy), len(broken)) != expected:
            raise DemoError(f"{expected} alerts were handed over, and the queue holds {len(healthy), len(broken)}")
        return healthy, broken

    def _batch(self) -> Iterator[dict[str, object]]:
        installations = {_PAGER: self._pager, _CHAT: self._chat}
        for number in range(max(_BATCH.values())):
            for app_id in (app_id for app_id, size in _BATCH.items() if number < size):
                yield {
                    "installation": installations[app_id].installation_id,
                    "event": "metric_alert.warning",
                    "data": self._example | {"description_title": f"Warning: {number}"},
                    "idempotency_key": f"warning-{number}",
                }

    def _call(self, app_id: int, number: int) -> bool:
        return send_incident_alert_notification(
            sentry_app_id=app_id,
            organization_id=_ORGANIZATION,
            incident_id=1000 + number,
            action_id=9,
            new_status=10,
            incident_attachment_json=json.dumps(self._example),
        )

    def _run_and_kill(self, queued_count: int) -> Promise:
        scene, tell = self._scene, self._tell
        tell.step("The daemon runs, and is killed with SIGKILL in the middle of the deliveries")
        tell.command("hookfuse run &")
        daemon = scene.start_daemon()
        scene.wait_until(lambda: len(scene.sightings("pager")) >= _KILL_AFTER, f"{_KILL_AFTER} deliveries")
        tell.command(f"kill -9 {daemon.number}")
        code = scene.kill_daemon(daemon)
        self._pager_server.answer_all()
        seen_count, waiting_count = len(scene.sightings("pager")), scene.counts()["waiting"]
        tell.say(f"Pager had seen {seen_count} requests by then, Chat Bridge {len(scene.sightings('chat'))}.")
        self._run("status", paragraphs=1)
        return Promise(
            f"the daemon was killed in the middle: {seen_count} requests were out, {waiting_count} alerts waited",
            code == 128 + SIGKILL and 0 < waiting_count < queued_count,
        )

    def _run_again(self) -> ServerProcess:
        scene, tell = self._scene, self._tell
        tell.step("The daemon starts again, and goes on where the first one was stopped")
        tell.say("What was on its way is sent again under the same id, and counted once.")
        tell.command("hookfuse run &")
        daemon = scene.start_daemon()
        scene.wait_until(lambda: not (scene.counts()["waiting"] or scene.counts()["owed"]), "the queue to be empty")
        requests = {slug: len(scene.sightings(slug)) for slug in ("pager", "chat")}
        tell.say(
            f"Nothing waits any more. Pager has seen {requests['pager']} requests, Chat Bridge {requests['chat']}."
        )
        return daemon

    def _look_at_the_broken_one(self) -> str:
        scene, tell = self._scene, self._tell
        installation_id = self._chat.installation_id
        tell.step("Chat Bridge is disabled: the evidence, the audit entry, the mail")
        self._run("show", installation_id[:8], paragraphs=2)
        tell.say("")
        self._run("audit", "--json")
        tell.say("")
        self._show_mail()
        tell.say("What comes now is kept, and not sent:")
        arguments = ("--installation", installation_id[:8], "--event", "metric_alert.critical", "--data", "alert.json")
        late_id = self._run("send", *arguments).strip()
        scene.wait_until(lambda: not scene.counts()["waiting"], "the last alert to be missed")
        self._run("status", paragraphs=1)
        return late_id

    def _show_mail(self) -> None:
        mails = [mail for mail in self._scene.mails() if is_about_disabling(mail)]
        if not mails:
            raise DemoError("the mail server took no mail")
        warnings = len(self._scene.mails()) - len(mails)
        self._tell.say(f"The mail server took {warnings} warnings and {len(mails)} mails about the end, such as this:")
        body = mails[0].get_body(("plain",))
        headers = [f"{name}: {mails[0][name]}" for name in ("To", "Subject")]
        self._tell.output("\n".join((*headers, "", *_excerpt(body.get_content() if body else ""))))
        self._tell.say("")

    def _run(self, *arguments: str, paragraphs: int | None = None) -> str:
        """Run a command, and show it with what it printed, or the first paragraphs of that."""
        self._tell.command(f"hookfuse {shlex.join(arguments)}")
        output = self._scene.run(*arguments)
        shown = json.dumps(json.loads(output), indent=2) if "--json" in arguments else output  # as a terminal gets it
        parts = shown.split("\n\n")
        is_cut = paragraphs is not None and len(parts) > paragraphs
        self._tell.output("\n\n".join(parts[:paragraphs]) + ("\n[...]" if is_cut else ""))
        return output


def _excerpt(text: str) -> list[str]:
    """Give the beginning of a notice, and the beginning of its reasons."""
    lines = text.strip().splitlines()
    title = lines.index("WHY") if "WHY" in lines else len(lines)
    return [*lines[: min(title, _MAIL_LINES)], "[...]", *lines[title : title + _WHY_LINES], "[...]"]


def _receiver(slug: str, status: int, delay_s: float) -> tuple[str, ...]:
    answer = '{"ok": true}' if status < 300 else '{"error": "database is down"}'
    files = ("--log", f"{slug}.jsonl", "--secret", f"{slug}.secret")
    return "receiver", "--status", str(status), "--answer", answer, "--delay-s", str(delay_s), *files


@click.command()
@click.option("--keep", "is_kept", is_flag=True, help="Keep the folder, to look around in it.")
@click.pass_context
def demo(context: click.Context, is_kept: bool) -> None:
    """Show what hookfuse does, in seconds and with real processes.

    Two receivers, one of them broken, a mail server, and the daemon, which is killed in the middle. All of it on
    127.0.0.1 and in a temporary folder; nothing is left afterwards. Exits with 1 when a promise does not hold.

    \b
    Example:
      hookfuse demo --keep
    """  # noqa: D301 - \b is click's
    started_s = time.monotonic()
    tell = Narrator()
    with _interrupted_by_termination(), Scene() as scene:
        scene.is_kept = is_kept
        tell.say(f"hookfuse demo: real processes, in {scene.folder}", indent=0)
        try:
            found = Story(scene, tell).play()
        except DemoError as error:
            found = [Promise(f"the story broke off: {error}", is_kept=False)]
        is_good = all(promise.is_kept for promise in found)
        scene.is_kept = is_kept or not is_good
    tell.step("What you saw")
    for promise in found:
        tell.promise(promise)
    _say_where_to_go(tell, scene, time.monotonic() - started_s)
    context.exit(ExitCode.OK if is_good else ExitCode.FAILED)


def _say_where_to_go(tell: Narrator, scene: Scene, elapsed_s: float) -> None:
    tell.say("")
    where = f"the folder is kept: {scene.folder}" if scene.is_kept else "the folder is gone (--keep keeps it)"
    tell.say(f"It took {elapsed_s:.0f} s; all processes have ended; {where}.")
    if scene.is_kept:
        tell.command(f"hookfuse --home {scene.session.home.path} events --newest --limit 20")
    tell.say("Where to go next:")
    tell.command("hookfuse run        # prints how to send a first alert")
    tell.command("hookfuse --help     # enable, deliveries resend, requests, ...")


@contextmanager
def _interrupted_by_termination() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the demo as Ctrl-C does: with everything cleaned up."""
    before = {number: signal(number, _interrupt) for number in (SIGTERM, SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
