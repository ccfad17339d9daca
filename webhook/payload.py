"""The JSON body of a webhook: action, installation, data, actor, in this order."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from webhook.errors import EventNameError

# The longest event name that is known has 28 characters (docs/original.md, section 5).
EVENT_NAME_CHARACTERS: Final = 100

_EVENT_NAME: Final = re.compile(r"([a-z][a-z0-9_]*)\.([a-z][a-z0-9_]*)", re.ASCII)
_encode: Final = msgspec.json.Encoder().encode

#: The actor when no user stands behind an alert (docs/original.md, section 2).
SYSTEM_ACTOR: Final = b'{"type":"application","id":"sentry","name":"Sentry"}'


def build_body(*, action: str, installation_id: str, data_json: bytes, actor_json: bytes) -> bytes:
    """Return the compact body; `data_json` and `actor_json` are compact JSON and stand in it as they are."""
    return b'{"action":%b,"installation":{"uuid":%b},"data":%b,"actor":%b}' % (
        _encode(action),
        _encode(installation_id),
        data_json,
        actor_json,
    )


def split_event(event_name: str) -> tuple[str, str]:
    """Return (resource, action) of `metric_alert.critical`; raise EventNameError for any other form."""
    match = _EVENT_NAME.fullmatch(event_name) if len(event_name) <= EVENT_NAME_CHARACTERS else None
    if match is None:
        raise EventNameError(f"not an event name of the form resource.action: {event_name[:120]!r}")
    return match[1], match[2]
