"""A home with a past for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.replay.lived import Lived, live_fully


@pytest.fixture
def lived(tmp_path: Path) -> Iterator[Lived]:
    """Two installations, with rows in every table of every projection, and in each state of the queue."""
    with Lived(tmp_path / "events.db") as lived:
        live_fully(lived)
        yield lived
