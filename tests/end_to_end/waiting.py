"""Waiting for what another process does."""

import time
from collections.abc import Callable

_LIMIT_S = 30.0  # far beyond what anything here takes: reaching it is a failure, not a measurement


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Look again and again until the condition holds; fail when it never does."""
    deadline_s = time.monotonic() + _LIMIT_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.01)  # between two looks, not instead of one
