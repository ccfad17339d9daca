"""A group of commands that takes files itself."""

from typing import Any

import click

__all__ = ["LogsGroup"]


class LogsGroup(click.Group):
    """Hands over to a command when the first word is its name; other words are for the group: options and files.

    A file of such a name is named `./summary`. What click calls next is the context's command.
    """

    allow_interspersed_args = True

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Hand over to a command, or go on with the group's own options."""
        command = self.commands.get(args[0]) if args else None
        if command is None:
            return super().make_context(info_name, args, parent, **extra)
        # By its name only: the files of the group are no words of the command's usage.
        above = click.Context(click.Command(None), info_name=info_name, parent=parent)
        return command.make_context(args[0], args[1:], above, **extra)
