"""`hookfuse app`: looking after one app."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

import click

from console.options import NUMBER
from console.output import print_line
from console.session import Session
from eventstore.errors import NotFoundError, RejectedError
from eventstore.registry import find_app, read_secrets

__all__ = ["app"]


@click.group()
def app() -> None:
    """Look after one app.

    \b
    Example:
      hookfuse app secret 5 --to pager.secret
    """  # noqa: D301 - \b is click's


@app.command("secret")
@click.argument("app_id", type=NUMBER)
@click.option("--to", "path", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The file to write.")
@click.option("--force", is_flag=True, help="Put the file in the place of one that is there.")
@click.pass_obj
def secret(session: Session, app_id: int, path: Path, force: bool) -> None:
    """Write an app's client secret to a new file that only you may read.

    The receiver checks signatures with it. It is never printed.

    \b
    Example:
      hookfuse app secret 5 --to pager.secret
    """  # noqa: D301 - \b is click's
    with session.reading() as connection:
        slug = find_app(connection, app_id).slug
        found = read_secrets(connection, app_id)
    if found is None:
        raise NotFoundError(f"app {app_id} has no secret: apply the registry again and one is made")
    _write_private(path, found.client_secret, is_forced=force)
    print_line(f"the client secret of app {app_id} ({slug}) is in {path} (readable by you only)")


def _write_private(path: Path, text: str, *, is_forced: bool) -> None:
    try:
        if is_forced:
            _replace(path, text)
        else:
            _write_new(path, text)
    except FileExistsError as error:
        raise RejectedError(f"{path} is there already: name another file, or add --force") from error
    except OSError as error:
        raise RejectedError(f"{path}: cannot be written: {error.strerror}") from error


def _write_new(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise


def _replace(path: Path, text: str) -> None:
    """Put a new file in the place of a regular one: its mode may let others read."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise RejectedError(f"{path} is no regular file, and is not replaced")
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    _write_new(new, text)
    new.replace(path)
