"""Counts a day on their way in: what another system has counted, as events, each difference once."""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from eventstore.common.identifiers import installation_stream
from eventstore.common.json_lines import EndlessInputError, Fault, Faults
from eventstore.events.catalogue import InstallationCountsImported, stored_names
from eventstore.log.change_signal import notify_change
from eventstore.log.event_log import NewEvent, last_position
from eventstore.policies.day_counts import IMPORTED_CLASSES, window_start
from eventstore.projections.registry import find_installation_of_app
from eventstore.redis.original_layout import COUNT_FIELDS
from eventstore.transfer.count_bucket import CountBucket
from eventstore.unit_of_work import Store, TakenBackError, Transaction

__all__ = ["CountRule", "CountSummary", "import_counts"]

_BATCH = 500
_IMPORTS = stored_names((InstallationCountsImported.type_name,))
# They are held in memory until all are known to be right: some 500 MB.
DAYS_MAX = 1_000_000

# (stream, day) -> what was imported for it so far
_Sums = dict[tuple[str, str], Counter[str]]


@dataclass(frozen=True, slots=True)
class CountRule:
    """How counts are imported. `source` and `by` are for the record; days before the window are of no use.

    `is_unknown_skipped`: counts of an app that is not installed here are left out; otherwise they are a fault.
    """

    source: str
    by: str
    window_days: int
    is_unknown_skipped: bool = False
    is_dry_run: bool = False


@dataclass(frozen=True, slots=True)
class CountSummary:
    """What came of an import, in days of an app in an organization; with a fault, or as a dry run, nothing has changed.

    `too_old_count`: before the window; `ahead_count`: of tomorrow; `unknown_count`: not known here, and left out;
    `smaller`: with less than was imported before, and left as they are.
    """

    imported_count: int
    unchanged_count: int
    too_old_count: int
    ahead_count: int
    unknown_count: int
    smaller: tuple[Fault, ...]
    smaller_count: int
    faults: tuple[Fault, ...]
    fault_count: int


def import_counts(store: Store, buckets: Iterable[CountBucket], rule: CountRule, faults: Faults) -> CountSummary:
    """Record what the buckets have beyond what was imported before, all in one transaction, or nothing.

    `faults` are those that whoever reads the buckets notes meanwhile; what is wrong with them here is added. Held in
    memory are the days of the window: some for each installation.
    """
    run = _CountImport(store, rule, faults)
    run.gather(buckets)
    # Long, in a long log: so it is done before the write lock is taken, and then only what has come since.
    known_position = run.sum_up(store.connection, after_position=0)
    with suppress(TakenBackError), store.transaction() as transaction:
        run.sum_up(transaction.connection, after_position=known_position)
        run.append_all(transaction)
        if faults.count or rule.is_dry_run:
            raise TakenBackError
    return run.summary()


class _CountImport:
    """Owns the days that are of use, what was imported for them before, and what came of it so far."""

    def __init__(self, store: Store, rule: CountRule, faults: Faults) -> None:
        now = store.clock.now()
        self._rule = rule
        self._faults = faults
        self._first_day = window_start(now, rule.window_days)
        self._today, self._tomorrow = str(now.date()), str(now.date() + timedelta(days=1))
        self._buckets: dict[tuple[int, int, str], CountBucket] = {}
        self._sums: _Sums = {}
        self._left_out: Counter[str] = Counter()
        self._imported_count = 0
        self._smaller = Faults()

    def gather(self, buckets: Iterable[CountBucket]) -> None:
        """Take the days that are of use; one place may come twice, but not two of the same day."""
        for bucket in buckets:
            if bucket.day < self._first_day:
                self._left_out["too_old"] += 1
            elif bucket.day == self._tomorrow:
                # The other system's days are those of its own time zone, which may be ahead of UTC.
                self._left_out["ahead"] += 1
            elif bucket.day > self._today:
                self._faults.add(bucket.number, f"{bucket.day} lies in the future", place=bucket.place)
            else:
                if len(self._buckets) > DAYS_MAX:
                    raise EndlessInputError(
                        f"over {DAYS_MAX:,} days of apps, which is the most of one import: split it"
                    )
                first = self._buckets.setdefault((bucket.app_id, bucket.organization_id, bucket.day), bucket)
                if first.place != bucket.place:
                    self._faults.add(bucket.number, f"is of the same day as {first.place}", place=bucket.place)

    def sum_up(self, connection: sqlite3.Connection, *, after_position: int) -> int:
        """Add up what was imported before, from the events after a position, and give that of the newest event."""
        newest = last_position(connection)
        sums = ", ".join(f"sum(coalesce(json_extract(data, '$.{name}'), 0))" for name in IMPORTED_CLASSES)
        rows = connection.execute(
            f"SELECT stream, json_extract(data, '$.day') AS day, {sums} FROM events"  # noqa: S608 - names of fields
            f" WHERE position > ? AND position <= ? AND type IN ({', '.join('?' * len(_IMPORTS))}) AND day >= ?"
            " GROUP BY stream, day",
            (after_position, newest, *_IMPORTS, self._first_day),
        )
        for stream, day, *counts in rows:
            before = self._sums.setdefault((stream, day), Counter())
            before.update(dict(zip(IMPORTED_CLASSES, counts, strict=True)))
        return newest

    def append_all(self, transaction: Transaction) -> None:
        """Append an event for each day with something new."""
        batch: list[NewEvent] = []
        for _, bucket in sorted(self._buckets.items()):
            event = self._event(transaction.connection, bucket)
            if event is not None:
                batch.append(NewEvent(installation_stream(event.installation_id), event))
        for start in range(0, len(batch), _BATCH):
            transaction.append(*batch[start : start + _BATCH])
        if batch:
            notify_change(transaction.connection)
        self._imported_count = len(batch)

    def summary(self) -> CountSummary:
        """Return what came of it."""
        return CountSummary(
            imported_count=self._imported_count,
            unchanged_count=self._left_out["unchanged"],
            too_old_count=self._left_out["too_old"],
            ahead_count=self._left_out["ahead"],
            unknown_count=self._left_out["unknown"],
            smaller=self._smaller.first,
            smaller_count=self._smaller.count,
            faults=self._faults.first,
            fault_count=self._faults.count,
        )

    def _event(self, connection: sqlite3.Connection, bucket: CountBucket) -> InstallationCountsImported | None:
        installation = find_installation_of_app(connection, bucket.app_id, bucket.organization_id)
        if installation is None:
            self._unknown(bucket)
            return None
        stream = installation_stream(installation.installation_id)
        before = self._sums.get((stream, bucket.day), Counter())
        more = {name: bucket.counts[name] - before[name] for name in IMPORTED_CLASSES}
        less = [name for name, count in more.items() if count < 0]
        if less:
            texts = [f"{COUNT_FIELDS[name]} {bucket.counts[name]} is less than {before[name]}" for name in less]
            self._smaller.add(bucket.number, f"{', '.join(texts)}, imported before", place=bucket.place)
            return None
        if not any(more.values()):
            self._left_out["unchanged"] += 1
            return None
        return InstallationCountsImported(
            installation.installation_id, bucket.day, self._rule.source, self._rule.by, **more
        )

    def _unknown(self, bucket: CountBucket) -> None:
        if self._rule.is_unknown_skipped:
            self._left_out["unknown"] += 1
            return
        what = f"app {bucket.app_id} has no installation in organization {bucket.organization_id} here"
        self._faults.add(bucket.number, f"{what} (--skip-unknown leaves it out)", place=bucket.place)
