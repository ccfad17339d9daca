"""Ids: of what, and in which form."""

import os
import time
import uuid
from datetime import UTC, datetime

from eventstore.errors import RejectedError

__all__ = [
    "FLEET_STREAM",
    "HOME_STREAM",
    "MAIL_STREAM",
    "app_stream",
    "import_stream",
    "installation_of",
    "installation_stream",
    "made_at",
    "new_id",
    "new_ids",
    "organization_stream",
    "parse_uuid",
    "parse_uuid_beginning",
]

_BEGINNING_CHARACTERS = 6
_DASHES = (8, 13, 18, 23)
_UUID_CHARACTERS = 36
_INSTALLATION_PREFIX = "installation-"

# What concerns all installations at once.
FLEET_STREAM = "fleet"

# What was decided about the home as a whole.
HOME_STREAM = "home"

# Mails that tell of many installations.
MAIL_STREAM = "mail"

# RFC 9562 section 4.1: the variant's two bits are 10, the other two are chance.
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def new_id() -> str:
    """Make a UUID of version 7 (RFC 9562 section 5.7): ids made later sort later."""
    return new_ids(1)[0]


def new_ids(count: int) -> list[str]:
    """Make so many UUIDs of version 7, all of one moment, with one question to the kernel."""
    milliseconds = time.time_ns() // 1_000_000
    moment = f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}"
    chance = os.urandom(10 * count).hex()
    return [_version_7(moment, chance[start : start + 20]) for start in range(0, 20 * count, 20)]


def _version_7(moment: str, chance: str) -> str:
    # uuid.UUID takes several times as long to write it. The version and two bits of the variant stand among the chance.
    return f"{moment}-7{chance[1:4]}-{_VARIANT[chance[4]]}{chance[5:8]}-{chance[8:]}"


def made_at(identifier: str) -> datetime | None:
    """Return the moment in an id of new_id, None = there is none: it is a UUID of another kind."""
    value = uuid.UUID(identifier)
    try:
        return datetime.fromtimestamp((value.int >> 80) / 1000, UTC) if value.version == 7 else None
    except (OverflowError, ValueError):  # a year beyond those of datetime
        return None


def parse_uuid(text: str) -> str:
    """Return a UUID in its canonical spelling.

    Raises RejectedError when the text is none.
    """
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise RejectedError(f"{text[:60]!r} is not a UUID") from error


def installation_stream(installation_id: str) -> str:
    """Return the name of the stream that holds what happens to one installation."""
    return _INSTALLATION_PREFIX + installation_id


def installation_of(stream: str) -> str:
    """Return the installation id of an installation's stream, and an empty text for another stream."""
    return stream[len(_INSTALLATION_PREFIX) :] if stream.startswith(_INSTALLATION_PREFIX) else ""


def app_stream(app_id: int) -> str:
    """Return the name of the stream that holds an app's registration and changes."""
    return f"app-{app_id}"


def organization_stream(organization_id: int) -> str:
    """Return the name of the stream that holds an organization's registration and changes."""
    return f"organization-{organization_id}"


def import_stream(import_id: str) -> str:
    """Return the name of the stream for the decisions of an import, its own so that it is in no other's way."""
    return f"import-{import_id}"


def parse_uuid_beginning(text: str) -> str:
    """Return the first characters of a UUID as it is written. Raises RejectedError when no UUID begins so."""
    beginning = text.lower()
    is_one = _BEGINNING_CHARACTERS <= len(beginning) <= _UUID_CHARACTERS and all(
        character == "-" if place in _DASHES else character in "0123456789abcdef"
        for place, character in enumerate(beginning)
    )
    if not is_one:
        raise RejectedError(f"{text[:60]!r} is neither a UUID nor its first {_BEGINNING_CHARACTERS} or more characters")
    return beginning
