"""How whoever has committed wakes whoever waits for it."""

from types import TracebackType
from typing import Protocol, Self

__all__ = ["ChangeListener", "ChangeSignal"]


class ChangeListener(Protocol):
    """The end at which a daemon waits: what was committed before a notice is seen by who has heard it."""

    def fileno(self) -> int:
        """Return a descriptor that can be read from once there is something to hear, for `select`."""

    def wake(self) -> None:
        """Wake whoever waits at this end; from a signal handler too, and never waiting."""

    def heard(self) -> bool:
        """Return whether there was a notice since the last time; any number of them count as one. Never waits."""

    def close(self) -> None:
        """Stop listening; later notices are nobody's."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class ChangeSignal(Protocol):
    """A bell between processes. It carries nothing: what is new stands in the store.

    A notice may be lost, as where nobody listens, so whoever listens also looks by itself now and then.
    """

    def notify(self) -> None:
        """Tell whoever listens that there is something new. Never waits, and never fails."""

    def listen(self) -> ChangeListener:
        """Begin to listen. Raises HomeError where that cannot be done."""
