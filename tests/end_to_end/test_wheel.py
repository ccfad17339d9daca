"""The wheel is whole: it installs into an empty environment and runs there."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.end_to_end.stage import LIMIT_S

_ROOT = Path(__file__).parent.parent.parent


def _run(*command: str | Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, timeout=2 * LIMIT_S
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, _ROOT)
    (wheel,) = folder.glob("hookfuse-*.whl")
    return wheel


def test_the_wheel_installs_and_runs_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    _run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    _run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile", wheel)
    hookfuse = tmp_path / "venv" / "bin" / "hookfuse"
    examples = Path(_run(python, "-c", "import console; print(console.__path__[0])").strip()) / "examples"

    _run(hookfuse, "--home", tmp_path / "home", "apply", examples / "registry.toml")
    _run(hookfuse, "--home", tmp_path / "home", "run", "--drain")

    status = json.loads(_run(hookfuse, "--home", tmp_path / "home", "status", "--json"))
    assert status["installations"]["active"] == 1
    assert Path(_run(hookfuse, "logs", "--lnav-format").strip()).is_file()
    assert Path(_run(hookfuse, "backup", "--datasette-metadata").strip()).is_file()


def test_the_wheel_holds_the_rooms_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"actors", "eventstore", "replay", "webhook", "console", "runner.py"}
    assert "actors/mail/templates/disabled_notice.html" in names
    assert "console/examples/alert.json" in names
    assert {"console/formats/hookfuse.lnav.json", "console/formats/datasette.json"} <= set(names)
