"""`hookfuse replay`: looking back over the recorded events."""

import click

from console.shell.lazy_command import LazyCommand

__all__ = ["replay"]

_COMMANDS: tuple[LazyCommand, ...] = (
    LazyCommand(
        "rebuild", "console.commands.replay.rebuild:rebuild", "Bring the projections into agreement with the events."
    ),
    LazyCommand(
        "verify", "console.commands.replay.verify:verify", "Compare projections with the events; check the log."
    ),
    LazyCommand("what-if", "console.commands.replay.what_if:suppose", "Evaluate what was recorded by another policy."),
    LazyCommand(
        "diff", "console.commands.replay.diff:diff", "Show what changed about an installation between two moments."
    ),
    LazyCommand("timeline", "console.commands.replay.timeline:timeline", "Tell the story of one installation."),
)


@click.group()
def replay() -> None:
    """Look back over the recorded events: rebuild, verify, narrate, and ask what if. Nothing here can send.

    \b
    Example:
      hookfuse replay verify --log
    """  # noqa: D301 - \b is click's


for _command in _COMMANDS:
    replay.add_command(_command)
