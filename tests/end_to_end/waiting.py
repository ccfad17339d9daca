"""Waiting for what another process does."""

import random
import socket
import time
from collections.abc import Callable, Iterator

from tests.end_to_end.stage import LIMIT_S, Server

# Of requests: from one kill to the next at most, and how many more are answered at most until it comes.
APART, BEYOND = 80, 40


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Look again and again until the condition holds; fail when it never does."""
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.01)  # between two looks, not instead of one


def wait_for_requests(receiver: Server, count: int) -> None:
    """Wait until the receiver has seen so many requests."""
    wait_until(lambda: receiver.count() >= count, f"{count} requests")


def hear(systemd: socket.socket, wanted: str) -> list[str]:
    """Return what a daemon says to systemd until it says what begins so."""
    heard = [""]
    while not heard[-1].startswith(wanted):
        heard.append(systemd.recv(4096).decode())
    return heard[1:]


def kill_moments(receiver: Server, dice: random.Random, kills: int) -> Iterator[int]:
    """Yield at each moment at which to kill, chosen by how many requests the receiver has seen.

    It answers but a few more until the next moment is asked for, and so the run can't be over however fast the
    machine is: (APART + BEYOND) requests are answered for each kill at most. Afterwards all are answered.
    """
    for _ in range(kills):
        moment = receiver.count() + dice.randrange(APART)
        receiver.answer_first(moment + dice.randrange(BEYOND))
        yield moment
    receiver.answer_first()
