"""Everything this room raises, under one root.

WebhookError
├── EventNameError        an event name is not `resource.action`
├── HeaderRefusedError    a custom header may not go out
├── RequestInvalidError   a WebhookRequest could not be sent as it is described
├── ConnectFailed         no connection; the cause is what the system said
├── ConnectTimedOut       no connection within the connect time
├── AnswerFault           what came is not a whole answer (webhook/fault.py)
│   └── BodyFault         its head is, and its body is not
└── AddressBlocked        the guard refuses where the request would go
    └── UrlRefusedError   it is refused by its URL alone, before any name is looked up

The outcome of a delivery is a value (`Outcome`), never one of these.
"""

from __future__ import annotations


class WebhookError(Exception):
    """Root of this room's errors; its text never holds a secret."""


class EventNameError(WebhookError, ValueError):
    """An event name is not of the form `metric_alert.critical`."""


class HeaderRefusedError(WebhookError, ValueError):
    """A custom header is malformed or not the app's to set; the text names it but never shows its value."""


class RequestInvalidError(WebhookError, ValueError):
    """A request lacks something without which it must not be sent, such as a secret."""


class ConnectFailed(WebhookError):  # noqa: N818 - what happened, and no error of ours
    """There is no connection: refused, unreachable, or reset while connecting."""


class ConnectTimedOut(WebhookError):  # noqa: N818 - as above
    """There was no connection within the connect time."""


class AddressBlocked(WebhookError):  # noqa: N818 - what happened is a refusal, not an error of the guard
    """The guard refuses the target; `reason` says which address, which rule, and what would allow it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UrlRefusedError(AddressBlocked, ValueError):
    """The URL itself is refused: scheme, host, port, user info, characters or length."""
