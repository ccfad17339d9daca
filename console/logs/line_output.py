"""Printing lines of the log, some at a time."""

from console.logs.shown_line import json_line, shown_line
from console.logs.sieve import Found
from console.output.tables import flush_output, is_coloured, is_terminal, print_bytes, print_shown

__all__ = ["LineOutput"]

# One system call for many lines.
_LINES = 200


class LineOutput:
    """Prints lines for a person, or (`is_json`) for a program; `is_prompt`: each at once, as at a terminal."""

    def __init__(self, *, is_json: bool, is_prompt: bool = False) -> None:
        self._is_json = is_json
        self._most = 1 if is_prompt or is_terminal() else _LINES
        self._is_coloured = is_coloured()
        self._is_short = is_terminal()
        self._waiting: list[Found] = []

    def add(self, found: Found) -> None:
        """Print a line, at once or with those that come after it."""
        self._waiting.append(found)
        if len(self._waiting) >= self._most:
            self.flush()

    def flush(self) -> None:
        """Have all that was added written."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []  # nothing twice, if this is interrupted
        if self._is_json:
            print_bytes(b"".join(json_line(*found) + b"\n" for found in waiting))
        else:
            print_shown("\n".join(self._shown(found) for found in waiting))
        flush_output()

    def _shown(self, found: Found) -> str:
        return shown_line(*found, is_coloured=self._is_coloured, is_short=self._is_short)
