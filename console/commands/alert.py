"""`hookfuse alert`: an incident's alert, as the platform's code queues it."""

from dataclasses import dataclass

import click

from console.input.documents import read_json_object
from console.output.tables import print_json, print_line
from console.shell.filters import find_named_app, find_named_organization
from console.shell.options import NUMBER, json_option
from console.shell.session import Session
from eventstore.deliveries.producer import INCIDENT_STATUSES, send_incident_alert_notification
from eventstore.errors import NotFoundError
from eventstore.projections.registry import find_app, find_installation_of_app

__all__ = ["alert"]

_NUMBERS = {label: number for number, label in INCIDENT_STATUSES.items()}


class _Status(click.ParamType[int]):
    """An incident's status: its label or its number."""

    name = "status"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).lower()
        if text in _NUMBERS:
            return _NUMBERS[text]
        if text.isdecimal() and int(text) in INCIDENT_STATUSES:
            return int(text)
        known = ", ".join(f"{label} ({number})" for number, label in INCIDENT_STATUSES.items())
        raise click.BadParameter(f"{text[:60]!r} is not an incident status; there are: {known}", ctx, param)


@click.command()
@click.option("--app", metavar="ID|SLUG", required=True, help="The app to alert.")
@click.option("--organization", metavar="ID|SLUG", required=True, help="The organization of the incident.")
@click.option("--incident", "incident_id", type=NUMBER, required=True, help="The incident.")
@click.option("--action", "action_id", type=NUMBER, required=True, help="The alert rule's action.")
@click.option(
    "--status", type=_Status(), required=True, metavar="STATUS", help="open, resolved, warning, critical, or a number."
)
@click.option("--attachment", required=True, metavar="FILE|-", help="The alert as a JSON object; - = standard input.")
@click.option("--metric-value", help="The metric's value; accepted for compatibility, and not sent.")
@click.option(
    "--notification-uuid", help="An idempotency key: the same one queues only once for its action and status."
)
@json_option
@click.pass_obj
def alert(
    session: Session,
    *,
    app: str,
    organization: str,
    incident_id: int,
    action_id: int,
    status: int,
    attachment: str,
    metric_value: str | None,
    notification_uuid: str | None,
    is_json: bool,
) -> None:
    """Queue an incident's alert for an app; it is on disk when this returns.

    \b
    Example:
      hookfuse alert --app 5 --organization 17 --incident 3 --action 9 --status critical --attachment alert.json
    """  # noqa: D301 - \b is click's
    with session.reading() as connection:
        app_id = find_named_app(connection, app).app_id
        organization_id = find_named_organization(connection, organization).organization_id
    is_queued = send_incident_alert_notification(
        sentry_app_id=app_id,
        organization_id=organization_id,
        incident_id=incident_id,
        action_id=action_id,
        new_status=status,
        incident_attachment_json=read_json_object(attachment, session.configuration().limits.attachment_bytes),
        metric_value=metric_value,
        notification_uuid=notification_uuid,
    )
    event_name = f"metric_alert.{INCIDENT_STATUSES[status]}"
    told = _installed(session, app_id, organization_id, is_queued=is_queued)
    if is_json:
        print_json({"event": event_name, "app_id": app_id, "installation_id": told.installation_id})
    else:
        print_line(f"queued {event_name} for app {app_id} ({told.slug}), installation {told.installation_id}")


@dataclass(frozen=True, slots=True)
class _Told:
    slug: str
    installation_id: str


def _installed(session: Session, app_id: int, organization_id: int, *, is_queued: bool) -> _Told:
    """Return who is told. Raises NotFoundError that says what is unknown when nothing was queued."""
    with session.reading() as connection:
        app = find_app(connection, app_id)
        installation = find_installation_of_app(connection, app_id, organization_id)
    if not is_queued or installation is None:
        raise NotFoundError(
            f"app {app_id} ({app.slug}) is not installed in organization {organization_id}: see `hookfuse apply`"
        )
    return _Told(app.slug, installation.installation_id)
