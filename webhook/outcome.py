"""What came of one attempt, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final

RESPONSE_EXCERPT_CHARACTERS: Final = 1024  # as the original request log, docs/original.md, section 5
DETAIL_CHARACTERS: Final = 300


class OutcomeKind(StrEnum):
    """The four fates of an attempt; they become delivery.succeeded, failed, timed_out and blocked."""

    SUCCESS = "success"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    BLOCKED = "blocked"


class ErrorClass(StrEnum):
    """Why an attempt was not a success."""

    REDIRECT = "redirect"  # any 3xx: redirects are not followed
    CLIENT_ERROR = "client_error"  # 4xx except for the two below
    GONE = "gone"  # 410
    RATE_LIMITED = "rate_limited"  # 429
    SERVER_ERROR = "server_error"  # 5xx and codes that HTTP doesn't have
    UNAVAILABLE = "unavailable"  # 503
    DNS = "dns"  # the name has no address, or the resolver did not answer within the connect time
    CONNECT = "connect"  # refused, unreachable, reset on connect
    TLS = "tls"  # certificate, host name, handshake
    CONNECT_TIMEOUT = "connect_timeout"  # no connection within connect_s
    READ_TIMEOUT = "read_timeout"  # silence for read_s
    DEADLINE = "deadline"  # the whole request took total_s
    PROTOCOL = "protocol"  # a malformed or broken answer, or none before the connection ended: see webhook/fault.py
    BLOCKED = "blocked"  # the guard refused
    INTERNAL = "internal"  # our own fault
    DAMAGED = "damaged"  # the stored payload is not what was queued: it is never sent


_TIMED_OUT: Final = frozenset(
    (
        ErrorClass.DNS,
        ErrorClass.CONNECT,
        ErrorClass.TLS,
        ErrorClass.CONNECT_TIMEOUT,
        ErrorClass.READ_TIMEOUT,
        ErrorClass.DEADLINE,
    )
)

_OWN_CLASS: Final[dict[int, ErrorClass]] = {
    HTTPStatus.GONE: ErrorClass.GONE,
    HTTPStatus.TOO_MANY_REQUESTS: ErrorClass.RATE_LIMITED,
    HTTPStatus.SERVICE_UNAVAILABLE: ErrorClass.UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that is known about one attempt; nothing in it is secret.

    `status_code` is 0 where no status was read, or none that counts, `duration_ms` is wall-clock time from the
    call to the outcome, `detail` one line for a person, `request_headers` those that were sent with custom
    values hidden, `retry_after_s` what the endpoint asked for. `answered_after_ms` is how long the endpoint alone
    took to begin its answer, in the kernel's ticks of some milliseconds; None where there was none. `fault` is what
    was wrong with the answer, empty = nothing: a webhook.fault.Fault or, behind a status that is obeyed all the same,
    the class of the time-out or the TLS error that ended it.
    """

    kind: OutcomeKind
    error_class: ErrorClass | None
    status_code: int
    duration_ms: float
    detail: str
    request_id: str
    request_headers: tuple[tuple[str, str], ...] = ()
    response_body: str = ""
    error_id: str | None = None
    project_id: str | None = None
    retry_after_s: float | None = None
    answered_after_ms: float | None = None
    fault: str = ""


def classify_status(status_code: int) -> tuple[OutcomeKind, ErrorClass | None]:
    """Return what a final status code means; 1xx never is one and counts with the codes HTTP doesn't have."""
    family = status_code // 100
    if family == 2:
        return OutcomeKind.SUCCESS, None
    own = _OWN_CLASS.get(status_code)
    if own is not None:
        return OutcomeKind.FAILED, own
    families = {3: ErrorClass.REDIRECT, 4: ErrorClass.CLIENT_ERROR}
    return OutcomeKind.FAILED, families.get(family, ErrorClass.SERVER_ERROR)


def kind_of(error_class: ErrorClass) -> OutcomeKind:
    """Return the fate that an error class leads to: all time-outs and connection errors are `timed_out`."""
    if error_class in _TIMED_OUT:
        return OutcomeKind.TIMED_OUT
    return OutcomeKind.BLOCKED if error_class is ErrorClass.BLOCKED else OutcomeKind.FAILED
