"""Events that are stored under a former name of their type are read as those of today, and never changed."""

from pathlib import Path

import pytest

from eventstore.common.clock import ManualClock
from eventstore.events.catalogue import (
    FORMER_NAMES,
    Event,
    InstallationCountsImported,
    InstallationWarningLifted,
    MailDigested,
    stored_names,
)
from eventstore.events.codec import decode_event
from eventstore.log.event_log import last_position, read_events
from eventstore.projections.catalogue import PROJECTIONS
from eventstore.transfer.event_export import ExportFilter
from eventstore.unit_of_work import Store
from replay.check.log_check import check_log
from replay.check.verification import verify
from tests.eventstore.histories import START, Step, exported, imported, tables, written

RENAMED: dict[type[Event], str] = {
    InstallationWarningLifted: "installation.calmed",
    MailDigested: "mails.gathered",
    InstallationCountsImported: "counts.imported",
}
# A warning that is lifted, two mails that go as one, and counts of another system, between attempts.
STEPS: list[Step] = [
    (kind, number % 2, "server_error", 60, number)
    for number, kind in enumerate(
        ("failed", "warned", "lifted", "requested", "requested", "gathered", "failed", "counted", "succeeded")
    )
]


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return the store of a home whose events were recorded under the former names."""
    with monkeypatch.context() as before:
        for event_class, former in RENAMED.items():
            before.setattr(event_class, "type_name", former)
        written(tmp_path / "old.db", STEPS).close()
    return Store(tmp_path / "old.db", ManualClock(START))


def _stored_types(store: Store) -> set[str]:
    return {name for (name,) in store.connection.execute("SELECT type FROM events")}


def test_every_former_name_is_read_as_the_class_of_today() -> None:
    renamed = {former: event_class.type_name for event_class, former in RENAMED.items()}

    assert renamed == FORMER_NAMES
    assert decode_event("installation.calmed", 1, '{"installation_id":"i"}') == InstallationWarningLifted("i")
    assert stored_names(["mail.sent", "mail.digested"]) == ("mail.sent", "mail.digested", "mails.gathered")


def test_today_s_name_finds_what_is_stored_under_a_former_one(old: Store) -> None:
    assert set(RENAMED.values()) <= _stored_types(old)
    for event_class, former in RENAMED.items():
        (found,) = read_events(old.connection, type_names=[event_class.type_name])
        lines = exported(old, ExportFilter(type_names=(event_class.type_name,)))

        assert (type(found.event), found.type) == (event_class, event_class.type_name)
        assert former in lines.decode()


def test_the_chain_of_hashes_holds_over_the_stored_name_and_the_tables_are_those_of_today(
    old: Store, tmp_path: Path
) -> None:
    assert check_log(tmp_path / "old.db").count == 0
    assert verify(tmp_path / "old.db").differences == ()
    with written(tmp_path / "new.db", STEPS) as new:
        names = [table for projection in PROJECTIONS.values() for table in projection.tables]
        assert tables(old.connection, *names) == tables(new.connection, *names)


def test_a_file_of_before_comes_in_hash_by_hash_and_a_second_time_nothing_does(old: Store, tmp_path: Path) -> None:
    content = exported(old)
    with Store(tmp_path / "here.db", ManualClock(START)) as here:
        first = imported(here, content, is_mail_sent=True)
        again = imported(here, content, is_mail_sent=True)

        assert (first.faults, first.imported_count) == ((), last_position(old.connection))
        assert (again.faults, again.imported_count) == ((), 0)
        assert tables(here.connection) == tables(old.connection)
