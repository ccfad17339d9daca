"""Mails handed to an SMTP server, each over a connection of its own."""

import re
import smtplib
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path
from typing import Any, Final, Literal

from actors.mail.mail_transport import MailDeferred, MailError, MailRefused, checked_address

__all__ = []

_PERMANENT_CODES: Final = range(500, 600)
# RFC 4954, section 6, and RFC 3207, section 4: "authentication required", "issue STARTTLS first". That is
# our configuration, not the recipient, so the mail waits until a person has repaired it.
_CONFIGURATION_CODE: Final = 530
_ANSWER_CHARACTERS: Final = 200
# Of the nine from the greeting to the mail; a healthy relay takes milliseconds for each.
_STEPS_AT_THEIR_LONGEST: Final = 5

# RFC 5321 section 4.5.3.1.5 has 512 bytes a line. A server that greets without an end would fill the memory.
REPLIES_BYTES: Final = 65_536
_PIECE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class SmtpTransport:
    """A relay. With `starttls` and `tls` its certificate is verified, against `ca_file` (PEM) if given.

    A password over security `none` travels in the clear: that is for a relay on the same host.
    `timeout_s` bounds each step, and five times as much the whole conversation. `helo` is what this machine calls
    itself, empty = as its own name service knows it, which may have to be waited for.
    """

    host: str
    port: int
    security: Literal["none", "starttls", "tls"]
    username: str = ""
    password: str = field(default="", repr=False)
    timeout_s: float = 10.0
    ca_file: Path | str | None = None
    helo: str = ""

    def deliver(self, message: EmailMessage, recipient: str) -> None:
        """Return once the server has accepted the mail; see `MailTransport.deliver` for the errors.

        Refused is what got a 5xx to RCPT or DATA. All other trouble (greeting, TLS, login, sender) is ours
        or the server's, and deferred.
        """
        address = checked_address(recipient)
        sender = _sender(message)
        octets = message.as_bytes(policy=policy.SMTP)
        self._talk(lambda connection: connection.sendmail(sender, [address], octets))

    def check(self) -> None:
        """Return once the server has taken our name and let us in, as configured; raise MailDeferred else.

        Without STARTTLS and a login nobody has greeted it by then, and a server that does not take the name takes no
        mail.
        """
        self._talk(_greet)

    def _talk(self, say: Callable[[smtplib.SMTP], object]) -> None:
        try:
            with closing(self._connect()) as connection:
                self._enter(connection)
                say(connection)
                _quit(connection)
                return
        except (OSError, ValueError) as error:
            failure = _mail_error(error, self)
        # Raised out here, with no error behind it: a UnicodeEncodeError holds the whole password.
        raise failure

    def _connect(self) -> smtplib.SMTP:
        if self.security == "tls":
            return _TlsConversation(
                self.host, self.port, self.helo or None, timeout=self.timeout_s, context=self._tls_context()
            )
        return _Conversation(self.host, self.port, self.helo or None, timeout=self.timeout_s)

    def _enter(self, connection: smtplib.SMTP) -> None:
        # STARTTLS before the login, or the password would go out in the clear. smtplib raises when it is not
        # offered: the mail never falls back to plain text.
        if self.security == "starttls":
            connection.starttls(context=self._tls_context())
        if self.username:
            connection.login(self.username, self.password)

    def _tls_context(self) -> ssl.SSLContext:
        # Made again for each mail: a CA file that is missing or renewed is found without a restart.
        return ssl.create_default_context(cafile=self.ca_file)


class _Conversation(smtplib.SMTP):
    """A connection to a mail server that is over after five times the time of a step."""

    def __init__(self, host: str, port: int, helo: str | None, *, timeout: float, **options: Any) -> None:
        self._step_s = timeout
        self._ends_at_s = time.monotonic() + _STEPS_AT_THEIR_LONGEST * timeout
        self._replies: Replies | None = None
        super().__init__(host, port, helo, timeout=timeout, **options)

    def getreply(self) -> tuple[int, bytes]:
        """Return the server's answer; an OSError is its end, as smtplib has it."""
        if self.file is None:  # at the beginning, and once more behind STARTTLS, where the socket is another one
            assert self.sock is not None  # noqa: S101 - smtplib has connected it
            left = self._replies.bytes_left if self._replies else REPLIES_BYTES
            self.file = self._replies = Replies(self.sock, self._step_s, self._ends_at_s, left)
        return super().getreply()


