"""What if: a recorded history evaluated by another policy, in one pass, beside what actually happened.

The evaluation is that of `eventstore.policies.evaluation.evaluate` and what follows from it that of
`eventstore.decisions.review.what_follows`, the functions that the live actors ask. Who need not be evaluated, as
nothing can have changed, is told by `replay.what_if.review_skip`.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache, partial

from eventstore.common.clock import day_of
from eventstore.common.identifiers import installation_of
from eventstore.decisions.review import what_follows
from eventstore.events.catalogue import (
    EVENT_CLASSES,
    AppChanged,
    AppRegistered,
    DeliveryBlocked,
    DeliveryFailed,
    DeliveryMissed,
    DeliverySucceeded,
    DeliveryTimedOut,
    DisableEvidence,
    DisablingFrozen,
    DisablingThawed,
    Event,
    InstallationCountsImported,
    InstallationCreated,
    InstallationDisabled,
    InstallationEnabled,
    InstallationRemoved,
    InstallationWarned,
    InstallationWarningLifted,
)
from eventstore.events.codec import decode_event
from eventstore.policies.day_counts import COUNTED_CLASSES, IMPORTED_CLASSES, counted_class
from eventstore.policies.evaluation import evaluate, warning_level
from eventstore.policies.policy import Policy, class_under, is_checked_after
from eventstore.policies.scope import may_be_disabled
from replay.reading.raw_events import RawEvent, attempt_facts, read_raw_events
from replay.timeline.episode import Ending, InstallationOutcome, Notice
from replay.what_if.review_skip import UNLIMITED, ReviewSkip, SkipRule
from replay.what_if.simulated_installation import SimulatedInstallation

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
        InstallationCountsImported,
        DisablingFrozen,
        DisablingThawed,
        InstallationCreated,
        InstallationRemoved,
        InstallationDisabled,
        InstallationEnabled,
        InstallationWarned,
        InstallationWarningLifted,
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
    """Evaluate a recorded history, of some installations or of all, and return how it would have gone.

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
        self._rule = SkipRule(supposition.policy, is_warned=supposition.is_warned)
        counted = (*COUNTED_CLASSES, None)
        self._checked = frozenset(_INDEX.get(name or "") for name in counted if is_checked_after(self._policy, name))
        self._index = lru_cache(maxsize=64)(partial(_index, self._policy))
        self._is_begun = not supposition.since
        self._is_frozen = False
        self._apps: dict[int, AppRegistered] = {}
        self._simulated: dict[str, SimulatedInstallation] = {}
        self._simulated_of_app: defaultdict[int, set[SimulatedInstallation]] = defaultdict(set)
        self._asked: list[tuple[SimulatedInstallation, str, int, bool]] = []
        self._asked_at = ""
        self._handlers: dict[str, Callable[[SimulatedInstallation, RawEvent], None]] = {
            _SUCCEEDED: self._succeed,
            **dict.fromkeys((_FAILED, _TIMED_OUT, _BLOCKED), self._fail),
            DeliveryMissed.type_name: self._miss,
        }

    def outcomes(self) -> tuple[InstallationOutcome, ...]:
        """Return how it would have gone; installations that there were no longer are left out."""
        self._answer()
        outcomes = [simulated.outcome() for simulated in self._simulated.values() if simulated.is_begun]
        return tuple(sorted((one for one in outcomes if one.episodes), key=lambda one: one.installation_id))

    def fold(self, batch: Sequence[RawEvent]) -> None:
        """Take in events, in the order of their positions."""
        handlers, simulated = self._handlers, self._simulated
        for row in batch:
            # A freeze comes with the outcome that was one too many, and before whatever follows from that one.
            if self._asked and row[4] != self._asked_at and row[2] != _FREEZE:
                self._answer()
            if not self._is_begun and row[4] >= self._supposition.since:
                self._begin(row[4], row[0])
            handler = handlers.get(row[2])
            if handler is None:
                self._follow(row)
            elif (one := simulated.get(row[1])) is not None:
                handler(one, row)

    # --- what there are many of ---

    def _succeed(self, simulated: SimulatedInstallation, row: RawEvent) -> None:
        if not simulated.is_on:
            simulated.save_attempt(attempt_facts(row[2], row[3], row[5]), row[4], is_success=True)
            return
        day = row[4][:10]
        if day != simulated.day:
            simulated.turn_to(day, self._policy.window_days)
        simulated.today[_SUCCESS] += 1
        simulated.is_checked_last = bool(simulated.warned_level)
        if simulated.warned_level:  # of others a success is not reviewed: it brings nobody nearer to the end
            simulated.successes_left -= 1
            if simulated.successes_left < 0:
                self._ask(simulated, row)

    def _fail(self, simulated: SimulatedInstallation, row: RawEvent) -> None:
        _, _, type_name, schema, recorded_at, data = row
        facts = attempt_facts(type_name, schema, data)
        if not simulated.is_on:
            if type_name != _BLOCKED:  # what the guard refuses is never sent
                simulated.save_attempt(facts, recorded_at, is_success=False)
            return
        day = recorded_at[:10]
        if day != simulated.day:
            simulated.turn_to(day, self._policy.window_days)
        index = self._index(type_name, facts.error_class, facts.fault)
        if index is not None and not self._is_frozen:
            simulated.today[index] += 1
            simulated.failures_left -= 1
            if index in _RARE:
                simulated.make_due()
        is_gone = facts.error_class == _GONE and self._policy.gone_disables
        simulated.is_checked_last = is_gone or index in self._checked
        if is_gone and simulated.is_reviewed:
            self._ask(simulated, row, is_gone=True)
        elif simulated.failures_left < 0 and simulated.is_checked_last:
            self._ask(simulated, row)

    def _miss(self, simulated: SimulatedInstallation, _row: RawEvent) -> None:
        simulated.spare()

    # --- what follows ---

    def _ask(self, simulated: SimulatedInstallation, row: RawEvent, *, is_gone: bool = False) -> None:
        """Ask for a review, which sees all that was committed with this outcome, as a real one does."""
        self._asked.append((simulated, row[4], row[0], is_gone))
        self._asked_at = row[4]
        simulated.allow(ReviewSkip(UNLIMITED, UNLIMITED))

    def _answer(self) -> None:
        for simulated, recorded_at, position, is_gone in self._asked:
            if not simulated.is_reviewed:
                continue  # something else has come first
            if is_gone:
                simulated.disable(Ending(recorded_at, position, "receiver", "receiver", _GONE_EXPLANATION))
            else:
                self._review(simulated, recorded_at, position)
        self._asked.clear()

    def _review(self, simulated: SimulatedInstallation, recorded_at: str, position: int) -> None:
        """Do what a review would have done, where there may be anything to do."""
        if simulated.past is None:
            simulated.past = self._rule.past(simulated.days, simulated.day)
        margin = self._rule.margin(simulated.past, simulated.today, simulated.warned_level, is_frozen=self._is_frozen)
        if margin.is_due:
            self._evaluate(simulated, recorded_at, position)
            margin = self._rule.margin(
                simulated.past, simulated.today, simulated.warned_level, is_frozen=self._is_frozen
            )
        if simulated.is_on:
            simulated.allow(margin)

    def _evaluate(self, simulated: SimulatedInstallation, recorded_at: str, position: int) -> None:
        evaluation = evaluate(self._policy, simulated.day_counts(), date.fromisoformat(simulated.day))
        follows = what_follows(evaluation, simulated.warned_level, is_warned=self._supposition.is_warned)
        if follows == "calm":
            simulated.warned_level = 0
        elif follows == "disable" and not self._is_frozen:
            simulated.disable(Ending(recorded_at, position, "policy", evaluation.rule, evaluation.explanation))
        elif follows == "warn" and not self._is_frozen:
            level = warning_level(evaluation.progress)
            simulated.warn(Notice(recorded_at, position, level, evaluation.rule, evaluation.explanation))

    def _begin(self, recorded_at: str, position: int) -> None:
        self._is_begun = True
        for simulated in self._simulated.values():
            simulated.begin_to_suppose(recorded_at, position)

    # --- what there are few of ---

    def _follow(self, row: RawEvent) -> None:
        """Take in an event that is not an outcome of a delivery; most of them say nothing here."""
        position, stream, type_name, schema, recorded_at, data = row
        if type_name in EVENT_CLASSES and type_name not in _FOLLOWED:
            return
        event = decode_event(type_name, schema, data)
        if isinstance(event, AppRegistered):
            self._register(event)
        elif isinstance(event, DisablingFrozen | DisablingThawed):
            self._is_frozen = isinstance(event, DisablingFrozen)
            for simulated in self._simulated.values():
                simulated.make_due()
        elif isinstance(event, InstallationCreated):
            self._create(stream, event, recorded_at, position)
        elif (known := self._simulated.get(stream)) is not None:
            self._follow_one(known, event, recorded_at, position)

    def _follow_one(self, simulated: SimulatedInstallation, event: Event, recorded_at: str, position: int) -> None:
        if isinstance(event, InstallationEnabled):
            simulated.begin(recorded_at, position)
        elif isinstance(event, InstallationRemoved):
            simulated.remove()
        elif isinstance(event, InstallationCountsImported):
            self._import(simulated, event)
        elif isinstance(event, InstallationDisabled):
            if event.cause != "person":  # who decides by hand has nobody evaluated
                self._review_as_really(simulated, recorded_at, position)
            ending = _ending(event.evidence, event.cause, event.reason, recorded_at, position)
            if event.cause == "receiver" and self._policy.gone_disables and simulated.is_reviewed:
                simulated.disable(ending)
            simulated.disable_really(ending)
        elif isinstance(event, InstallationWarned):
            self._review_as_really(simulated, recorded_at, position)
            evidence = event.evidence
            simulated.warn_really(Notice(recorded_at, position, event.level, evidence.rule, evidence.explanation))
        elif isinstance(event, InstallationWarningLifted):
            self._review_as_really(simulated, recorded_at, position)
            simulated.real_warned_level = 0

    def _review_as_really(self, simulated: SimulatedInstallation, recorded_at: str, position: int) -> None:
        """Review when it was actually reviewed, too: an actor does when it starts, and no event says that it does.

        But only where the policy would have had it checked: after its latest outcome.
        """
        if not simulated.is_reviewed or not simulated.is_checked_last:
            return
        if day_of(recorded_at) != simulated.day:
            simulated.turn_to(day_of(recorded_at), self._policy.window_days)
        self._review(simulated, recorded_at, position)

    def _register(self, event: AppRegistered) -> None:
        self._apps[event.app_id] = event
        for simulated in self._simulated_of_app[event.app_id]:
            simulated.is_exempt = not may_be_disabled(event.status, self._supposition.scope)
            simulated.make_due()

    def _create(self, stream: str, event: InstallationCreated, recorded_at: str, position: int) -> None:
        installation_id = installation_of(stream)
        if self._only and installation_id not in self._only:
            return
        simulated = self._simulated.get(stream)
        if simulated is None:
            simulated = self._simulated[stream] = SimulatedInstallation(installation_id)
        app = self._apps.get(event.app_id)
        self._simulated_of_app[simulated.app_id].discard(simulated)
        self._simulated_of_app[event.app_id].add(simulated)
        simulated.app_id = event.app_id
        simulated.is_exempt = app is None or not may_be_disabled(app.status, self._supposition.scope)
        simulated.is_begun = self._is_begun
        simulated.begin(recorded_at, position)

    def _import(self, simulated: SimulatedInstallation, event: InstallationCountsImported) -> None:
        """Count what another system counted; nobody is reviewed for it."""
        tally = simulated.days.setdefault(event.day, [0] * len(COUNTED_CLASSES))
        for name in IMPORTED_CLASSES:
            tally[_INDEX[name]] += getattr(event, name)
        if event.day == simulated.day:
            simulated.today = tally
        simulated.past = None
        simulated.is_checked_last = False
        simulated.make_due()


def _index(policy: Policy, type_name: str, error_class: str, fault: str) -> int | None:
    """Return where an outcome is counted in a day's tally, which is as the policy evaluates; None = nowhere."""
    counted = counted_class(type_name, error_class, fault)
    return None if counted is None else _INDEX[class_under(policy, counted)]


def _ending(evidence: DisableEvidence | None, cause: str, reason: str, recorded_at: str, position: int) -> Ending:
    if evidence is None:
        return Ending(recorded_at, position, cause, cause, reason)
    return Ending(recorded_at, position, cause, evidence.rule, evidence.explanation)
