"""Options that several commands share."""

import getpass
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = [
    "NUMBER",
    "by_option",
    "installation_option",
    "json_option",
    "limit_option",
    "person",
    "reason_option",
    "refuse_own_options",
]

Command = TypeVar("Command", bound=Callable[..., Any])

_PERSON_CHARACTERS = 100
_REASON_CHARACTERS = 1000

# An id or a count, as large as SQLite's integers.
LARGEST = 2**63 - 1
NUMBER = click.IntRange(0, LARGEST)

json_option = click.option("--json", "is_json", is_flag=True, help="Print one JSON document, for a program.")

installation_option = click.option(
    "--installation", metavar="ID", help="Only of this installation (its UUID, or at least its first 6 characters)."
)


def limit_option(default: int, largest: int = LARGEST) -> Callable[[Command], Command]:
    """Return an option --limit."""
    return click.option(
        "--limit",
        type=click.IntRange(1, largest),
        default=default,
        show_default=True,
        help="How many at most.",
    )


def person(name: str) -> str:
    """Return a person's name as events and audit entries have it."""
    return f"person:{name}"


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry for this user, as in some containers
        return f"uid {os.getuid()}"


def _checked_text(characters: int) -> Callable[[click.Context, click.Parameter, str], str]:
    def check(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
        if not text.strip() or len(text) > characters or not text.isprintable():
            raise click.BadParameter(f"it has 1 to {characters} printable characters")
        return text.strip()

    return check


by_option = click.option(
    "--by",
    default=_login_name,
    show_default="the login name",
    metavar="NAME",
    callback=_checked_text(_PERSON_CHARACTERS),
    help="Who decides, for the record.",
)


def reason_option(default: str | None = None) -> Callable[[Command], Command]:
    """Return an option --reason, required where it has no default."""
    # In click a default of None is a value, which satisfies `required`: it is not to be given at all.
    settings: dict[str, Any] = {"required": True} if default is None else {"default": default, "show_default": True}
    return click.option(
        "--reason",
        metavar="TEXT",
        callback=_checked_text(_REASON_CHARACTERS),
        help="Why, for the record.",
        **settings,
    )


def refuse_own_options(context: click.Context) -> None:
    """Raise UsageError where there are any: they would filter nothing of what the subcommand does."""
    for name in context.params:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"give options behind `{context.invoked_subcommand}`, not before it")