class _TlsConversation(_Conversation, smtplib.SMTP_SSL):
    """The same, over TLS from its start."""


def _greet(connection: smtplib.SMTP) -> None:
    connection.ehlo_or_helo_if_needed()
    connection.noop()


def _sender(message: EmailMessage) -> str:
    """Return the envelope's sender, from the header From; MailDeferred if that is not an address."""
    try:
        return checked_address(parseaddr(str(message["From"]))[1])
    except MailRefused as error:
        raise MailDeferred(f"the sender is {error}") from None


def _quit(connection: smtplib.SMTP) -> None:
    # The server has taken the mail: an error from here on would only have it sent a second time.
    with suppress(OSError):  # smtplib's own errors are OSErrors
        connection.quit()


def _mail_error(error: OSError | ValueError, postbox: SmtpTransport) -> MailError:
    """Return in which way the mail failed. A ValueError's text is left out: it quotes what was sent."""
    where = f"{postbox.host}:{postbox.port}"
    match error:
        case smtplib.SMTPRecipientsRefused(recipients=recipients):
            code, answer = next(iter(recipients.values()))
            return _answered(f"{where} to the recipient", code, answer)
        case smtplib.SMTPDataError(smtp_code=code, smtp_error=answer):
            return _answered(f"{where} to the mail", code, answer)
        case smtplib.SMTPAuthenticationError(smtp_code=code):
            return MailDeferred(f"{where} refused the login with {code}")
        case (
            smtplib.SMTPHeloError(smtp_code=code, smtp_error=answer)
            | smtplib.SMTPSenderRefused(smtp_code=code, smtp_error=answer)
        ):
            is_name = isinstance(error, smtplib.SMTPHeloError)
            refused = "our name (EHLO; [smtp] helo gives another)" if is_name else "the sender"
            return MailDeferred(f"{where} to {refused}: {code} {_one_line(answer)}")
        case OSError():  # before ValueError: a certificate's error is both
            return MailDeferred(f"{where}: {type(error).__name__}: {_one_line(str(error))}")
        case _:
            return MailDeferred(f"{where}: {type(error).__name__} (is the user name or password not ASCII?)")


def _answered(what: str, code: int, answer: bytes | str) -> MailError:
    text = f"{what}: {code} {_one_line(answer)}"
    if code in _PERMANENT_CODES and code != _CONFIGURATION_CODE:
        return MailRefused(text)
    return MailDeferred(text)


def _one_line(answer: bytes | str) -> str:
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text)[:_ANSWER_CHARACTERS]


class Replies:
    """What smtplib reads a server's lines from, in place of a file, which would wait for each piece of a line again."""

    def __init__(self, connection: socket.socket, step_s: float, ends_at_s: float, bytes_left: int) -> None:
        self._connection = connection
        self._step_s = step_s
        self._ends_at_s = ends_at_s
        self.bytes_left = bytes_left
        self._pending = b""

    def readline(self, limit: int) -> bytes:
        """Return the next line, or as much of it as the limit; nothing at the end of the connection."""
        while b"\n" not in self._pending and len(self._pending) < limit:
            piece = self._receive()
            if not piece:
                break
            self._pending += piece
        end = self._pending.find(b"\n") + 1 or len(self._pending)
        line, self._pending = self._pending[: min(end, limit)], self._pending[min(end, limit) :]
        return line

    def close(self) -> None:
        """Do nothing: the socket is the conversation's."""

    def _receive(self) -> bytes:
        left_s = self._ends_at_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the conversation timed out, though each of its steps did not")
        self._connection.settimeout(min(left_s, self._step_s))
        piece = self._connection.recv(_PIECE_BYTES)
        self._connection.settimeout(self._step_s)
        self.bytes_left -= len(piece)
        if self.bytes_left < 0:
            raise OSError(f"the server says more than {REPLIES_BYTES} bytes")
        return piece
