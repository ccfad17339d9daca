"""History on its way in: the events of an export appended to this log, all or none, and each once."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from eventstore.common.json_lines import Fault
from eventstore.errors import UnknownEventError
from eventstore.events.catalogue import AppRegistered, Event, OrganizationRegistered, current_name
from eventstore.events.codec import encode_event
from eventstore.events.references import is_same_event, referred_positions, with_positions
from eventstore.log.change_signal import notify_change
from eventstore.log.event_log import NewEvent, Origin
from eventstore.projections.registry import App, apps_without_secret
from eventstore.transfer.event_staging import StagedEvent, Staging, StoredForm
from eventstore.transfer.import_consistency import registry_faults, version_faults
from eventstore.transfer.imported_mails import ImportedMails
from eventstore.unit_of_work import Store, TakenBackError, Transaction

__all__ = ["ImportSummary", "import_events"]

# Events that are appended at once.
_BATCH = 500
# In KiB: the indexes of the log are written to all over.
_CACHE_KIB = 64 * 1024
# What a handler, or SQLite, says of an event that has no place here; a full disk is none of these.
_MISFITS = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, OverflowError, ValueError, TypeError)


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What came of an import; with a fault, or as a dry run, nothing has changed.

    `pending_mails`: mails of the history that are to be sent now; `given_up_mails`: those that are not, and were
    pending; `apps_without_secret`: those to which nothing can be sent yet.
    """

    line_count: int
    imported_count: int
    skipped_count: int
    pending_mails: int
    given_up_mails: int
    apps_without_secret: tuple[App, ...]
    faults: tuple[Fault, ...]
    fault_count: int


def import_events(
    store: Store,
    staging: Staging,
    *,
    is_mail_sent: bool = False,
    is_dry_run: bool = False,
    on_events: Callable[[int], None] = lambda _count: None,
) -> ImportSummary:
    """Append the staged events that are new here, with their times; those that are here already are passed over.

    All in one transaction, every projection in step; with a fault anywhere, in a line or in how they fit together,
    nothing is. A mail that is pending in the history is given up, by an event, unless `is_mail_sent`. `on_events` is
    told how many more are looked at; what it raises undoes all.
    """
    with ImportedMails(store.connection) as mails:
        run = _Import(staging, mails)
        with suppress(TakenBackError), store.transaction() as transaction:
            run.append_all(transaction, on_events)
            run.conclude(transaction, is_mail_sent=is_mail_sent, is_dry_run=is_dry_run)
    return run.summary()


