"""One month of an installation's life: healthy, flaky, broken, disabled, enabled again, recovered."""

from collections import Counter
from pathlib import Path

from eventstore.events import InstallationDisabled, InstallationWarned, RecoveryStarted
from eventstore.home import Home
from eventstore.policy import BALANCED, SENTRY_2024
from eventstore.store import Store
from replay.what_if import Supposition, what_if
from tests.end_to_end.one_month import ALERTS_A_DAY, CHAPTERS, LAST_DAY, MENDED_DAY, play, timeline
from tests.eventstore.histories import exported, imported, tables


def test_a_month_from_healthy_to_broken_to_recovered(tmp_path: Path) -> None:
    month = play(tmp_path)
    story = "\n".join(timeline(month))
    print(story)

    counts = Counter(stored.type for stored in month.events)
    warnings = [stored for stored in month.events if isinstance(stored.event, InstallationWarned)]
    (disabled,) = [stored for stored in month.events if isinstance(stored.event, InstallationDisabled)]
    # Flaky is not broken: successes between the failures keep it active, and nobody is warned.
    assert all(month.state_a_day[day] == "active" for day in range(1, 18))
    # The ladder: warned once at each level, in the days of the breakage, before the end.
    assert [stored.event.level for stored in warnings if isinstance(stored.event, InstallationWarned)] == [50, 90]
    assert all("2026-03-12" <= stored.recorded_at[:10] < disabled.recorded_at[:10] for stored in warnings)
    # Disabled once, seven days after the last success; one audit entry for each decision, one mail for each notice.
    assert disabled.recorded_at[:10] == "2026-03-18"
    assert counts["audit.recorded"] == 2
    assert len(month.postbox.deliveries) == counts["mail.requested"] == 3
    # What came while it was disabled was missed, all of it, and recovered, all of it.
    (recovery,) = [stored.event for stored in month.events if isinstance(stored.event, RecoveryStarted)]
    assert recovery.deliveries == counts["delivery.missed"]
    assert counts["recovery.completed"] == 1
    assert all(month.state_a_day[day] == "active" for day in range(MENDED_DAY, LAST_DAY + 1))
    # Nothing is lost: each alert was delivered, or has died of its failures in the flaky and the broken days.
    assert counts["delivery.succeeded"] + counts["delivery.exhausted"] == ALERTS_A_DAY * LAST_DAY
    assert counts["breaker.opened"] > counts["breaker.closed"]
    assert CHAPTERS[12] == 500
    assert "recovery.completed" in story
    _ask_what_if(tmp_path)
    _insist_that_it_moves(tmp_path)


def _ask_what_if(folder: Path) -> None:
    """By the policy that it was the month goes as it went; by the original's a 500 is nothing to be disabled for."""
    with Store(Home(folder / "home").database) as store:
        (same,) = what_if(store.connection, Supposition(BALANCED))
        (other,) = what_if(store.connection, Supposition(SENTRY_2024))
        missed = store.connection.execute("SELECT count(*) FROM events WHERE type = 'delivery.missed'").fetchone()

    assert not same.is_different
    assert [bool(episode.disabled) for episode in same.episodes] == [True, False]
    assert not any(episode.disabled for episode in other.episodes)
    assert (other.total("spared"),) == missed


def _insist_that_it_moves(folder: Path) -> None:
    """Bring the month into a new home: every table of it is the same, row by row."""
    there, here = Home(folder / "home"), Home(folder / "other")
    here.prepare()
    with Store(there.database) as old, Store(here.database) as new:
        summary = imported(new, exported(old))
        again = imported(new, exported(old))

        assert (summary.fault_count, again.fault_count, again.imported_count) == (0, 0, 0)
        assert tables(new.connection) == tables(old.connection)
