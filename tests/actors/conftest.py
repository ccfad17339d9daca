"""A new stage for each test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from structlog.typing import EventDict

from tests.actors.stage import Stage


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("HOOKFUSE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


@pytest.fixture
def lines() -> Iterator[list[EventDict]]:
    """Return what is logged meanwhile."""
    with structlog.testing.capture_logs() as lines:
        yield lines
