"""What a command says where the system refuses a file: which one, why, and with a named exit code."""

from pathlib import Path

import pytest

from console.shell.exit_codes import ExitCode
from tests.console.conftest import Hookfuse, World

TOO_LONG = "x" * 300


@pytest.mark.parametrize("place", [TOO_LONG, "no-folder/copy", "a-file/copy", "a-folder"])
@pytest.mark.parametrize(
    "command",
    [
        ("backup",),
        ("backup", "--without-secrets"),
        ("events", "export", "--to"),
        ("app", "secret", "5", "--to"),
        ("restore",),
        ("apply",),
        ("policy", "check"),
    ],
)
def test_a_path_that_cannot_be_used_is_named_and_is_no_bug(
    hookfuse: Hookfuse, world: World, tmp_path: Path, command: tuple[str, ...], place: str
) -> None:
    assert world.home.path.is_dir()
    (tmp_path / "a-file").write_text("")
    (tmp_path / "a-folder").mkdir()

    ended = hookfuse(*command, str(tmp_path / place))

    assert ended.code in (ExitCode.USAGE, ExitCode.BAD_INPUT, ExitCode.DATABASE)
    assert place in ended.err
    assert "Errno" not in ended.err


def test_a_home_whose_name_is_too_long_is_no_bug(hookfuse: Hookfuse, tmp_path: Path) -> None:
    ended = hookfuse("status", home=tmp_path / TOO_LONG)

    assert ended.code == ExitCode.HOME
    assert f"{TOO_LONG}/hookfuse.toml: cannot be used (File name too long)" in ended.err
