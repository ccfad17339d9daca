"""What a check has found: good, worth a look, or a fault, and how to fix it."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Diagnostic"]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One line of a check-up. `fix` says what to do, and is empty exactly where all is well."""

    subject: str
    level: Literal["good", "warning", "fault"]
    text: str
    fix: str = ""

    @classmethod
    def good(cls, subject: str, text: str) -> "Diagnostic":
        """Return a diagnostic that says that all is well."""
        return cls(subject, "good", text)

    @classmethod
    def warning(cls, subject: str, text: str, fix: str) -> "Diagnostic":
        """It works, and may not for long, or not as wanted."""
        return cls(subject, "warning", text, fix)

    @classmethod
    def fault(cls, subject: str, text: str, fix: str) -> "Diagnostic":
        """It does not work."""
        return cls(subject, "fault", text, fix)
