"""What the daemon says when it starts: where it keeps things, and how to send a first alert."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from eventstore.home.folder import Home
from eventstore.projections.registry import find_app, read_installations
from eventstore.sqlite.database import open_database

if TYPE_CHECKING:
    from eventstore.settings.configuration import Configuration

__all__ = ["greeting"]

_EXAMPLES = Path(__file__).parents[1] / "examples"
_EXAMPLE_URL = "https://pager.example/webhook"
# Names that end so lead nowhere (RFC 2606).
_NOBODY_THERE = (
    "Its webhook URL is an example, where nothing arrives: it will fail, and `hookfuse requests` shows how.",
    "README.md has a receiver that answers; or put a URL of your own into the registry file, and apply it again.",
)


def greeting(home: Home, configuration: "Configuration", processes: int) -> str:
    """Return the lines that a person sees at the start."""
    shared = f", in {processes} processes" if processes > 1 else ""
    settings = home.configuration if home.configuration.exists() else f"{home.configuration} (none: the defaults)"
    smtp = configuration.smtp
    mail = f"{smtp.host}:{smtp.port}" if smtp.host else f"{home.outbox}/ (a Maildir, as no mail server is configured)"
    listen = configuration.metrics.listen
    command, note = _first_alert(home)
    return "\n".join(
        (
            f"hookfuse runs on {home.path}/{shared} (Ctrl-C stops it)",
            f"  events    {home.database}",
            f"  settings  {settings}",
            f"  log       {home.log}",
            f"  mails     {mail}",
            *((f"  metrics   {_metrics_address(listen)}",) if listen else ()),
            "To send a first alert, type in another terminal:",
            f"  {command}",
            *note,
        )
    )


def _first_alert(home: Home) -> tuple[str, tuple[str, ...]]:
    """Return the command, and what there is to know where nobody is at the other end."""
    command = f"{_command_name()} --home {home.path}"
    alert = f"--incident 3 --action 9 --status critical --attachment {_shown(_EXAMPLES / 'alert.json')}"
    connection = open_database(home.database, is_writer=False)
    try:
        installations = [one for one in read_installations(connection) if one.is_active]
        url = find_app(connection, installations[0].app_id).webhook_url if installations else _EXAMPLE_URL
    finally:
        connection.close()
    note = _NOBODY_THERE if (urlsplit(url).hostname or "").endswith(".example") else ()
    if installations:
        first = installations[0]
        return f"{command} alert --app {first.app_id} --organization {first.organization_id} {alert}", note
    apply = f"{command} apply {_shown(_EXAMPLES / 'registry.toml')}"
    return f"{apply} && {command} alert --app 5 --organization 17 {alert}", note


def _command_name() -> str:
    """Return the command as it can be typed here: by its path where the shell would not find it."""
    path = Path(sys.argv[0])
    return _shown(path.absolute()) if path.name == "hookfuse" else "hookfuse"


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _metrics_address(listen: str) -> str:
    host, _, port = listen.rpartition(":")
    if int(port):
        return f"http://{listen}/metrics"
    return f"on a free port of {host}: the log's line observer_listening names it"
