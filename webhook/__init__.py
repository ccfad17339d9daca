"""One request over the wire: payload, headers, signature, address guard, sender, outcome, retry schedule."""

from webhook.address_guard import AddressGuard
from webhook.dialer import resolve_by_system
from webhook.errors import (
    AddressBlocked,
    EventNameError,
    HeaderRefusedError,
    RequestInvalidError,
    UrlRefusedError,
    WebhookError,
)
from webhook.fake_sender import FakeSender
from webhook.headers import parse_custom_headers
from webhook.outcome import ErrorClass, Outcome, OutcomeKind, classify_status, kind_of
from webhook.payload import SYSTEM_ACTOR, build_body, split_event
from webhook.proxy import Proxy
from webhook.retry import RetrySchedule, is_final, parse_retry_after
from webhook.secret_mask import SecretMask, hidden_traceback
from webhook.sender import Sender, WebhookRequest, WebhookSender
from webhook.signature import sentry_signature, standard_signature
from webhook.target import Target
from webhook.timeouts import Timeouts
from webhook.tunnel_check import open_and_close_tunnel

__all__ = [
    "SYSTEM_ACTOR",
    "AddressBlocked",
    "AddressGuard",
    "ErrorClass",
    "EventNameError",
    "FakeSender",
    "HeaderRefusedError",
    "Outcome",
    "OutcomeKind",
    "Proxy",
    "RequestInvalidError",
    "RetrySchedule",
    "SecretMask",
    "Sender",
    "Target",
    "Timeouts",
    "UrlRefusedError",
    "WebhookError",
    "WebhookRequest",
    "WebhookSender",
    "build_body",
    "classify_status",
    "hidden_traceback",
    "is_final",
    "kind_of",
    "open_and_close_tunnel",
    "parse_custom_headers",
    "parse_retry_after",
    "resolve_by_system",
    "sentry_signature",
    "split_event",
    "standard_signature",
]
