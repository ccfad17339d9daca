"""Whatever file a person names: the command ends, with one line that says where its limit is."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from console.shell.exit_codes import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from tests.console.conftest import Hookfuse, World

# One more than is read; a gigabyte of them ends there too.
LINE_ENDS = b"\n" * 1_000_001

# What each command reads, and a part of what it says of an input that has no end.
COMMANDS = {
    ("apply", "FILE"): "over 16,777,216 bytes",
    ("policy", "show", "FILE"): "cannot be read as a file",
    ("events", "import", "FILE"): "line 1 has over 256 MiB",
    ("events", "import", "--counts", "FILE"): "line 1 has over 256 MiB",
    ("send", "--batch", "FILE"): "line 1: over 1056768 bytes",
    ("send", "--installation", "7c1f0a52", "--event", "metric_alert.open", "--data", "FILE"): "over 1048576 bytes",
    ("app", "rotate-secret", "5", "--secret-from", "FILE"): "over 8192 bytes, which is too long for a secret",
}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_file_without_an_end_is_refused_at_the_stated_limit(
    hookfuse: Hookfuse, world: World, words: tuple[str, ...]
) -> None:
    ended = hookfuse(*[word.replace("FILE", "/dev/zero") for word in words], home=world.home.path)

    assert ended.code == ExitCode.BAD_INPUT
    assert ended.err.count("\n") == 1
    assert COMMANDS[words] in ended.err


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("events", "import", "FILE"), "over 1,000,000 blank lines"),
        (("events", "import", "--counts", "FILE"), "over 1,000,000 blank lines"),
        (("send", "--batch", "FILE"), "over 1,000,000 blank lines"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_line_ends_without_end_are_refused_at_the_stated_limit(
    hookfuse: Hookfuse, world: World, tmp_path: Path, words: tuple[str, ...], fault: str
) -> None:
    path = tmp_path / "line-ends.gz"
    path.write_bytes(gzip.compress(LINE_ENDS, 1))

    ended = hookfuse(*[word.replace("FILE", str(path)) for word in words], home=world.home.path)

    assert ended.code == ExitCode.BAD_INPUT
    assert ended.err.count("\n") == 1
    assert fault in ended.err


def test_lines_that_are_all_wrong_are_counted_up_to_a_limit(hookfuse: Hookfuse, world: World, tmp_path: Path) -> None:
    path = tmp_path / "wrong.jsonl"
    path.write_bytes(b"x\n" * 100_001)

    ended = hookfuse("events", "import", path, home=world.home.path)

    assert ended.code == ExitCode.BAD_INPUT
    assert "over 100,000 faults, and nothing more is read; line 1: " in ended.err


def test_a_configuration_is_read_up_to_a_limit(hookfuse: Hookfuse, world: World) -> None:
    world.home.configuration.write_bytes(b"#" * (1024 * 1024 + 1))

    ended = hookfuse("policy", "show", home=world.home.path)

    assert ended.code == ExitCode.BAD_INPUT
    assert "hookfuse.toml: over 1,048,576 bytes, which is the most that is read" in ended.err


@pytest.mark.parametrize("content", [b"x = " + b"[" * 100_000, b"x = " + b"9" * 5_000, b"\xff\xfeo\x00"])
def test_toml_that_would_break_the_parser_is_one_line(hookfuse: Hookfuse, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "registry.toml"
    path.write_bytes(content)

    ended = hookfuse("apply", path)

    assert ended.code == ExitCode.BAD_INPUT
    assert ended.err.count("\n") == 1
    assert "registry.toml: not " in ended.err
