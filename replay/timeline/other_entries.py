"""What a timeline tells beside attempts and decisions: missed deliveries, actions, settings, freezes. Pure."""

from collections.abc import Callable, Mapping

from eventstore.events.catalogue import (
    AppChanged,
    AppRegistered,
    DeliveryDropped,
    DeliveryExpired,
    DeliveryMissed,
    DeliveryRequeued,
    DisablingFrozen,
    DisablingThawed,
    Event,
    InstallationCountsImported,
    OrganizationChanged,
    OrganizationRegistered,
    ProbeFailed,
    ProbeSucceeded,
    RecoveryCompleted,
    RecoveryStarted,
)
from eventstore.log.event_log import StoredEvent
from eventstore.policies.day_counts import IMPORTED_CLASSES
from replay.as_of.settings_diff import Settings, app_settings, changes_between, organization_settings
from replay.timeline.entries import (
    AppChange,
    Freeze,
    Import,
    Missed,
    OperatorAction,
    OrganizationChange,
    Probes,
    Recovery,
)
from replay.timeline.entry_list import EntryList

__all__ = ["Followers", "OtherEntries"]

# By class of event: what follows one.
Followers = Mapping[type[Event], Callable[[StoredEvent], None]]

# Longer than any.
_WHOLE_CHAPTER = 10**6


class OtherEntries:
    """Adds entries to a list; `followers` says which events it follows."""

    def __init__(self, entries: EntryList) -> None:
        self._entries = entries
        self._app: Settings = {}
        self._organization: Settings = {}
        self._freeze: int | None = None
        self._recovery: int | None = None
        self.followers: Followers = {
            DeliveryMissed: self._missed,
            DeliveryRequeued: self._operator_action,
            DeliveryDropped: self._operator_action,
            DeliveryExpired: self._operator_action,
            RecoveryStarted: self._recovery_started,
            RecoveryCompleted: self._recovery_completed,
            ProbeSucceeded: self._probe,
            ProbeFailed: self._probe,
            AppRegistered: self._app_settings,
            AppChanged: self._app_settings,
            OrganizationRegistered: self._organization_settings,
            OrganizationChanged: self._organization_settings,
            DisablingFrozen: self._frozen,
            DisablingThawed: self._thawed,
            InstallationCountsImported: self._imported,
        }

    def _missed(self, stored: StoredEvent) -> None:
        self._entries.fold(Missed.of(stored), apart_days=_WHOLE_CHAPTER)

    def _operator_action(self, stored: StoredEvent) -> None:
        action = OperatorAction.of(stored, what=stored.type.removeprefix("delivery."))
        self._entries.fold(action, (action.what, action.was, action.by, action.reason))

    def _recovery_started(self, stored: StoredEvent) -> None:
        self._recovery = self._entries.fold(Recovery.of(stored), apart_days=0)

    def _recovery_completed(self, stored: StoredEvent) -> None:
        if self._recovery is not None:
            self._entries.reach(self._recovery, stored, completed_at=stored.recorded_at)
            self._recovery = None

    def _probe(self, stored: StoredEvent) -> None:
        event = stored.event
        is_success = isinstance(event, ProbeSucceeded)
        failed = {event.error_class: 1} if isinstance(event, ProbeFailed) else {}
        self._entries.fold(Probes.of(stored, succeeded=int(is_success), failed=failed))

    def _app_settings(self, stored: StoredEvent) -> None:
        assert isinstance(stored.event, AppRegistered)  # noqa: S101
        before, self._app = self._app, app_settings(stored.event)
        self._note_changes(AppChange, stored, before, self._app)

    def _organization_settings(self, stored: StoredEvent) -> None:
        assert isinstance(stored.event, OrganizationRegistered)  # noqa: S101
        before, self._organization = self._organization, organization_settings(stored.event)
        self._note_changes(OrganizationChange, stored, before, self._organization)

    def _note_changes(
        self, entry_class: type[AppChange | OrganizationChange], stored: StoredEvent, before: Settings, after: Settings
    ) -> None:
        if before and (changes := changes_between(before, after)):
            names = frozenset(change.name for change in changes)
            self._entries.fold(entry_class.of(stored, changes=changes), names, apart_days=0)

    def _frozen(self, stored: StoredEvent) -> None:
        self._freeze = self._entries.fold(Freeze.of(stored), apart_days=0)

    def _thawed(self, stored: StoredEvent) -> None:
        if self._freeze is not None:
            self._entries.reach(self._freeze, stored, lifted_at=stored.recorded_at)
            self._freeze = None

    def _imported(self, stored: StoredEvent) -> None:
        event = stored.event
        assert isinstance(event, InstallationCountsImported)  # noqa: S101
        failures = sum(getattr(event, name) for name in IMPORTED_CLASSES if name != "success")
        entry = Import.of(stored, first_day=event.day, last_day=event.day, succeeded=event.success, failures=failures)
        self._entries.fold(entry, (event.by, event.source))
