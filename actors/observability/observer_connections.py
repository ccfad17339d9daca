"""Who is connected to the observer's port, and who has to go when there is no room for another."""

import socket
import threading
from contextlib import suppress
from enum import IntEnum

__all__ = ["Connections", "Stage"]


class Stage(IntEnum):
    """How far a connection has come; those of a lower stage go first."""

    SILENT = 0
    """It has said nothing yet."""
    HESITANT = 1
    """It has begun, and its client is waited for: to go on, or to read the answer."""
    ANSWERED = 2
    """It is waited for nobody but us."""


class Connections:
    """Keeps as many as there is room for; any thread may ask.

    Beyond that the one that has been silent for longest goes, so that those who wait for nothing keep out nobody who
    asks.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._stages: dict[socket.socket, Stage] = {}  # the oldest first

    def admit(self, connection: socket.socket) -> bool:
        """Admit a connection, in the place of another where there is no room; return whether it may stay."""
        with self._lock:
            if len(self._stages) >= self._room:
                leaving = self._choose()
                if leaving is None:
                    return False
                del self._stages[leaving]
                with suppress(OSError):  # it is gone already
                    leaving.shutdown(socket.SHUT_RDWR)  # which ends the thread that waits for it
            self._stages[connection] = Stage.SILENT
            return True

    def note(self, connection: socket.socket, stage: Stage) -> None:
        """Take down how far one has come; one that had to go stays gone."""
        with self._lock:
            if connection in self._stages:
                self._stages[connection] = stage

    def forget(self, connection: socket.socket) -> None:
        """Free a connection's place."""
        with self._lock:
            self._stages.pop(connection, None)

    def _choose(self) -> socket.socket | None:
        """Return the oldest of the lowest stage, None = all are being answered."""
        waited_for = [(stage, each) for each, stage in self._stages.items() if stage is not Stage.ANSWERED]
        silent = [each for stage, each in waited_for if stage is Stage.SILENT and not _has_said_something(each)]
        others = [each for _, each in waited_for]
        return next(iter(silent or others), None)


def _has_said_something(connection: socket.socket) -> bool:
    """Return whether something of it waits to be read: its thread has not come to it yet."""
    try:
        return bool(connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except OSError:  # nothing yet, or it is gone
        return False
