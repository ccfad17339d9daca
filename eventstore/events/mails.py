"""Events of mails: pending, sent, failed, gathered into a digest."""

from typing import ClassVar

from eventstore.events.event import Event


class MailRequested(Event, frozen=True):
    """A mail is to be sent. It tells of the event at `about_position`, and keeps its Message-ID on every attempt."""

    type_name: ClassVar[str] = "mail.requested"
    mail_id: str
    message_id: str
    recipient: str
    kind: str
    about_position: int


class MailSent(Event, frozen=True):
    """The mail server, or the Maildir, has taken the mail."""

    type_name: ClassVar[str] = "mail.sent"
    mail_id: str
    attempt: int


class MailFailed(Event, frozen=True):
    """An attempt to hand a mail over failed; `retry_at` None = it is given up."""

    type_name: ClassVar[str] = "mail.failed"
    mail_id: str
    attempt: int
    error: str
    retry_at: str | None = None


class MailDigested(Event, frozen=True):
    """Several pending mails to one recipient go as one, the digest `mail_id`: its fate is theirs."""

    type_name: ClassVar[str] = "mail.digested"
    former_names: ClassVar[tuple[str, ...]] = ("mails.gathered",)
    mail_id: str
    message_id: str
    recipient: str
    gathered: tuple[str, ...]
