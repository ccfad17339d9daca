"""Where the tests' folders are: in memory where there is room, for an fsync there takes no turn of a disk."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

__all__ = ["choose", "own_folder"]

_MEMORY = Path("/dev/shm")
# What all tests together have on disk at once is a fourth of it.
_NEEDED_BYTES = 4 * 2**30


def choose(config: pytest.Config) -> None:
    """Make the folders of tests in memory, unless the caller or the environment names another place."""
    is_named = config.getoption("basetemp") or "PYTEST_DEBUG_TEMPROOT" in os.environ
    if not is_named and _is_roomy(_MEMORY):
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(_MEMORY)


def own_folder(name: str) -> Path:
    """Return a folder that this user alone writes to, the same one for each process and each run."""
    folder = Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} is somebody else's: remove it, or unset PYTHONDONTWRITEBYTECODE")
    return folder


def _is_roomy(place: Path) -> bool:
    return place.is_dir() and os.access(place, os.W_OK) and shutil.disk_usage(place).free >= _NEEDED_BYTES
