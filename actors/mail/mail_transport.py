"""Where finished mails are handed over: the port, its errors, and a postbox that only remembers.

MailError
├── MailDeferred   not now: the same mail to the same recipient may go through later
└── MailRefused    never: another attempt would be answered in the same way
"""

from collections import deque
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Protocol

from eventstore.common.mail_address import ascii_address
from eventstore.errors import MailAddressInvalidError


class MailError(Exception):
    """A mail was not handed over; the root of this module's errors. Its text never holds a password."""


class MailDeferred(MailError):  # noqa: N818 - named for the fate of the mail, as `delivery.missed` is
    """Try again later: server away, a 4xx answer, a dropped connection, disk or configuration trouble."""


class MailRefused(MailError):  # noqa: N818
    """Final for this recipient: a 5xx answer to it or to the mail, or an address that can't be one."""


class MailTransport(Protocol):
    """A way out for mails. Called by the mailer, one mail at a time, on the mailer's thread."""

    def deliver(self, message: EmailMessage, recipient: str) -> None:
        """Hand the message over to one recipient; when this returns, the other side is answerable for it.

        At least once: after MailDeferred the mail may have arrived all the same, so a repetition
        carries the same Message-ID. Raises MailDeferred or MailRefused, and nothing else.
        """


def checked_address(address: str) -> str:
    """Return the bare address `local@domain`, its domain in ASCII (IDNA); MailRefused if it is none."""
    try:
        return ascii_address(address)
    except MailAddressInvalidError as error:
        raise MailRefused(str(error)) from error


@dataclass(slots=True)
class MemoryTransport:
    """A postbox for tests: remembers what it took, in order, and fails as it was told to."""

    deliveries: list[tuple[EmailMessage, str]] = field(default_factory=list)
    _failures: deque[MailError] = field(default_factory=deque)

    def fail_next(self, *failures: MailError) -> None:
        """Raise these, one for each coming call of `deliver`, before mails are taken again."""
        self._failures.extend(failures)

    def deliver(self, message: EmailMessage, recipient: str) -> None:
        """Remember the mail, or raise the next scripted failure; an invalid address is MailRefused."""
        if self._failures:
            raise self._failures.popleft()
        self.deliveries.append((message, checked_address(recipient)))
