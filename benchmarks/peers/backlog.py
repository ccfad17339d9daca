"""Filling a peer's queue before its workers start."""

import sys
import time
from collections.abc import Callable

from benchmarks.alert import EVENT_NAME, alert_data

__all__ = ["fill_from_command_line"]


def fill_from_command_line(enqueue: Callable[[int, str, str], object]) -> None:
    """Queue so many deliveries, one to each of so many installations in turn: the two arguments."""
    count, installations = int(sys.argv[1]), int(sys.argv[2])
    for number in range(count):
        enqueue(number % installations, EVENT_NAME, alert_data(number, time.monotonic()))
