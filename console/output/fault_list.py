"""What is wrong in a file, line by line."""

from collections.abc import Sequence

from console.output.printable import one_line
from console.output.tables import print_line
from eventstore.common.json_lines import Fault

__all__ = ["fault_rows", "print_faults"]

_CHARACTERS = 300


def print_faults(faults: Sequence[Fault], count: int) -> None:
    """Print the first of so many faults, each on a line, and how many more there are."""
    for fault in faults:
        print_line(f"{one_line(fault.place, _CHARACTERS)}: {one_line(fault.text, _CHARACTERS)}")
    if count > len(faults):
        print_line(f"and {count - len(faults):,} more")


def fault_rows(faults: Sequence[Fault]) -> list[dict[str, str]]:
    """Return faults of other places than lines for a program."""
    return [{"place": fault.place, "text": fault.text} for fault in faults]
