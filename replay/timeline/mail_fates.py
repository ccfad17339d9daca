"""What became of the mails about decisions. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from msgspec import structs

from eventstore.events.catalogue import Event, MailFailed, MailRequested, MailSent, MailsGathered
from replay.timeline.entries import MailFate

__all__ = ["MailFates"]


@dataclass(slots=True)
class MailFates:
    """Follows mails from their request to their end; `decisions` maps the position of each decision to its fates."""

    _decisions: dict[int, int] = field(default_factory=dict)
    _fates: dict[int, dict[str, MailFate]] = field(default_factory=dict)
    # What is owed still: mail -> its decision and recipient; digest -> the mails that it stands for.
    _owed: dict[str, tuple[int, str]] = field(default_factory=dict)
    _digests: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def expect(self, position: int, entry: int) -> None:
        """Learn that the mails about the event at a position belong to an entry."""
        self._decisions[position] = entry

    def of(self, entry: int) -> tuple[MailFate, ...]:
        """Return what became of the mails of an entry."""
        return tuple(self._fates.get(entry, {}).values())

    def follow(self, event: Event) -> None:
        """Take in one more event; a mail about nothing that is known is passed over."""
        match event:
            case MailRequested() if event.about_position in self._decisions:
                entry = self._decisions[event.about_position]
                self._owed[event.mail_id] = entry, event.recipient
                self._change(entry, event.recipient, owed=1)
            case MailsGathered():
                self._digests[event.mail_id] = tuple(one for one in event.gathered if one in self._owed)
            case MailSent():
                for entry, recipient in self._settled(event.mail_id):
                    self._change(entry, recipient, owed=-1, sent=1)
            case MailFailed(retry_at=None):
                for entry, recipient in self._settled(event.mail_id):
                    self._change(entry, recipient, owed=-1, failed=1, error=event.error)
            case MailFailed():
                for mail_id in self._digests.get(event.mail_id, (event.mail_id,)):
                    if mail_id in self._owed:
                        self._change(*self._owed[mail_id], error=event.error)
            case _:
                pass

    def _settled(self, mail_id: str) -> Iterator[tuple[int, str]]:
        for one in self._digests.pop(mail_id, (mail_id,)):
            if one in self._owed:
                yield self._owed.pop(one)

    def _change(
        self, entry: int, recipient: str, *, owed: int = 0, sent: int = 0, failed: int = 0, error: str = ""
    ) -> None:
        fates = self._fates.setdefault(entry, {})
        fate = fates.get(recipient) or MailFate(recipient)
        fates[recipient] = structs.replace(
            fate,
            owed=fate.owed + owed,
            sent=fate.sent + sent,
            failed=fate.failed + failed,
            last_error=error or fate.last_error,
        )
