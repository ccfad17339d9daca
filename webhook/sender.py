"""Send one webhook and say what came of it."""

from __future__ import annotations

import random
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

import structlog

from eventstore.common.shortage import lack_of, raise_shortage
from webhook.connection_pool import KEPT_BY_ONE, KEPT_CONNECTIONS, ConnectionPool
from webhook.dialer import Dialer, resolve_by_system
from webhook.errors import RequestInvalidError
from webhook.exception_table import describe, error_class_of, fault_of
from webhook.headers import Headers, check_custom_headers, merge, platform_headers, redacted
from webhook.name_lookup import LOOKUP_THREADS
from webhook.outcome import (
    DETAIL_CHARACTERS,
    RESPONSE_EXCERPT_CHARACTERS,
    ErrorClass,
    Outcome,
    OutcomeKind,
    classify_status,
    kind_of,
)
from webhook.payload import split_event
from webhook.retry import parse_retry_after
from webhook.secret_mask import SecretMask, hidden_traceback
from webhook.timeouts import Timeouts
from webhook.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from webhook.address_guard import AddressGuard
    from webhook.answer import Answer
    from webhook.name_lookup import Resolver
    from webhook.proxy import Proxy
    from webhook.tls import ClientFiles

log = structlog.get_logger("hookfuse.delivery")

RESPONSE_BODY_BYTES: Final = 65_536
REFERENCE_CHARACTERS: Final = 100

_OBEYED_FROM: Final = 300  # below it is success, which an answer that is broken is not

_SEED_BYTES: Final = 32  # of an Ed25519 key: RFC 8032, section 5.1.5

# Visible ASCII without the dot, which separates the parts of what Standard Webhooks signs.
_DELIVERY_ID: Final = re.compile(r"[!-\-/-~]{1,200}")


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """One webhook to send. What may be secret or long stays out of its repr.

    `secrets` are the app's client secrets, several while they are rotated: the first one makes
    Sentry-Hook-Signature, each one a v1 signature. `signing_key` is the seed of its Ed25519 key;
    `other_secrets` are hidden in answers, as the others are, such as one that was rotated out.
    `custom_headers` come from `parse_custom_headers`; `delivery_id` is the same on each attempt. `app`: connections are
    kept for an app, and never used for another. `client_certificate`: the files of a certificate and of its key, by
    which we say who we are to TLS.
    Raises RequestInvalidError or EventNameError for a request that can't be signed or named.
    """

    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    event_name: str
    body: bytes = field(repr=False)
    delivery_id: str
    custom_headers: Headers = field(default=(), repr=False)
    timeouts: Timeouts = field(default_factory=Timeouts)
    signing_key: bytes | None = field(default=None, repr=False)
    other_secrets: tuple[str, ...] = field(default=(), repr=False)
    app: str = ""
    client_certificate: ClientFiles | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        split_event(self.event_name)
        if not self.secrets or not all(self.secrets):
            raise RequestInvalidError("a request needs a secret to be signed with")
        if self.signing_key is not None and len(self.signing_key) != _SEED_BYTES:
            raise RequestInvalidError(f"a signing key has {_SEED_BYTES} bytes")
        if not _DELIVERY_ID.fullmatch(self.delivery_id):
            raise RequestInvalidError("a delivery id is 1 to 200 visible ASCII characters without a dot")

    @property
    def secret_texts(self) -> tuple[str, ...]:
        """Return what no outcome may show: what the request is signed with, what it carries, and what else is named."""
        return (*self.secrets, *(value for _, value in self.custom_headers), *self.other_secrets)


class WebhookSender(Protocol):
    """What sends a webhook: `Sender`, or `FakeSender` in tests. Called from many threads at once.

    No outcome shows one of the request's `secret_texts`: what becomes of it is recorded as it is.
    """

    def send(self, request: WebhookRequest) -> Outcome:
        """Return what came of one attempt; raise ShortageError, and nothing else, when this machine could not make it.

        That is not an outcome: the endpoint may never have heard of it, and it is to be made again.
        """

    def close_idle(self) -> None:
        """Close what was kept and has been of no use for a while; called again and again."""

    def close(self) -> None:
        """Close what is kept between requests."""


def _new_request_id() -> str:
    # As uuid4() makes them, but without a system call: nobody has to be unable to guess it.
    return UUID(int=random.getrandbits(128), version=4).hex


