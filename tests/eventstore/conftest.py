"""A home, a clock that stands still and a store on both, new for each test."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eventstore.common.clock import ManualClock
from eventstore.home.folder import Home
from eventstore.unit_of_work import Store


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("HOOKFUSE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2025, 2, 3, 12, tzinfo=UTC))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


@pytest.fixture
def store(home: Home, clock: ManualClock) -> Iterator[Store]:
    with Store(home.database, clock) as store:
        yield store
