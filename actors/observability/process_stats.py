"""What only a process itself knows of its actors, as numbers that can be added up."""

from dataclasses import astuple, dataclass

__all__ = ["ProcessStats"]


@dataclass(frozen=True, slots=True)
class ProcessStats:
    """Actors alive, messages that wait for those that everybody tells, deliveries handed out, crashes so far.

    `dropped_lines`: of standard error, which nobody read.
    """

    actors: int = 0
    mailbox_messages: int = 0
    deliveries_in_flight: int = 0
    crashes: int = 0
    dropped_lines: int = 0

    def __add__(self, other: "ProcessStats") -> "ProcessStats":
        """Return what two processes have together."""
        return ProcessStats(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def to_text(self) -> str:
        """Return a line that `from_text` reads."""
        return " ".join(map(str, astuple(self)))

    @classmethod
    def from_text(cls, text: str) -> "ProcessStats | None":
        """Read such a line, None = it is another."""
        words = text.split()
        if len(words) != len(cls.__slots__) or not all(word.isdecimal() for word in words):
            return None
        return cls(*map(int, words))
