"""What if: a recorded history judged by another policy, in one pass, beside what really happened.

The verdict is that of `eventstore.policies.evaluation.judge` and what follows from it that of
`eventstore.decisions.review.what_follows`, the functions that the live actors ask. Who need not be judged, as nothing
can have changed, is told by `replay.what_if.margin`.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache, partial

from eventstore.common.clock import day_of
from eventstore.common.identifiers import installation_of
from eventstore.decisions.disable import may_be_disabled
from eventstore.decisions.review import what_follows
from eventstore.events.catalogue import (
    EVENT_CLASSES,
    AppChanged,
    AppRegistered,
    CountsImported,
    DeliveryBlocked,
    DeliveryFailed,
    DeliveryMissed,
    DeliverySucceeded,
    DeliveryTimedOut,
    DisableEvidence,
    DisablingFrozen,
    DisablingThawed,
    Event,
    InstallationCalmed,
    InstallationCreated,
    InstallationDisabled,
    InstallationEnabled,
    InstallationRemoved,
    InstallationWarned,
)
from eventstore.events.codec import decode_event
from eventstore.policies.day_counts import COUNTED_CLASSES, IMPORTED_CLASSES, counted_class
from eventstore.policies.evaluation import judge, warning_level
from eventstore.policies.policy import Policy, class_under, is_checked_after
from replay.reading.raw_events import RawEvent, attempt_facts, read_raw_events
from replay.timeline.episode import Ending, InstallationOutcome, Notice
from replay.what_if.margin import UNLIMITED, Margin, MarginRule
from replay.what_if.twin import Twin

__all__ = ["Supposition", "WhatIf", "what_if"]

_SUCCEEDED = DeliverySucceeded.type_name
_FAILED = DeliveryFailed.type_name
_TIMED_OUT = DeliveryTimedOut.type_name
_BLOCKED = DeliveryBlocked.type_name
_FREEZE = DisablingFrozen.type_name
_INDEX = {name: index for index, name in enumerate(COUNTED_CLASSES)}
_SUCCESS, _TIMEOUT = _INDEX["success"], _INDEX["timeout"]
# What nothing records, and a margin does not reckon with, but an event can say.
_RARE = (_INDEX["success"], _INDEX["fatal"])
# As webhook.ErrorClass has it, which this room does not know.
_GONE = "gone"
_GONE_EXPLANATION = "the endpoint answered 410 Gone"
_FOLLOWED = frozenset(
    event_class.type_name
    for event_class in (
        AppRegistered,
        AppChanged,
        CountsImported,
        DisablingFrozen,
        DisablingThawed,
        InstallationCreated,
        InstallationRemoved,
        InstallationDisabled,
        InstallationEnabled,
        InstallationWarned,
        InstallationCalmed,
    )
)


@dataclass(frozen=True, slots=True)
class Supposition:
    """What is supposed: another policy, from a moment on (empty = from the beginning), and up to one (empty = now).

    `scope` says which apps a machine may disable, as in DisableRequest; `is_warned`: whether owners are warned.
    """

    policy: Policy
    scope: str = "internal"
    is_warned: bool = True
    since: str = ""
    until: str = ""


def what_if(
    connection: sqlite3.Connection,
    supposition: Supposition,
    *,
    only: Collection[str] = (),
    advance: Callable[[int], None] = lambda _count: None,
) -> tuple[InstallationOutcome, ...]:
    """Judge a recorded history, of some installations or of all, and say how it would have gone.

    Events are read one batch at a time: memory grows with installations and days of the window, not with them.
    Raises UnknownEventError at an event that cannot be read.
    """
    fold = WhatIf(supposition, only=only)
    until = supposition.until
    for batch in read_raw_events(connection):
        fold.fold([row for row in batch if row[4] <= until] if until else batch)
        advance(len(batch))
    return fold.outcomes()


class WhatIf:
    """A fold over events: each installation as it was, and as it would have been."""

    def __init__(self, supposition: Supposition, *, only: Collection[str] = ()) -> None:
        self._supposition = supposition
        self._policy = supposition.policy
        self._only = frozenset(only)
        self._rule = MarginRule(supposition.policy, is_warned=supposition.is_warned)
        counted = (*COUNTED_CLASSES, None)
        self._checked = frozenset(_INDEX.get(name or "") for name in counted if is_checked_after(self._policy, name))
        self._index = lru_cache(maxsize=64)(partial(_index, self._policy))
        self._is_begun = not supposition.since
        self._is_frozen = False
        self._apps: dict[int, AppRegistered] = {}
        self._twins: dict[str, Twin] = {}
        self._twins_of_app: defaultdict[int, set[Twin]] = defaultdict(set)
        self._asked: list[tuple[Twin, str, int, bool]] = []
        self._asked_at = ""
        self._handlers: dict[str, Callable[[Twin, RawEvent], None]] = {
            _SUCCEEDED: self._succeed,
            **dict.fromkeys((_FAILED, _TIMED_OUT, _BLOCKED), self._fail),
            DeliveryMissed.type_name: self._miss,
        }

    def outcomes(self) -> tuple[InstallationOutcome, ...]:
        """Say how it would have gone; installations that there were no longer are left out."""
        self._answer()
        outcomes = [twin.outcome() for twin in self._twins.values() if twin.is_begun]
        return tuple(sorted((one for one in outcomes if one.episodes), key=lambda one: one.installation_id))

    def fold(self, batch: Sequence[RawEvent]) -> None:
        """Take in events, in the order of their positions."""
        handlers, twins = self._handlers, self._twins
        for row in batch:
            # A freeze comes with the outcome that was one too many, and before whatever follows from that one.
            if self._asked and row[4] != self._asked_at and row[2] != _FREEZE:
                self._answer()
            if not self._is_begun and row[4] >= self._supposition.since:
                self._begin(row[4], row[0])
            handler = handlers.get(row[2])
            if handler is None:
                self._follow(row)
            elif (twin := twins.get(row[1])) is not None:
                handler(twin, row)

    # --- what there are many of ---

    def _succeed(self, twin: Twin, row: RawEvent) -> None:
        if not twin.is_on:
            twin.save_attempt(attempt_facts(row[2], row[3], row[5]), row[4], is_success=True)
            return
        day = row[4][:10]
        if day != twin.day:
            twin.turn_to(day, self._policy.window_days)
        twin.today[_SUCCESS] += 1
        twin.is_checked_last = bool(twin.warned_level)
        if twin.warned_level:  # of others a success is not reviewed: it brings nobody nearer to the end
            twin.successes_left -= 1
            if twin.successes_left < 0:
                self._ask(twin, row)

    def _fail(self, twin: Twin, row: RawEvent) -> None:
        _, _, type_name, schema, recorded_at, data = row
        facts = attempt_facts(type_name, schema, data)
        if not twin.is_on:
            if type_name != _BLOCKED:  # what the guard refuses is never sent
                twin.save_attempt(facts, recorded_at, is_success=False)
            return
        day = recorded_at[:10]
        if day != twin.day:
            twin.turn_to(day, self._policy.window_days)
        index = self._index(type_name, facts.error_class, facts.fault)
        if index is not None and not self._is_frozen:
            twin.today[index] += 1
            twin.failures_left -= 1
            if index in _RARE:
                twin.make_due()
        is_gone = facts.error_class == _GONE and self._policy.gone_disables
        twin.is_checked_last = is_gone or index in self._checked
        if is_gone and twin.is_reviewed:
            self._ask(twin, row, is_gone=True)
        elif twin.failures_left < 0 and twin.is_checked_last:
            self._ask(twin, row)

    def _miss(self, twin: Twin, _row: RawEvent) -> None:
        twin.spare()

    # --- what follows ---

    def _ask(self, twin: Twin, row: RawEvent, *, is_gone: bool = False) -> None:
        """Ask for a review, which sees all that was committed with this outcome, as a real one does."""
        self._asked.append((twin, row[4], row[0], is_gone))
        self._asked_at = row[4]
        twin.allow(Margin(UNLIMITED, UNLIMITED))

    def _answer(self) -> None:
        for twin, recorded_at, position, is_gone in self._asked:
            if not twin.is_reviewed:
                continue  # something else has come first
            if is_gone:
                twin.disable(Ending(recorded_at, position, "receiver", "receiver", _GONE_EXPLANATION))
            else:
                self._review(twin, recorded_at, position)
        self._asked.clear()

    def _review(self, twin: Twin, recorded_at: str, position: int) -> None:
        """Do what a review would have done, where there may be anything to do."""
        if twin.past is None:
            twin.past = self._rule.past(twin.days, twin.day)
        margin = self._rule.margin(twin.past, twin.today, twin.warned_level, is_frozen=self._is_frozen)
        if margin.is_due:
            self._judge(twin, recorded_at, position)
            margin = self._rule.margin(twin.past, twin.today, twin.warned_level, is_frozen=self._is_frozen)
        if twin.is_on:
            twin.allow(margin)

    def _judge(self, twin: Twin, recorded_at: str, position: int) -> None:
        verdict = judge(self._policy, twin.day_counts(), date.fromisoformat(twin.day))
        follows = what_follows(verdict, twin.warned_level, is_warned=self._supposition.is_warned)
        if follows == "calm":
            twin.warned_level = 0
        elif follows == "disable" and not self._is_frozen:
            twin.disable(Ending(recorded_at, position, "policy", verdict.rule, verdict.explanation))
        elif follows == "warn" and not self._is_frozen:
            level = warning_level(verdict.nearness)
            twin.warn(Notice(recorded_at, position, level, verdict.rule, verdict.explanation))

    def _begin(self, recorded_at: str, position: int) -> None:
        self._is_begun = True
        for twin in self._twins.values():
            twin.begin_to_suppose(recorded_at, position)

    # --- what there are few of ---

    def _follow(self, row: RawEvent) -> None:
        """Take in an event that is no outcome of a delivery; most of them say nothing here."""
        position, stream, type_name, schema, recorded_at, data = row
        if type_name in EVENT_CLASSES and type_name not in _FOLLOWED:
            return
        event = decode_event(type_name, schema, data)
        if isinstance(event, AppRegistered):
            self._register(event)
        elif isinstance(event, DisablingFrozen | DisablingThawed):
            self._is_frozen = isinstance(event, DisablingFrozen)
            for twin in self._twins.values():
                twin.make_due()
        elif isinstance(event, InstallationCreated):
            self._create(stream, event, recorded_at, position)
        elif (known := self._twins.get(stream)) is not None:
            self._follow_one(known, event, recorded_at, position)

    def _follow_one(self, twin: Twin, event: Event, recorded_at: str, position: int) -> None:
        if isinstance(event, InstallationEnabled):
            twin.begin(recorded_at, position)
        elif isinstance(event, InstallationRemoved):
            twin.remove()
        elif isinstance(event, CountsImported):
            self._import(twin, event)
        elif isinstance(event, InstallationDisabled):
            if event.cause != "person":  # who decides by hand has nobody judged
                self._review_as_really(twin, recorded_at, position)
            ending = _ending(event.evidence, event.cause, event.reason, recorded_at, position)
            if event.cause == "receiver" and self._policy.gone_disables and twin.is_reviewed:
                twin.disable(ending)
            twin.disable_really(ending)
        elif isinstance(event, InstallationWarned):
            self._review_as_really(twin, recorded_at, position)
            evidence = event.evidence
            twin.warn_really(Notice(recorded_at, position, event.level, evidence.rule, evidence.explanation))
        elif isinstance(event, InstallationCalmed):
            self._review_as_really(twin, recorded_at, position)
            twin.real_warned_level = 0

    def _review_as_really(self, twin: Twin, recorded_at: str, position: int) -> None:
        """Review when it was really reviewed, too: an actor does when it starts, and no event says that it does.

        But only where the policy would have had it checked: after its latest outcome.
        """
        if not twin.is_reviewed or not twin.is_checked_last:
            return
        if day_of(recorded_at) != twin.day:
            twin.turn_to(day_of(recorded_at), self._policy.window_days)
        self._review(twin, recorded_at, position)

    def _register(self, event: AppRegistered) -> None:
        self._apps[event.app_id] = event
        for twin in self._twins_of_app[event.app_id]:
            twin.is_exempt = not may_be_disabled(event, self._supposition.scope)
            twin.make_due()

    def _create(self, stream: str, event: InstallationCreated, recorded_at: str, position: int) -> None:
        installation_id = installation_of(stream)
        if self._only and installation_id not in self._only:
            return
        twin = self._twins.get(stream)
        if twin is None:
            twin = self._twins[stream] = Twin(installation_id)
        app = self._apps.get(event.app_id)
        self._twins_of_app[twin.app_id].discard(twin)
        self._twins_of_app[event.app_id].add(twin)
        twin.app_id = event.app_id
        twin.is_exempt = app is None or not may_be_disabled(app, self._supposition.scope)
        twin.is_begun = self._is_begun
        twin.begin(recorded_at, position)

    def _import(self, twin: Twin, event: CountsImported) -> None:
        """Count what another system counted; nobody is reviewed for it."""
        tally = twin.days.setdefault(event.day, [0] * len(COUNTED_CLASSES))
        for name in IMPORTED_CLASSES:
            tally[_INDEX[name]] += getattr(event, name)
        if event.day == twin.day:
            twin.today = tally
        twin.past = None
        twin.is_checked_last = False
        twin.make_due()


def _index(policy: Policy, type_name: str, error_class: str, fault: str) -> int | None:
    """Return where an outcome is counted in a day's tally, which is as the policy judges; None = nowhere."""
    counted = counted_class(type_name, error_class, fault)
    return None if counted is None else _INDEX[class_under(policy, counted)]


def _ending(evidence: DisableEvidence | None, cause: str, reason: str, recorded_at: str, position: int) -> Ending:
    if evidence is None:
        return Ending(recorded_at, position, cause, cause, reason)
    return Ending(recorded_at, position, cause, evidence.rule, evidence.explanation)
