"""The options of a group that stand before one of its subcommands."""

import click

__all__ = ["refuse_own_options"]


def refuse_own_options(context: click.Context) -> None:
    """Raise UsageError where there are any: they would filter nothing of what the subcommand does."""
    for name in context.params:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"give options behind `{context.invoked_subcommand}`, not before it")
