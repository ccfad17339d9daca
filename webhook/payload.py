"""The JSON body of a webhook: action, installation, data, actor, in this order."""

from __future__ import annotations

from typing import Final

import msgspec

from eventstore.common.event_name import parse_event_name
from eventstore.errors import EventNameInvalidError
from webhook.errors import EventNameError

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
    try:
        return parse_event_name(event_name)
    except EventNameInvalidError as error:
        raise EventNameError(str(error)) from None
