"""The entries of a timeline in words: what each is, and what is told of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import singledispatch

from console.output.event_text import failure_text
from console.output.times import age_text
from eventstore.common.clock import parse_time
from eventstore.common.plural import grouped, noun
from replay.as_of.settings_diff import FieldChange
from replay.timeline.entries import (
    AppChange,
    Attempts,
    Creation,
    Disabling,
    Enabling,
    Entry,
    Freeze,
    Gap,
    Import,
    MailFate,
    Missed,
    OperatorAction,
    OrganizationChange,
    Other,
    Probes,
    Recovery,
    Removal,
    Warnings,
)

__all__ = ["Line", "entry_lines", "lasted_text", "when_text"]

# Less than so much of something is an exception, by which nothing is called.
_EXCEPTION = 0.05


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a timeline: of an entry that needs several rows only the first says when and what."""

    when: str
    lasted: str
    what: str
    told: str


def entry_lines(entry: Entry, *, is_exact: bool) -> Iterator[Line]:
    """Put an entry into words; `is_exact`: moments have seconds."""
    what, told = _words(entry)
    for number, text in enumerate(told or [""]):
        if number:
            yield Line("", "", "", text)
        else:
            yield Line(when_text(entry.first_at, is_exact=is_exact), lasted_text(entry), what, text)


def when_text(at: str, *, is_exact: bool) -> str:
    """Write a moment as people do, in UTC."""
    return at[: 19 if is_exact else 16].replace("T", " ")


def lasted_text(entry: Entry) -> str:
    """Return how long it took, in its two largest units; nothing for a moment."""
    lasted = parse_time(entry.last_at) - parse_time(entry.first_at)
    return age_text(lasted) if lasted >= timedelta(seconds=1) else ""


@singledispatch
def _words(entry: Entry) -> tuple[str, list[str]]:
    """Return the word for an entry, and what is told of it, a sentence a row."""
    raise TypeError(f"there are no words for {type(entry).__name__}")


@_words.register
def _attempts(entry: Attempts) -> tuple[str, list[str]]:
    failures = entry.count - entry.succeeded
    told = f"{entry.succeeded:,} delivered, " if entry.succeeded else ""
    if failures:
        in_a_row = " in a row" if failures > 1 and not entry.succeeded else ""
        told += f"{grouped(failures, 'attempt')} failed{in_a_row}: {_classes(entry.failed)}"
    else:
        told = f"{entry.succeeded:,}, and no attempt failed"
    beside = [grouped(entry.exhausted, "delivery", "deliveries") + " given up"] if entry.exhausted else []
    beside += [text] if (text := _breaker(entry)) else []
    beside += [f"none on {grouped(entry.quiet_days, 'day')} of it"] if entry.quiet_days else []
    return _word_for(entry.succeeded, failures), [told] + (["; ".join(beside)] if beside else [])


@_words.register
def _gap(entry: Gap) -> tuple[str, list[str]]:
    return "quiet", [f"no attempt on {grouped(entry.quiet_days, 'day')}"]


@_words.register
def _missed(entry: Missed) -> tuple[str, list[str]]:
    return "missed", [f"{grouped(entry.count, 'delivery', 'deliveries')} kept, and not sent"]


@_words.register
def _warned(entry: Warnings) -> tuple[str, list[str]]:
    again = f"{grouped(entry.count, 'time')}, the last " if entry.count > 1 else ""
    lifted = [f"the warning was lifted at {when_text(entry.lifted_at, is_exact=False)}"] if entry.lifted_at else []
    return "warned", [f"{again}at {entry.level}%: {entry.evidence.explanation}", *lifted, *_mailed(entry.mails)]


@_words.register
def _disabled(entry: Disabling) -> tuple[str, list[str]]:
    evidence = entry.evidence
    if entry.cause == "person":
        decided = f"by {entry.by}: {entry.reason}"
    elif entry.cause == "policy" and evidence is not None:
        decided = f"by rule {evidence.rule} of policy {evidence.policy}, version {evidence.policy_version}:"
        decided += f" {evidence.explanation}"
    else:
        decided = f"as its receiver asked: {entry.reason}"
    failure = evidence.last_failure if evidence and entry.cause != "person" else None
    last = [f"last failure: {failure_text(failure)}"] if failure else []
    return "disabled", [decided, *last, *_mailed(entry.mails)]


@_words.register
def _enabled(entry: Enabling) -> tuple[str, list[str]]:
    return "enabled", [f"by {entry.by}: {entry.reason}"]


@_words.register
def _created(entry: Creation) -> tuple[str, list[str]]:
    return "created", [f"app {entry.app_id} in organization {entry.organization_id}"]


@_words.register
def _removed(entry: Removal) -> tuple[str, list[str]]:
    return "removed", [entry.reason]


@_words.register
def _recovery(entry: Recovery) -> tuple[str, list[str]]:
    what = grouped(entry.deliveries, "missed delivery", "missed deliveries")
    gone = f" ({entry.without_payload} more no longer had a payload)" if entry.without_payload else ""
    again = f", {grouped(entry.count, 'time')}" if entry.count > 1 else ""
    return "recovery", [f"{what} sent by {entry.by}{gone}{again}{'' if entry.completed_at else ', not done yet'}"]


