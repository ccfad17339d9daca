"""What is wrong with an import as a whole: versions that are missing, and a registry that does not add up."""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["registry_faults", "version_faults"]

_FILTERED = " (what was exported by --type, --since or --until cannot be imported)"

# `before`: the newest version that comes before a line's own, in the file or here; `previous`: in the file alone.
_VERSIONS = """
SELECT line, stream, version, before, previous FROM (
    SELECT line, stream, version, previous, max(previous, coalesce(
        (SELECT max(version) FROM main.events AS known WHERE known.stream = incoming_versions.stream), 0)) AS before
    FROM (
        SELECT line, stream, version,
            lag(version, 1, 0) OVER (PARTITION BY stream ORDER BY position) AS previous
        FROM incoming
    ) AS incoming_versions
) WHERE version > before + 1 OR version <= previous ORDER BY line
"""

# Where each stream begins in the file.
_BEGUN = "WITH begun AS (SELECT stream, min(line) AS line FROM incoming GROUP BY stream)"
_INSTALLATIONS = (
    "FROM begun JOIN installations AS mine ON mine.installation_id = substr(begun.stream, 14)"
    " AND begun.stream LIKE 'installation-%' AND mine.state != 'removed'"
)
_APPS = "FROM begun JOIN apps AS mine ON mine.app_id = substr(begun.stream, 5) AND begun.stream LIKE 'app-%'"


class _Rule(NamedTuple):
    """What must not be found, and what is said of it; the first column is the line."""

    text: str
    statement: str


_REGISTRY = (
    _Rule(
        "{} does not begin with installation.created",
        "SELECT line, begun.stream FROM begun LEFT JOIN installations ON installation_id = substr(begun.stream, 14)"
        " WHERE begun.stream LIKE 'installation-%' AND installation_id IS NULL",
    ),
    _Rule(
        "installation {} is of app {}, which is neither in the file nor known here: apply its registry first",
        f"SELECT line, mine.installation_id, mine.app_id {_INSTALLATIONS}"
        " LEFT JOIN apps USING (app_id) WHERE apps.slug IS NULL",
    ),
    _Rule(
        "installation {} is in organization {}, which is neither in the file nor known here: apply its registry first",
        f"SELECT line, mine.installation_id, mine.organization_id {_INSTALLATIONS}"
        " LEFT JOIN organizations USING (organization_id) WHERE organizations.slug IS NULL",
    ),
    _Rule(
        "app {} is of organization {}, which is neither in the file nor known here: apply its registry first",
        f"SELECT line, mine.app_id, mine.organization_id {_APPS}"
        " LEFT JOIN organizations USING (organization_id) WHERE organizations.slug IS NULL",
    ),
    _Rule(
        "installation {} is of app {} in organization {}, and so is installation {}",
        "SELECT line, mine.installation_id, mine.app_id, mine.organization_id, other.installation_id"
        f" {_INSTALLATIONS} JOIN installations AS other USING (app_id, organization_id)"
        " WHERE other.state != 'removed' AND other.installation_id != mine.installation_id",
    ),
    _Rule(
        "app {} has the uuid {}, and so has app {}",
        f"SELECT line, mine.app_id, mine.uuid, other.app_id {_APPS} JOIN apps AS other USING (uuid)"
        " WHERE other.app_id != mine.app_id",
    ),
)


def version_faults(connection: sqlite3.Connection) -> Iterator[tuple[int, str]]:
    """Return line and fault of each event of `incoming` that is not the next of its stream, nor here already."""
    for line, stream, version, before, previous in connection.execute(_VERSIONS):
        if version <= previous:
            yield line, f"version {version} of {stream} comes after its version {previous}"
        else:
            first, last = before + 1, version - 1
            missing = f"version {first} is" if first == last else f"versions {first} to {last} are"
            yield line, f"version {version} of {stream}: {missing} neither in the file nor here{_FILTERED}"


def registry_faults(connection: sqlite3.Connection) -> Iterator[tuple[int, str]]:
    """Return line and fault of each stream of `incoming` whose registration does not add up, once it is appended."""
    for rule in _REGISTRY:
        for line, *values in connection.execute(f"{_BEGUN} {rule.statement}"):
            yield line, rule.text.format(*values)
