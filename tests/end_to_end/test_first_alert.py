"""What the README has a newcomer type, and what it says comes back."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_SECTION = (_ROOT / "README.md").read_text(encoding="utf-8").partition("\n## A first alert\n")[2].partition("\n## ")[0]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def _started(command: str, environment: dict[str, str]) -> Iterator[Iterator[str]]:
    """Have a command of the page run, as in a terminal of its own; give the lines that it says."""
    words = ["bash", "-c", f"exec {command} 2>&1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment, cwd=_ROOT) as process:
        assert process.stdout is not None
        try:
            yield (line.rstrip("\n") for line in process.stdout)
        finally:
            process.terminate()


def test_a_first_alert_goes_as_the_readme_says(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    Path(home).mkdir(mode=0o700)
    text = _SECTION.replace(".hookfuse", home).replace("8080", str(_free_port()))
    typed = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    apply, configure, receive, run, send, look = typed[1:]  # the first one activates .venv
    applied, greeted, queued, received = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    environment = os.environ | {"HOOKFUSE_HOME": home, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def say(command: str) -> str:
        done = subprocess.run(["bash", "-ec", command], capture_output=True, text=True, env=environment, cwd=_ROOT)  # noqa: PLW1510
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    assert say(apply) == applied
    say(configure)
    fetch_secret, start_receiver = receive.splitlines()
    say(fetch_secret)
    with (
        _started(start_receiver, environment) as receiver,
        _started(run.strip().replace("make", "hookfuse"), environment) as daemon,
    ):
        next(receiver)  # where it listens
        lines = greeted.splitlines()
        assert [next(daemon) for _ in lines[:-1]] == lines[:-1]  # the last one names the command as it was called
        assert say(send) == queued
        a_delivery = "[0-9a-f-]{36}"
        assert re.sub(a_delivery, "", next(receiver)) == re.sub(a_delivery, "", received.strip())
        looked = say(look)

    assert re.search(r"metric_alert.critical +1 +200 ", looked)
    assert "installations  1 active" in looked
