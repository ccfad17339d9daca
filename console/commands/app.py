"""`hookfuse app`: looking after one app."""

import re
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import click

from console.input.documents import read_secret_line
from console.input.private_file import new_private_file
from console.output.tables import print_json, print_line
from console.output.times import short_time
from console.shell.filters import find_named_app
from console.shell.options import by_option, json_option, person
from console.shell.session import Session
from eventstore.errors import NotFoundError
from eventstore.projections.app_secrets import no_secret_text, read_secrets
from eventstore.registry.rotation import ensure_signing_key, remove_signing_key, rotate_secret

__all__ = ["app"]

_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)([smhdw])", re.ASCII)
_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@click.group()
def app() -> None:
    """Manage one app's secret and signing key.

    \b
    Example:
      hookfuse app secret 5 --to pager.secret
      hookfuse app rotate-secret 5 --overlap 24h
    """  # noqa: D301 - \b is click's


@app.command("secret")
@click.argument("app_name", metavar="APP")
@click.option("--to", "path", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The file to write.")
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@click.pass_obj
def secret(session: Session, app_name: str, path: Path, force: bool) -> None:
    """Write the client secret of APP (its number or slug) to a new file that only you may read.

    The receiver checks signatures with it. It is never printed.

    \b
    Example:
      hookfuse app secret 5 --to pager.secret
    """  # noqa: D301 - \b is click's
    if str(path) == "-":
        raise click.BadParameter("a secret is never printed: name a file", param_hint="--to")
    with session.reading() as connection:
        found_app = find_named_app(connection, app_name)
        app_id, slug = found_app.app_id, found_app.slug
        found = read_secrets(connection, app_id)
    if found is None:
        raise NotFoundError(no_secret_text(app_id))
    with new_private_file(session.home, path, is_forced=force) as file:
        file.write(found.client_secret.encode())
    print_line(f"the client secret of app {app_id} ({slug}) is in {path} (readable by you only)")


def _duration(_context: click.Context, _parameter: click.Parameter, text: str) -> timedelta:
    found = _DURATION.fullmatch(text.strip())
    if found is None and text.strip() != "0":
        raise click.BadParameter(f"{text[:60]!r} is not a duration such as 0, 90s, 30m, 24h or 7d")
    return timedelta(seconds=float(found.group(1)) * _UNIT_S[found.group(2)] if found else 0)


@app.command("rotate-secret")
@click.argument("app_name", metavar="APP")
@click.option(
    "--overlap",
    default="24h",
    show_default=True,
    metavar="DURATION",
    callback=_duration,
    help="How long the old secret keeps signing too, such as 90s, 30m, 24h or 7d; 0 = it ends at once.",
)
@click.option(
    "--secret-from",
    "path",
    metavar="FILE|-",
    help="Take the new secret from a file, - = standard input, instead of making one.",
)
@by_option
@json_option
@click.pass_obj
def rotate(session: Session, app_name: str, *, overlap: timedelta, path: str | None, by: str, is_json: bool) -> None:
    """Create a new client secret for APP (its number or slug); the old one signs too until the overlap ends.

    During the overlap webhook-signature holds a signature with each of the two, and Sentry-Hook-Signature, which
    has room for one, is made with the old one. After a leak, end the old one at once with --overlap 0. The secret
    is never printed.

    \b
    Example:
      hookfuse app rotate-secret 5 --overlap 24h
      hookfuse app rotate-secret 5 --overlap 7d --secret-from new.secret
    """  # noqa: D301 - \b is click's
    session.require_home()
    new_secret = read_secret_line(path) if path is not None else None
    with session.writing() as store, store.transaction() as transaction:
        found = find_named_app(transaction.connection, app_name)
        app_id, slug = found.app_id, found.slug
        done = rotate_secret(transaction, app_id, overlap=overlap, new_secret=new_secret, by=person(by))
    if is_json:
        print_json({"app_id": app_id, **asdict(done)})
        return
    if done.is_first:
        print_line(f"app {app_id} ({slug}) had no secret here, and has one now, version {done.secret_version}")
        print_line(f"to fetch it: hookfuse app secret {app_id} --to FILE")
        return
    print_line(f"rotated the client secret of app {app_id} ({slug}), now version {done.secret_version}")
    if done.overlap_until is None:
        print_line("the old one no longer signs anything")
    else:
        print_line(f"the old and the new one both sign until {short_time(done.overlap_until)}")
        print_line("until then Sentry-Hook-Signature, which has room for one, is made with the old one")
    print_line(f"to fetch the new one: hookfuse app secret {app_id} --to FILE")


@app.command("signing-key")
@click.argument("app_name", metavar="APP")
@click.option("--rotate", "is_rotated", is_flag=True, help="Replace the key, at once.")
@click.option("--remove", "is_removed", is_flag=True, help="Remove the key: nothing is signed with it any longer.")
@by_option
@json_option
@click.pass_obj
def signing_key(session: Session, app_name: str, *, is_rotated: bool, is_removed: bool, by: str, is_json: bool) -> None:
    """Print the public key of the signing key of APP (its number or slug), which is created if there is none.

    With one, webhook-signature has an Ed25519 signature too (v1a of Standard Webhooks): the receiver checks it with
    the public key, and needs no secret. The private key never leaves the home.

    \b
    Example:
      hookfuse app signing-key 5
      hookfuse app signing-key 5 --rotate
    """  # noqa: D301 - \b is click's
    if is_rotated and is_removed:
        raise click.UsageError("--rotate and --remove are mutually exclusive")
    with session.writing() as store, store.transaction() as transaction:
        found = find_named_app(transaction.connection, app_name)
        app_id, slug = found.app_id, found.slug
        if is_removed:
            public_key, is_changed = None, remove_signing_key(transaction, app_id, by=person(by))
        else:
            key = ensure_signing_key(transaction, app_id, by=person(by), is_rotated=is_rotated)
            public_key, is_changed = key.public_key, key.is_new
    if is_json:
        print_json({"app_id": app_id, "public_key": public_key, "is_changed": is_changed})
    elif public_key is None:
        print_line(f"app {app_id} ({slug}) {'no longer signs with a key' if is_changed else 'has no signing key'}")
    else:
        print_line(public_key)
        if is_changed:
            print_line(f"created just now: deliveries of app {app_id} ({slug}) are signed with it (v1a)")
