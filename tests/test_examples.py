"""Each program in examples/ does what it says, on a home of its own."""

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import requests

from eventstore.projections.registry import read_installations
from eventstore.queue.queries import read_deliveries
from eventstore.sqlite.database import open_database
from webhook.headers import platform_headers

_ROOT = Path(__file__).parent.parent
_EXAMPLES = _ROOT / "examples"
_ATTACHMENT = _ROOT / "console" / "examples" / "alert.json"
_BODY = b'{"action":"critical","data":{}}'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    registry = _ROOT / "console" / "examples" / "registry.toml"
    command = [sys.executable, "-m", "runner", "--home", str(folder), "apply", str(registry)]
    subprocess.run(command, check=True, capture_output=True, cwd=_ROOT)
    return folder


def _run(name: str, *arguments: object, home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(_EXAMPLES / name), *map(str, arguments)]
    environment = os.environ | {"HOOKFUSE_HOME": str(home), "PYTHONPATH": str(_ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def _installation_id(home: Path) -> str:
    with closing(open_database(home / "events.db", is_writer=False)) as connection:
        (installation,) = read_installations(connection)
    return installation.installation_id


def _queued(home: Path) -> list[tuple[str, str]]:
    with closing(open_database(home / "events.db", is_writer=False)) as connection:
        return [(one.event_name, one.ordering_key) for one in read_deliveries(connection)]


def test_an_alert_is_queued_once_however_often_it_is_sent(home: Path) -> None:
    done = [_run("send_alert.py", _ATTACHMENT, home=home) for _ in range(2)]

    assert [(one.returncode, one.stdout) for one in done] == [(0, "queued\n")] * 2
    assert _queued(home) == [("metric_alert.critical", "incident:3")]


def test_events_are_queued_together_once_and_in_order(home: Path) -> None:
    first, again = (_run("send_events.py", _installation_id(home), home=home) for _ in range(2))

    assert len(first.stdout.split()) == 2
    assert again.stdout == first.stdout
    assert _queued(home) == [("issue.created", "issue:81"), ("issue.resolved", "issue:81")]


def test_what_never_can_be_queued_is_not_tried_again(home: Path) -> None:
    good = _run("keep_trying.py", _installation_id(home), home=home)
    unknown = _run("keep_trying.py", uuid.uuid4(), home=home)

    assert (good.returncode, len(good.stdout.split())) == (0, 1)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "again in" not in unknown.stderr
    assert len(unknown.stderr.splitlines()) == 1


@contextmanager
def _receiving(*command: object) -> Iterator[str]:
    with subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[2].rstrip(",")
        finally:
            process.kill()


def _headers(secret: str) -> dict[str, str]:
    signed = platform_headers(
        host_header="127.0.0.1",
        resource="metric_alert",
        request_id="r",
        delivery_id="01a20a65-72b7",
        timestamp_s=int(time.time()),
        secrets=(secret,),
        body=_BODY,
    )
    return {name: value for name, value in signed if name != "Host"}


@pytest.mark.parametrize("program", [(sys.executable, "receiver.py"), ("node", "receiver.cjs")], ids=lambda one: one[1])
def test_a_receiver_takes_what_its_secret_has_signed_and_nothing_else(program: tuple[str, str], tmp_path: Path) -> None:
    interpreter, name = program
    if shutil.which(interpreter) is None:
        pytest.skip(f"{interpreter} is not installed")
    secret = tmp_path / "secret"
    secret.write_text("a secret")

    with _receiving(interpreter, _EXAMPLES / name, secret, 0, 204) as url, requests.Session() as session:
        session.trust_env = False
        answers = [session.post(url, data=_BODY, headers=_headers(one)).status_code for one in ("a secret", "another")]

    assert answers == [204, 401]


def test_every_example_is_in_its_list_and_is_run_here() -> None:
    names = {path.name for path in _EXAMPLES.iterdir() if path.is_file()} - {"README.md"}

    assert names == {"keep_trying.py", "receiver.cjs", "receiver.py", "send_alert.py", "send_events.py", "strict.toml"}
    assert {name for name in names if f"]({name})" not in (_EXAMPLES / "README.md").read_text()} == set()
