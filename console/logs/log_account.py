"""What is said on standard error about reading a log: what was broken, damaged or gone."""

import click

from console.logs.log_reader import LogReader
from console.output.printable import one_line

__all__ = ["account_lines", "print_account"]

_MOST_FAULTS = 10


def account_lines(reader: LogReader) -> list[str]:
    """Give a line about each damaged file, and one about broken lines; none where all is well."""
    lines = reader.faults[:_MOST_FAULTS]
    more = len(reader.faults) - len(lines)
    if more > 0:
        lines = [*lines, f"and {more} files more"]
    if reader.broken:
        lines = [*lines, f"{reader.broken:,} of {reader.lines:,} lines could not be read"]
    return lines


def print_account(reader: LogReader) -> None:
    """Say on standard error what could not be read."""
    for line in account_lines(reader):
        click.echo(f"hookfuse: {one_line(line)}", err=True)