@_words.register
def _operator_action(entry: OperatorAction) -> tuple[str, list[str]]:
    what = grouped(entry.count, f"{entry.was} delivery", f"{entry.was} deliveries")
    if entry.what == "expired":
        return "expired", [f"the payload of {what} was dropped, as its retention is over"]
    done = "sent again" if entry.what == "requeued" else "given up"
    return entry.what, [f"{what} {done} by {entry.by}{': ' + entry.reason if entry.reason else ''}"]


@_words.register
def _tested(entry: Probes) -> tuple[str, list[str]]:
    failures = entry.count - entry.succeeded
    parts = [f"{grouped(entry.succeeded, 'test delivery', 'test deliveries')} succeeded"] if entry.succeeded else []
    if failures:
        failed = grouped(failures, "test delivery", "test deliveries")
        parts.append(f"{failed} failed: {_classes(entry.failed)}")
    return "tested", [", ".join(parts)]


@_words.register
def _app(entry: AppChange) -> tuple[str, list[str]]:
    return "app", [*map(_change, entry.changes), *_times(entry)]


@_words.register
def _organization(entry: OrganizationChange) -> tuple[str, list[str]]:
    is_of_owners = [change.name for change in entry.changes] == ["owners"]
    return "owners" if is_of_owners else "organization", [*map(_change, entry.changes), *_times(entry)]


@_words.register
def _frozen(entry: Freeze) -> tuple[str, list[str]]:
    again = f" ({grouped(entry.count, 'time')}, the last)" if entry.count > 1 else ""
    still = "" if entry.lifted_at else "; it still is"
    failing = f"{entry.failing} of {entry.active} active ones {noun(entry.failing, 'was', 'were')} failing"
    return "frozen", [f"automatic disabling, for all{again}: {failing}{still}"]


@_words.register
def _imported(entry: Import) -> tuple[str, list[str]]:
    days = entry.first_day if entry.first_day == entry.last_day else f"{entry.first_day} to {entry.last_day}"
    counts = f"{grouped(entry.succeeded, 'success', 'successes')}, {grouped(entry.failures, 'failure')}"
    return "imported", [f"counts of another system by {entry.by}, of {days}: {counts}"]


@_words.register
def _other(entry: Other) -> tuple[str, list[str]]:
    return "recorded", [f"{entry.type_name}, {grouped(entry.count, 'time')}" if entry.count > 1 else entry.type_name]


def _word_for(succeeded: int, failures: int) -> str:
    share = failures / (succeeded + failures)
    if share < _EXCEPTION:
        return "delivered"
    return "failing" if share > 1 - _EXCEPTION else "flaky"


def _classes(failed: Mapping[str, int]) -> str:
    """Return what failed; where all is of one class its count has been given already."""
    if len(failed) == 1:
        return next(iter(failed)) or "failed"
    return ", ".join(f"{count:,} {name or 'failed'}" for name, count in failed.items())


def _breaker(entry: Attempts) -> str:
    parts = [f"opened {_times_over(entry.breaker_opened)}"] if entry.breaker_opened else []
    by = f" (by hand: {', '.join(entry.breaker_closed_by)})" if entry.breaker_closed_by else ""
    parts += [f"closed {_times_over(entry.breaker_closed)}{by}"] if entry.breaker_closed else []
    return f"the breaker {' and '.join(parts)}" if parts else ""


def _times_over(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _mailed(mails: tuple[MailFate, ...]) -> list[str]:
    return [f"mail to {mail.recipient}: {_fate(mail)}" for mail in mails]


def _fate(mail: MailFate) -> str:
    parts = [f"{count if count > 1 else ''} {name}".strip() for count, name in _fates(mail) if count]
    error = f" ({mail.last_error})" if mail.last_error and (mail.failed or mail.pending) else ""
    return ", ".join(parts) + error


def _fates(mail: MailFate) -> tuple[tuple[int, str], ...]:
    return (mail.sent, "sent"), (mail.failed, "given up"), (mail.pending, "not sent yet")


_NAMES = {
    "webhook_url": "webhook URL",
    "organization_id": "organization",
    "header_names": "custom headers",
    "connect_s": "connect time-out in s",
    "read_s": "read time-out in s",
    "total_s": "deadline in s",
    "client_certificate": "client certificate",
    "client_key": "client key",
    "url": "URL",
    "uuid": "UUID",
}


def _change(change: FieldChange) -> str:
    if change.name == "secret_version":
        return f"its secret was changed (it is the {_ordinal(change.after)})"
    if change.name == "headers_version":
        return f"its custom headers were changed (they are the {_ordinal(change.after)})"
    return f"{_NAMES.get(change.name, change.name)}: {change.before or 'none'} → {change.after or 'none'}"


def _ordinal(number: str | None) -> str:
    text = number or ""
    ending = {"1": "st", "2": "nd", "3": "rd"}.get(text[-1:], "th")
    return f"{text}{'th' if text[-2:] in ('11', '12', '13') else ending}"


def _times(entry: Entry) -> list[str]:
    return [f"in {entry.count:,} changes"] if entry.count > 1 else []
