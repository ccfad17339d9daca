"""Printing lines of the log, some at a time, and what could not be read on standard error."""

from console.logs.log_reader import Found, LogReader
from console.logs.shown_line import json_line, shown_line
from console.output.printable import one_line
from console.output.tables import flush_output, is_terminal, note, print_bytes, print_shown

__all__ = ["LineOutput", "print_account"]

# One system call for many lines.
_LINES = 200
_MOST_FAULTS = 10


class LineOutput:
    """Prints lines for a person, or (`is_json`) for a program; `is_prompt`: each at once, as at a terminal."""

    def __init__(self, *, is_json: bool, is_prompt: bool = False) -> None:
        self._is_json = is_json
        self._is_short = is_terminal()
        self._most = 1 if is_prompt or self._is_short else _LINES
        self._waiting: list[Found] = []

    def add(self, found: Found) -> None:
        """Print a line, at once or with those that come after it."""
        self._waiting.append(found)
        if len(self._waiting) >= self._most:
            self.flush()

    def flush(self) -> None:
        """Write all that was added."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []  # nothing twice, if this is interrupted
        if self._is_json:
            print_bytes(b"".join(json_line(*found) + b"\n" for found in waiting))
        else:
            print_shown("\n".join(shown_line(*found, is_short=self._is_short) for found in waiting))
        flush_output()


def print_account(reader: LogReader) -> None:
    """Print on standard error which files were damaged or gone, and how many lines were broken."""
    lines = reader.faults[:_MOST_FAULTS]
    if len(reader.faults) > _MOST_FAULTS:
        lines = [*lines, f"and {len(reader.faults) - _MOST_FAULTS} more files"]
    if reader.broken:
        lines = [*lines, f"{reader.broken:,} of {reader.lines:,} lines could not be read"]
    for line in lines:
        note(one_line(line))
