"""The option that names types of events; apart from the others, as only it needs the store."""

import click

from eventstore.events.catalogue import EVENT_CLASSES

__all__ = ["event_type_option"]

event_type_option = click.option(
    "--type",
    "type_names",
    multiple=True,
    type=click.Choice(sorted(EVENT_CLASSES)),
    metavar="TYPE",
    help="Only of this type, such as delivery.failed; may be repeated.",
)
