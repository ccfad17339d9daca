import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from console.shell.exit_codes import ExitCode
from tests.end_to_end.stage import LIMIT_S
from tests.end_to_end.waiting import wait_until

_COMMAND = [sys.executable, "-m", "runner", "demo"]
_WITHOUT_A_KILL = """
import console.demo.scene, console.commands.demo, runner
console.demo.scene._WAIT_S = 1.0
console.commands.demo._KILL_AFTER = 10**6
runner.main()
"""


def test_demo_keeps_what_it_promises_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        _COMMAND, env=_environment(tmp_path), capture_output=True, text=True, timeout=LIMIT_S, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    proof = " ".join(done.stdout[done.stdout.index("What you saw") :].split())
    assert "each of the 401 queued alerts, the late one too, has exactly one final outcome" in proof
    assert "300 delivered, 101 missed, 0 dead" in proof
    assert "the healthy receiver saw each of its 300 ids at least once" in proof
    assert "the broken one was disabled: 1 disabling with 7 days of evidence, 1 audit entry" in proof
    assert "each of the 2 owners got one mail" in proof
    assert proof.count("[ok]") == 9
    assert "[FAILED]" not in proof
    assert not _still_running(tmp_path)
    assert not list(tmp_path.iterdir())


def test_demo_fails_and_says_why_when_its_story_cannot_go_on(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_A_KILL, "demo"],
        env=_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert done.returncode == ExitCode.FAILED
    assert "[FAILED] the demo broke off: waited 1 s in vain for 1000000 deliveries" in " ".join(done.stdout.split())
    assert not _still_running(tmp_path)
    assert [path.name.startswith("hookfuse-demo-") for path in tmp_path.iterdir()] == [True]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_that_is_interrupted_cleans_up(tmp_path: Path, number: signal.Signals) -> None:
    code = _signalled_while_the_daemon_runs(tmp_path, number)

    assert code == 130
    assert not _still_running(tmp_path)
    assert not list(tmp_path.iterdir())


def test_demo_that_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    code = _signalled_while_the_daemon_runs(tmp_path, signal.SIGKILL)

    assert code == -signal.SIGKILL
    wait_until(lambda: not _still_running(tmp_path), "the end of all its processes")


def _signalled_while_the_daemon_runs(folder: Path, number: signal.Signals) -> int:
    with subprocess.Popen(_COMMAND, env=_environment(folder), stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        assert any("$ hookfuse run" in line for line in demo.stdout)
        wait_until(lambda: len(_still_running(folder)) >= 3, "itself, the keeper, the daemon")
        demo.send_signal(number)
        demo.stdout.read()
        return demo.wait(LIMIT_S)


def _environment(folder: Path) -> dict[str, str]:
    # Whoever inherits this environment, and so each process of the demo, can be found by it.
    settings = {name: value for name, value in os.environ.items() if not name.startswith("HOOKFUSE_")}
    return settings | {"TMPDIR": str(folder)}


def _still_running(folder: Path) -> list[str]:
    """Return the names of the processes with the folder in their environment; /proc is Linux's."""
    mark = f"TMPDIR={folder}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # gone meanwhile, or another's
            continue
    return found
