"""Finding what a person names."""

import sqlite3

from eventstore.common.identifiers import parse_uuid, parse_uuid_beginning
from eventstore.errors import NotFoundError, RejectedError
from eventstore.projections.registry import find_installation, installations_starting_with

__all__ = ["resolve_installation"]


def resolve_installation(connection: sqlite3.Connection, text: str) -> str:
    """Return the id of the installation that a UUID, or the beginning of one, names.

    Raises NotFoundError, and RejectedError when the text is neither or names several.
    """
    try:
        installation_id = parse_uuid(text)
    except RejectedError:
        return _resolve_beginning(connection, parse_uuid_beginning(text))
    try:
        return find_installation(connection, installation_id).installation_id
    except NotFoundError as error:
        raise NotFoundError(f"{error}, or `hookfuse logs delivery` if it is a delivery") from error


def _resolve_beginning(connection: sqlite3.Connection, beginning: str) -> str:
    found = installations_starting_with(connection, beginning, limit=2)
    if not found:
        raise NotFoundError(f"installation {beginning} is not known: see `hookfuse installations`")
    if len(found) > 1:
        raise RejectedError(
            f"several installations start with {beginning}, {found[0]} among them: give more characters"
        )
    return found[0]
