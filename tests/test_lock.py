"""The lock is what pyproject.toml asks for: pinned within its ranges, with hashes, the same version in each file."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_ROOT = Path(__file__).parent.parent
_LOCKS = _ROOT / "requirements"
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)")

_PROJECT = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
_RUN = _PROJECT["project"]["dependencies"]
_GROUPS = _PROJECT["dependency-groups"]
_ASKED_FOR = {
    "run": _RUN,
    "test": [*_RUN, *_GROUPS["test"]],
    "docs": [*_RUN, *_GROUPS["docs"]],
    "bench": [*_RUN, *_GROUPS["bench"]],
    "build": [*_GROUPS["build"], *_PROJECT["build-system"]["requires"]],
}


def _entries(name: str) -> list[str]:
    """Return the entries of a lock, each with its hashes in one line."""
    text = (_LOCKS / f"{name}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]


def _versions(name: str) -> dict[str, set[str]]:
    """Return the versions that a lock pins for each package; a marker may choose between several."""
    versions: dict[str, set[str]] = {}
    for entry in _entries(name):
        pinned = _PINNED.match(entry)
        assert pinned is not None, f"requirements/{name}.txt pins no version in: {entry[:80]}"
        versions.setdefault(canonicalize_name(pinned[1]), set()).add(pinned[2])
    return versions


@pytest.mark.parametrize("name", _ASKED_FOR)
def test_the_lock_pins_what_is_asked_for_within_its_range(name: str) -> None:
    versions = _versions(name)

    for requirement in map(Requirement, _ASKED_FOR[name]):
        pinned = versions.get(canonicalize_name(requirement.name), set())
        assert pinned, f"requirements/{name}.txt lacks {requirement}: run `make lock`"
        assert all(requirement.specifier.contains(version) for version in pinned), (
            f"requirements/{name}.txt has {requirement.name} {', '.join(pinned)}, "
            f"which is not {requirement.specifier}: run `make lock`"
        )


@pytest.mark.parametrize("name", _ASKED_FOR)
def test_each_entry_of_the_lock_has_a_hash_and_no_address(name: str) -> None:
    for entry in _entries(name):
        assert "--hash=sha256:" in entry, entry
        assert "://" not in entry, entry


@pytest.mark.parametrize("name", ["test", "docs", "bench"])
def test_what_runs_is_what_was_tested_and_measured(name: str) -> None:
    others = _versions(name)

    assert {package: others.get(package) for package in _versions("run")} == _versions("run")


def test_the_image_installs_from_the_lock() -> None:
    recipe = (_ROOT / "docs" / "operations" / "Dockerfile").read_text(encoding="utf-8")

    installs = [line for line in re.split(r"&&|\n", recipe) if "pip install" in line]

    assert installs
    assert all("--require-hashes" in line or "--no-index" in line for line in installs), installs
