"""The line between a daemon and one of its worker processes: orders go down, answers come up."""

import os
import select
import threading
from enum import StrEnum

__all__ = ["Answer", "Order", "WorkerPipe"]

_CHUNK_BYTES = 65_536


class Order(StrEnum):
    """What a daemon tells a worker, one letter each."""

    LOOK_AROUND = "!"
    SAY_WHETHER_DRAINED = "?"
    REPORT_STATUS = "="
    STOP = "."


class Answer(StrEnum):
    """What a worker says, one line each.

    After HEALTH comes what is wrong with it (nothing: all is well), after FARES its numbers, after FAILED the reason.
    """

    DRAINED = "drained"
    BUSY = "busy"
    HEALTH = "health"
    FARES = "fares"
    FAILED = "failed"


class WorkerPipe:
    """A worker's end of the line.

    `orders` and `answers`: descriptors of two pipes whose other ends only the daemon has, so that the kernel says
    when it has ended.
    """

    def __init__(self, orders: int, answers: int) -> None:
        self._orders = orders
        self._answers = answers

    def read_greeting(self) -> bytes:
        """Read the line that comes before all orders; what is cut off comes without its line feed."""
        greeting = bytearray()
        # Byte by byte, so that no order after it is lost.
        while (byte := os.read(self._orders, 1)) not in (b"", b"\n"):
            greeting += byte
        return bytes(greeting) + byte

    def end_with_daemon(self) -> None:
        """End the process, at once and whatever it does, when the daemon has ended."""
        threading.Thread(target=self._end_with_daemon, name="daemon-watch", daemon=True).start()

    def _end_with_daemon(self) -> None:
        watch = select.poll()
        watch.register(self._orders, 0)  # no event but the hang-up, which needs no asking for
        watch.poll()
        # No order to stop in: what is in flight is the next daemon's, which waits for this process to be gone.
        os._exit(1)

    def wait(self, wake: int, timeout_s: float) -> frozenset[Order]:
        """Wait for orders, or until something can be read from `wake`; return the orders that have come."""
        readable, _, _ = select.select([self._orders, wake], [], [], timeout_s)
        if wake in readable:
            os.read(wake, _CHUNK_BYTES)
        if self._orders not in readable:
            return frozenset()
        letters = set(os.read(self._orders, _CHUNK_BYTES).decode("ascii"))
        return frozenset(order for order in Order if order.value in letters)

    def answer(self, answer: Answer, text: str = "") -> None:
        """Answer the daemon."""
        line = " ".join(f"{answer} {text}".split())
        os.write(self._answers, f"{line}\n".encode(errors="backslashreplace"))
