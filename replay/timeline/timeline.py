"""The story of one installation: its events folded into entries, as many as there are things to tell. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from msgspec import structs

from eventstore.common.clock import day_of
from eventstore.events.catalogue import (
    AttemptEvent,
    AuditRecorded,
    BreakerClosed,
    BreakerOpened,
    DeliveryExhausted,
    DeliverySucceeded,
    Event,
    InstallationCreated,
    InstallationDisabled,
    InstallationEnabled,
    InstallationRemoved,
    InstallationWarned,
    InstallationWarningLifted,
    MailDigested,
    MailFailed,
    MailRequested,
    MailSent,
    ProbeFailed,
    ProbeSucceeded,
)
from eventstore.log.event_log import StoredEvent
from replay.timeline.entries import (
    Attempts,
    Creation,
    Disabling,
    Enabling,
    Entry,
    Gap,
    MailFate,
    Notable,
    Other,
    Removal,
    Warnings,
)
from replay.timeline.entry_list import EntryList
from replay.timeline.other_entries import Followers, OtherEntries
from replay.timeline.streaks import Streak, StreakFold, quiet_days_between

__all__ = ["Timeline"]

# What begins a chapter, and whether anything is sent in it.
_DECISIONS: Mapping[type[Event], tuple[type[Entry], bool]] = {
    InstallationCreated: (Creation, True),
    InstallationEnabled: (Enabling, True),
    InstallationDisabled: (Disabling, False),
    InstallationRemoved: (Removal, False),
}
_MAILS = (MailRequested, MailSent, MailFailed, MailDigested)
_ATTEMPTS = tuple(one for one in AttemptEvent.__subclasses__() if one not in (ProbeSucceeded, ProbeFailed))


class Timeline:
    """Follows what concerns one installation, in the order of the log; its memory grows with what there is to tell.

    `since`: attempts from before that moment are not followed, and nothing is said of when there were none.
    """

    def __init__(self, since: str = "") -> None:
        self._since = since
        self._entries = EntryList()
        self._mails = MailFates()
        self._streaks = StreakFold(since)
        self._chapter: Entry | None = None
        self._is_sending = False
        self._followers: Followers = {
            **dict.fromkeys(_DECISIONS, self._turn),
            **dict.fromkeys(_MAILS, self._mail),
            **dict.fromkeys(_ATTEMPTS, self._attempt),
            **OtherEntries(self._entries).followers,
            InstallationWarned: self._warn,
            InstallationWarningLifted: self._calm,
            DeliveryExhausted: self._exhausted,
            BreakerOpened: self._breaker,
            BreakerClosed: self._breaker,
            AuditRecorded: lambda _stored: None,  # says again who has decided what
        }

    def follow(self, stored: StoredEvent) -> None:
        """Take in one more event."""
        self._followers.get(type(stored.event), self._other)(stored)

    def follow_attempt(self, recorded_at: str, position: int, error_class: str | None) -> None:
        """Take in an attempt at a delivery of which no more is known; `error_class` None = it succeeded."""
        self._streaks.follow(recorded_at, position, error_class)

    def finish(self, at: str, position: int) -> tuple[Entry, ...]:
        """Return the entries in the order in which they begin; `at` and `position` are where the story ends."""
        self._end_chapter(at, position)
        for number, entry in enumerate(self._entries.entries):
            if isinstance(entry, Notable):
                self._entries.change(number, mails=self._mails.of(number))
        return tuple(sorted(self._entries.entries, key=lambda entry: entry.first_position))

    def _turn(self, stored: StoredEvent) -> None:
        entry_class, is_sending = _DECISIONS[type(stored.event)]
        self._end_chapter(stored.recorded_at, stored.position)
        self._chapter, self._is_sending = entry_class.of(stored), is_sending
        self._streaks = StreakFold(max(stored.recorded_at, self._since))
        self._mails.expect(stored.position, self._entries.add(self._chapter))

    def _attempt(self, stored: StoredEvent) -> None:
        event = stored.event
        assert isinstance(event, AttemptEvent)  # noqa: S101
        error_class = None if isinstance(event, DeliverySucceeded) else event.error_class
        self.follow_attempt(stored.recorded_at, stored.position, error_class)

    def _mail(self, stored: StoredEvent) -> None:
        self._mails.follow(stored.event)

    def _warn(self, stored: StoredEvent) -> None:
        number = self._entries.fold(Warnings.of(stored), apart_days=0)
        self._mails.expect(stored.position, number)

    def _calm(self, stored: StoredEvent) -> None:
        number = self._entries.last(Warnings)
        if number is not None:
            self._entries.change(number, lifted_at=stored.recorded_at)

    def _exhausted(self, stored: StoredEvent) -> None:
        if self._streaks.current is None:
            self._other(stored)
        else:
            self._streaks.current.exhausted += 1

    def _breaker(self, stored: StoredEvent) -> None:
        event, current = stored.event, self._streaks.current
        if current is None or (isinstance(event, BreakerOpened) and event.is_dry_run):
            self._other(stored)
        elif isinstance(event, BreakerOpened):
            current.opened += 1
        elif isinstance(event, BreakerClosed):
            current.closed += 1
            current.closed_by = tuple(dict.fromkeys((*current.closed_by, *([event.by] if event.by else []))))

    def _other(self, stored: StoredEvent) -> None:
        self._entries.fold(Other.of(stored, type_name=stored.type), stored.type)

    def _end_chapter(self, at: str, position: int) -> None:
        """Write down the attempts since the decision before, and where there were none for long."""
        chapter, streaks = self._chapter, self._streaks.finish()
        last = chapter and (max(chapter.first_at, self._since), chapter.first_position)
        for streak in streaks:
            if last and self._is_sending and self._streaks.is_gap(streak.gap_days):
                self._add_gap(last, (streak.first_at, streak.first_position), streak.gap_days)
            self._entries.add(_attempts(streak))
            last = streak.last_at, streak.last_position
        if last and self._is_sending and self._streaks.is_gap(days := _days_between(last[0], at)):
            self._add_gap(last, (at, position), days)
        self._entries.end_chapter()

    def _add_gap(self, first: tuple[str, int], last: tuple[str, int], quiet_days: int) -> None:
        (first_at, first_position), (last_at, last_position) = first, last
        gap = Gap(
            first_at=first_at,
            last_at=last_at,
            first_position=first_position,
            last_position=last_position,
            quiet_days=quiet_days,
        )
        self._entries.add(gap)


def _days_between(earlier_at: str, later_at: str) -> int:
    return quiet_days_between(day_of(earlier_at), day_of(later_at))


def _attempts(streak: Streak) -> Attempts:
    return Attempts(
        first_at=streak.first_at,
        last_at=streak.last_at,
        first_position=streak.first_position,
        last_position=streak.last_position,
        count=streak.succeeded + streak.failures,
        succeeded=streak.succeeded,
        failed=dict(streak.failed.most_common()),
        exhausted=streak.exhausted,
        breaker_opened=streak.opened,
        breaker_closed=streak.closed,
        breaker_closed_by=streak.closed_by,
        quiet_days=streak.quiet_days,
    )


@dataclass(slots=True)
class MailFates:
    """Follows mails from their request to their end; `decisions` maps the position of each decision to its fates."""

    _decisions: dict[int, int] = field(default_factory=dict)
    _fates: dict[int, dict[str, MailFate]] = field(default_factory=dict)
    # What is pending still: mail -> its decision and recipient; digest -> the mails that it stands for.
    _pending: dict[str, tuple[int, str]] = field(default_factory=dict)
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
                self._pending[event.mail_id] = entry, event.recipient
                self._change(entry, event.recipient, pending=1)
            case MailDigested():
                self._digests[event.mail_id] = tuple(one for one in event.gathered if one in self._pending)
            case MailSent():
                for entry, recipient in self._settled(event.mail_id):
                    self._change(entry, recipient, pending=-1, sent=1)
            case MailFailed(retry_at=None):
                for entry, recipient in self._settled(event.mail_id):
                    self._change(entry, recipient, pending=-1, failed=1, error=event.error)
            case MailFailed():
                for mail_id in self._digests.get(event.mail_id, (event.mail_id,)):
                    if mail_id in self._pending:
                        self._change(*self._pending[mail_id], error=event.error)
            case _:
                pass

    def _settled(self, mail_id: str) -> Iterator[tuple[int, str]]:
        for one in self._digests.pop(mail_id, (mail_id,)):
            if one in self._pending:
                yield self._pending.pop(one)

    def _change(
        self, entry: int, recipient: str, *, pending: int = 0, sent: int = 0, failed: int = 0, error: str = ""
    ) -> None:
        fates = self._fates.setdefault(entry, {})
        fate = fates.get(recipient) or MailFate(recipient)
        fates[recipient] = structs.replace(
            fate,
            pending=fate.pending + pending,
            sent=fate.sent + sent,
            failed=fate.failed + failed,
            last_error=error or fate.last_error,
        )
