import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from console.shell.cli import cli
from console.shell.lazy_command import LazyCommand
from tests.console.conftest import Hookfuse, World


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, listed in group.commands.items():
        if listed.hidden:
            continue
        command = listed.load() if isinstance(listed, LazyCommand) else listed
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))


COMMANDS = dict(_commands(cli))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_commands_help_has_an_example(path: tuple[str, ...], hookfuse: Hookfuse) -> None:
    ended = hookfuse(*path, "--help")

    assert ended.code == 0
    assert re.search(rf"Example:\n    hookfuse (--home \S+ )?{' '.join(path)}\b", ended.out)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_says_what_it_is_for(path: tuple[str, ...]) -> None:
    options = [option for option in COMMANDS[path].params if isinstance(option, click.Option)]

    assert [option.name for option in options if not option.help] == []


def test_the_list_of_commands_says_what_each_does(hookfuse: Hookfuse) -> None:
    listed = hookfuse("--help").out

    for name, command in cli.commands.items():
        if command.hidden:
            continue
        assert f"{name} " in listed
        assert command.get_short_help_str(100) in listed


def test_help_names_the_exit_codes(hookfuse: Hookfuse) -> None:
    assert "4 not found" in hookfuse("--help").out


def test_help_and_version_start_without_the_store() -> None:
    script = (
        "import sys\nfrom runner import cli\nfrom console.shell.command_line import run_command_line\n"
        "try:\n    run_command_line(cli, ['--version'])\n"
        "finally:\n    print(sorted({'eventstore', 'structlog', 'rich', 'pydantic', 'sqlite3'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ended.stdout.splitlines()[0].startswith("hookfuse ")
    assert ended.stdout.splitlines()[1] == "[]"


def test_who_only_reads_starts_without_what_writes_sends_or_draws(hookfuse: Hookfuse, world: World) -> None:
    heavy = {"rich", "pydantic", "requests", "eventstore.deliveries.producer", "eventstore.decisions.disable"}
    script = (
        "import sys\nfrom runner import cli\nfrom console.shell.command_line import run_command_line\n"
        f"try:\n    run_command_line(cli, ['--home', {str(world.home.path)!r}, 'status'])\n"
        f"finally:\n    print(sorted({heavy!r} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "policy " in ended.stdout
    assert ended.stdout.splitlines()[-1] == "[]"
