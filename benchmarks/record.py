"""The file of all results, from which the page is made: docs/benchmarks.json."""

from pathlib import Path

import msgspec

from benchmarks.readings import Result

__all__ = ["Record", "SoakResult", "merged", "read_record", "write_record"]

# Who has other of these has another machine, and its results don't stand beside these.
_OF_THE_MACHINE = ("processor", "memory", "system", "file system")


class SoakResult(msgspec.Struct, frozen=True):
    """What came of a soak: its facts as they are shown, and what it found wrong."""

    facts: dict[str, str]
    faults: tuple[str, ...]
    taken_at: str
    commit: str
    processes: int


class Record(msgspec.Struct, frozen=True):
    """The results of one machine, by the key of their goal."""

    machine: dict[str, str]
    results: dict[str, Result] = {}
    soak: SoakResult | None = None


def read_record(path: Path) -> Record | None:
    """Read the results so far, None when there are none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        return None


def write_record(path: Path, record: Record) -> None:
    """Write the results."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")


def merged(before: Record | None, now: Record) -> Record:
    """Return the new results, and those of before that were not taken again, if they are of the same machine."""
    if before is None or any(before.machine.get(name) != now.machine.get(name) for name in _OF_THE_MACHINE):
        return now
    return Record(now.machine, before.results | now.results, now.soak or before.soak)