class Sender:
    """Sends over one shared transport; thread-safe."""

    def __init__(
        self,
        guard: AddressGuard,
        *,
        response_body_bytes: int = RESPONSE_BODY_BYTES,
        ca_file: str | None = None,
        kept_connections: int = KEPT_CONNECTIONS,
        pool_connections: int = KEPT_BY_ONE,
        resolve: Resolver = resolve_by_system,
        lookup_threads: int = LOOKUP_THREADS,
        proxy: Proxy | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_request_id: Callable[[], str] = _new_request_id,
    ) -> None:
        self._guard = guard
        self._pool = ConnectionPool(
            kept_connections=kept_connections, kept_by_one=pool_connections, monotonic=monotonic
        )
        self._transport = Transport(
            Dialer(guard, resolve, lookup_threads, proxy),
            guard.check_url,
            self._pool,
            body_limit_bytes=response_body_bytes,
            ca_file=ca_file,
        )
        self._monotonic = monotonic
        self._now = now
        self._new_request_id = new_request_id

    def send(self, request: WebhookRequest) -> Outcome:
        """Return what came of one attempt; it is over at the request's total time.

        An exception that the endpoint has not caused is an outcome too, of class `internal`, unless this machine was
        short of something: then ShortageError is raised, and nothing else ever is.
        """
        mask = SecretMask(request.secret_texts)
        attempt = _Attempt(self._new_request_id(), self._monotonic, mask)
        try:
            return self._attempt(request, attempt)
        except Exception as error:  # noqa: BLE001 - the outcome of a delivery is a value
            raise_shortage(error, "nothing was sent")
            outcome = attempt.failure(error)
            if outcome.error_class is ErrorClass.INTERNAL:
                log.error(  # noqa: TRY400 - its text may hold what is secret
                    "attempt_crashed",
                    delivery_id=request.delivery_id,
                    traceback=hidden_traceback(error, mask),
                    done="recorded as a failed attempt of class internal, which is counted nowhere",
                )
            return outcome

    @property
    def kept_connections(self) -> int:
        """Return how many connections are kept at the moment."""
        return len(self._pool)

    def close_idle(self) -> None:
        """Close the kept connections that have been idle for too long."""
        self._transport.close_idle()

    def close(self) -> None:
        """Close the kept connections."""
        self._transport.close()

    def _attempt(self, request: WebhookRequest, attempt: _Attempt) -> Outcome:
        target = self._guard.check_url(request.url)
        now = self._now()
        resource, _ = split_event(request.event_name)
        platform = platform_headers(
            host_header=target.host_header,
            resource=resource,
            request_id=attempt.request_id,
            delivery_id=request.delivery_id,
            timestamp_s=int(now.timestamp()),
            secrets=request.secrets,
            body=request.body,
            signing_key=request.signing_key,
        )
        headers = merge(platform, check_custom_headers(request.custom_headers))
        attempt.request_headers = redacted(headers, [name for name, _ in headers[len(platform) :]])
        answer = self._transport.post(
            target, headers, request.body, request.timeouts, app=request.app, client=request.client_certificate
        )
        return attempt.outcome(answer, now)


class _Attempt:
    """One attempt on its way: its request id, its headers as they may be logged, and its clock."""

    def __init__(self, request_id: str, monotonic: Callable[[], float], mask: SecretMask) -> None:
        self.request_id = request_id
        self._mask = mask
        self.request_headers: Headers = ()
        self._monotonic = monotonic
        self._started_s = monotonic()

    def failure(self, error: Exception) -> Outcome:
        """Return the outcome of an attempt that an exception ended before there was a status."""
        error_class = error_class_of(error)
        return self._outcome(kind_of(error_class), error_class, detail=describe(error), fault=_fault_text(error))

    def outcome(self, answer: Answer, now: datetime) -> Outcome:
        """Return the outcome of an attempt that was answered; `now` is what a Retry-After date is counted from."""
        broken_by = answer.broken_by
        # Where we were short of something the status stands: it was read, and is the endpoint's word.
        if broken_by is None or lack_of(broken_by) is not None:
            return self._obeyed(answer, now, f"answered {answer.status_code}", "")
        detail = f"{describe(broken_by)} (in an answer {answer.status_code})"
        if answer.status_code < _OBEYED_FROM:
            return self._broken(answer, broken_by, detail)
        return self._obeyed(answer, now, detail, _fault_text(broken_by) or error_class_of(broken_by))

    def _obeyed(self, answer: Answer, now: datetime, detail: str, fault: str) -> Outcome:
        """Return what a status says: what is wrong behind it doesn't change that."""
        kind, error_class = classify_status(answer.status_code)
        retry_after = None if kind is OutcomeKind.SUCCESS else answer.headers.get("Retry-After")
        return self._outcome(
            kind,
            error_class,
            detail=detail,
            fault=fault,
            answer=answer,
            status_code=answer.status_code,
            retry_after_s=parse_retry_after(retry_after, now) if retry_after is not None else None,
        )

    def _broken(self, answer: Answer, broken_by: Exception, detail: str) -> Outcome:
        """Return the outcome of what began as a success, and is none."""
        error_class = error_class_of(broken_by)
        kind = kind_of(error_class)
        return self._outcome(
            kind,
            error_class,
            detail=detail,
            fault=_fault_text(broken_by),
            answer=answer,
            status_code=0
            if kind is OutcomeKind.TIMED_OUT
            else answer.status_code,  # as docs/original.md, section 3 has it
        )

    def _outcome(
        self,
        kind: OutcomeKind,
        error_class: ErrorClass | None,
        *,
        detail: str,
        fault: str,
        answer: Answer | None = None,
        status_code: int = 0,
        retry_after_s: float | None = None,
    ) -> Outcome:
        error_id, project_id = self._references(answer.headers) if answer is not None else (None, None)
        return Outcome(
            kind=kind,
            error_class=error_class,
            status_code=status_code,
            duration_ms=self._duration_ms(),
            detail=self._mask.hide(detail)[:DETAIL_CHARACTERS],
            request_id=self.request_id,
            request_headers=self.request_headers,
            response_body=self._mask.excerpt(answer.body, RESPONSE_EXCERPT_CHARACTERS) if answer is not None else "",
            error_id=error_id,
            project_id=project_id,
            retry_after_s=retry_after_s,
            answered_after_ms=answer.after_ms if answer is not None else None,
            fault=fault,
        )

    def _references(self, headers: Mapping[str, str]) -> tuple[str | None, str | None]:
        """Return the endpoint's own error id and project id, which are taken only as a pair."""
        error_id, project_id = (headers.get(name, "") for name in ("Sentry-Hook-Error", "Sentry-Hook-Project"))
        if all(0 < len(value) <= REFERENCE_CHARACTERS and value.isprintable() for value in (error_id, project_id)):
            return self._mask.hide(error_id), self._mask.hide(project_id)
        return None, None

    def _duration_ms(self) -> float:
        return (self._monotonic() - self._started_s) * 1000


def _fault_text(error: Exception) -> str:
    fault = fault_of(error)
    return "" if fault is None else fault.fault.value
