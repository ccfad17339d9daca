"""One month of an installation's life: healthy, flaky, broken, disabled, enabled again, recovered."""

import subprocess
import sys
from collections import Counter
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from eventstore.events.catalogue import InstallationDisabled, InstallationWarned, RecoveryStarted
from eventstore.home.folder import Home
from eventstore.policies.policy import BALANCED, SENTRY_2024
from eventstore.projections.registry import find_installation
from eventstore.sqlite.database import open_database
from eventstore.unit_of_work import Store
from replay.as_of.view import open_past
from replay.reading.moment import moment_at
from replay.what_if.what_if import Supposition, what_if
from tests.end_to_end.one_month import (
    ALERTS_A_DAY,
    APP,
    CHAPTERS,
    FIRST_DAY,
    LAST_DAY,
    MENDED_DAY,
    Month,
    play,
    timeline,
)
from tests.end_to_end.stage import installation_id
from tests.eventstore.histories import exported, imported, tables


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Month, Path]:
    folder = tmp_path_factory.mktemp("month")
    return play(folder), folder / "home"


@pytest.mark.parametrize("module", ["tests.end_to_end.one_month", "tests.end_to_end.receiver"])
def test_a_month_can_be_played_without_what_only_tests_need(module: str) -> None:
    blocked = dict.fromkeys(("aiosmtpd", "hypothesis", "pytest", "matplotlib"))
    program = f"import sys; sys.modules.update({blocked}); import {module}"

    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])


def test_a_month_from_healthy_to_broken_to_recovered(played: tuple[Month, Path]) -> None:
    month, home = played
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
    _ask_what_if(home.parent)
    _insist_that_it_moves(home.parent)


def _ask_what_if(folder: Path) -> None:
    """By the policy that it was the month goes as it went; by the original's a 500 is nothing to be disabled for."""
    with Store(Home(folder / "home").database) as store:
        (same,) = what_if(store.connection, Supposition(BALANCED))
        (other,) = what_if(store.connection, Supposition(SENTRY_2024))
        missed = store.connection.execute("SELECT count(*) FROM events WHERE type = 'delivery.missed'").fetchone()

    assert not same.is_different
    assert [bool(episode.disabled) for episode in same.episodes] == [True, False]
    assert not any(episode.disabled for episode in other.episodes)
    assert (other.total("avoided"),) == missed


def _insist_that_it_moves(folder: Path) -> None:
    """Bring the month into a new home: every table of it is the same, row by row."""
    there, here = Home(folder / "home"), Home(folder / "other")
    here.prepare()
    with Store(there.database) as old, Store(here.database) as new:
        summary = imported(new, exported(old))
        again = imported(new, exported(old))

        assert (summary.fault_count, again.fault_count, again.imported_count) == (0, 0, 0)
        assert tables(new.connection) == tables(old.connection)


def test_the_story_of_the_month_is_a_page(played: tuple[Month, Path]) -> None:
    command = [sys.executable, "-m", "runner", "--home", str(played[1]), "replay", "timeline", installation_id(APP)]
    shown = subprocess.run([*command, "--until", "2026-04-01"], capture_output=True, text=True, check=True).stdout
    told = shown.split("\n\n")[1].splitlines()

    column = told[0].index("what")
    whats = [line[column:].split()[0] for line in told[1:] if not line[column].isspace()]
    assert whats == [
        "created",
        "delivered",
        "flaky",
        "failing",
        "warned",
        "warned",
        "disabled",
        "missed",
        "enabled",
        "recovery",
        "delivered",
    ]
    assert len(told) <= 40
    assert sum("mail to owner@acme.example: sent" in line for line in told) == 3


def test_the_month_as_of_its_days_is_as_it_was_lived(played: tuple[Month, Path]) -> None:
    month, home = played
    connection = open_database(home / "events.db", is_writer=False)
    with closing(connection), open_past(home / "events.db", installation_id(APP)) as past:
        for day in range(1, LAST_DAY + 1):
            evening = FIRST_DAY + timedelta(days=day, microseconds=-1)
            past.move_to(moment_at(connection, evening, now=evening))

            assert find_installation(past.connection, installation_id(APP)).state == month.state_a_day[day]