class _Import:
    """Owns what is gathered for the next append; after the first fault it only looks for more of them."""

    def __init__(self, staging: Staging, mails: ImportedMails) -> None:
        self._imported_count = self._skipped_count = 0
        self._pending_mails = self._given_up_mails = 0
        self._apps_without_secret: tuple[App, ...] = ()
        self._staging = staging
        self._mails = mails
        self._faults = staging.faults
        self._gathered: list[tuple[int, NewEvent]] = []
        self._is_continuation = False

    def append_all(self, transaction: Transaction, on_events: Callable[[int], None]) -> None:
        """Append what is new."""
        connection = transaction.connection
        self._is_continuation = self._staging.is_continuation()
        if not self._faults.count:  # a line that could not be read leaves a gap, which is not to be named too
            for fault in version_faults(connection):
                self._faults.add(*fault)
        # Only now: the sort before this would take as much for itself.
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        for count, staged in enumerate(self._staging.events(), start=1):
            self._take(transaction, staged)
            if count % _BATCH == 0:
                self._append(transaction)
                on_events(_BATCH)
        self._append(transaction)
        if not self._faults.count:
            for fault in registry_faults(connection):
                self._faults.add(*fault)

    def conclude(self, transaction: Transaction, *, is_mail_sent: bool, is_dry_run: bool) -> None:
        """Settle the mails, and notify a running daemon. Raises TakenBackError when nothing is to stay."""
        if self._imported_count and not self._faults.count:
            self._pending_mails, self._given_up_mails = self._mails.settle(transaction, is_sent=is_mail_sent)
            self._apps_without_secret = apps_without_secret(transaction.connection)
            notify_change(transaction.connection)
        if self._faults.count or is_dry_run:
            raise TakenBackError

    def summary(self) -> ImportSummary:
        """Return what came of it."""
        return ImportSummary(
            line_count=self._staging.line_count,
            imported_count=self._imported_count,
            skipped_count=self._skipped_count,
            pending_mails=self._pending_mails,
            given_up_mails=self._given_up_mails,
            apps_without_secret=self._apps_without_secret,
            faults=self._faults.first,
            fault_count=self._faults.count,
        )

    def _take(self, transaction: Transaction, staged: StagedEvent) -> None:
        if staged.known is not None:
            if self._is_known(transaction, staged.form, staged.known):
                self._skipped_count += 1
            else:
                self._faults.add(staged.line, _difference(staged, staged.known))
        elif not self._faults.count:
            event = staged.form.event()
            translated = self._translated(transaction, event)
            origin = Origin(staged.form.recorded_at, staged.form.schema, staged.form.data, staged.form.type)
            if translated != event:
                data = encode_event(translated)
                origin = Origin(staged.form.recorded_at, translated.schema, data, translated.type_name)
            self._gathered.append((staged.line, NewEvent(staged.stream, translated, origin)))

    def _is_known(self, transaction: Transaction, form: StoredForm, known: StoredForm) -> bool:
        if (current_name(form.type), form.recorded_at) != (current_name(known.type), known.recorded_at):
            return False
        event = form.event()
        if not referred_positions(event) and (form.schema, form.data) == (known.schema, known.data):
            return True
        try:
            return is_same_event(self._translated(transaction, event), known.event())
        except UnknownEventError:
            return False

    def _translated(self, transaction: Transaction, event: Event) -> Event:
        """Return the event with the positions that what it refers to has here; 0 = that is not here."""
        if not referred_positions(event):
            return event
        self._append(transaction)  # it may well refer to what is still gathered
        return with_positions(event, lambda position: self._position_here(transaction.connection, position))

    def _position_here(self, connection: sqlite3.Connection, position: int) -> int:
        place = self._staging.find(position)
        if place is not None:
            row = connection.execute("SELECT position FROM events WHERE stream = ? AND version = ?", place).fetchone()
            return int(row[0]) if row else 0
        return position if self._is_continuation and position < self._staging.first_position else 0

    def _append(self, transaction: Transaction) -> None:
        gathered, self._gathered = self._gathered, []
        if not gathered or self._faults.count:
            return
        try:
            self._append_some(transaction, gathered)
        except _MISFITS:
            self._find_misfit(transaction, gathered)

    def _append_some(self, transaction: Transaction, gathered: list[tuple[int, NewEvent]]) -> None:
        with _savepoint(transaction.connection):
            transaction.append(*(new for _, new in gathered))
            self._mails.note(new.event for _, new in gathered)
        self._imported_count += len(gathered)

    def _find_misfit(self, transaction: Transaction, gathered: list[tuple[int, NewEvent]]) -> None:
        """Append one by one, as which of them has no place is not known otherwise."""
        for line, new in gathered:
            try:
                self._append_some(transaction, [(line, new)])
            except _MISFITS as error:
                self._faults.add(line, f"this {new.event.type_name} does not fit to what is here: {error}")
                return


def _difference(staged: StagedEvent, known: StoredForm) -> str:
    names = [name for name in ("type", "recorded_at") if getattr(staged.form, name) != getattr(known, name)]
    hint = ""
    if staged.form.type in (OrganizationRegistered.type_name, AppRegistered.type_name):
        hint = " (this home has a registry of its own: import into a new one, and apply afterwards)"
    return (
        f"version {staged.version} of {staged.stream} is here already (event {known.position}), and differs in"
        f" {' and '.join(names or ['data'])}{hint}"
    )


@contextmanager
def _savepoint(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("SAVEPOINT import")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # a full disk has rolled back already
            connection.execute("ROLLBACK TO import")
        raise
    finally:
        if connection.in_transaction:
            connection.execute("RELEASE import")
