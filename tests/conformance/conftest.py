from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eventstore.common.clock import ManualClock
from tests.conformance.harness import IMPLEMENTATIONS, Stored, opened


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2025, 2, 3, 12, tzinfo=UTC))


@pytest.fixture(params=IMPLEMENTATIONS)
def stored(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[Stored]:
    with opened(request.param, tmp_path, clock) as stored:
        yield stored
