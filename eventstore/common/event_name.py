"""The name of an event, resource.action: the one parser that producers, commands and the sender share. Pure."""

import re
from typing import Final

from eventstore.errors import EventNameInvalidError

__all__ = ["EVENT_NAME_CHARACTERS", "parse_event_name"]

# The longest event name that is known has 28 characters (docs/original.md, section 5).
EVENT_NAME_CHARACTERS: Final = 100

_EVENT_NAME: Final = re.compile(r"([a-z][a-z0-9_]*)\.([a-z][a-z0-9_]*)", re.ASCII)


def parse_event_name(text: str) -> tuple[str, str]:
    """Return (resource, action) of `metric_alert.critical`; raise EventNameInvalidError for any other form."""
    match = _EVENT_NAME.fullmatch(text) if len(text) <= EVENT_NAME_CHARACTERS else None
    if match is None:
        raise EventNameInvalidError(f"{text[:60]!r} is not an event name such as issue.created")
    return match[1], match[2]
