"""What a check has found: good, worth a look, or a fault, and how to mend it."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check-up. `mend` says what to do, and is empty exactly where all is well."""

    subject: str
    level: Literal["good", "warning", "fault"]
    text: str
    mend: str = ""

    @classmethod
    def good(cls, subject: str, text: str) -> "Finding":
        """All is well."""
        return cls(subject, "good", text)

    @classmethod
    def warning(cls, subject: str, text: str, mend: str) -> "Finding":
        """It works, and may not for long, or not as wanted."""
        return cls(subject, "warning", text, mend)

    @classmethod
    def fault(cls, subject: str, text: str, mend: str) -> "Finding":
        """It does not work."""
        return cls(subject, "fault", text, mend)
