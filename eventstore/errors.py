"""The errors of the store.

EventStoreError
├── HomeError               the home folder cannot be made, read or written
│   └── DaemonRunningError  another daemon holds this home
├── DatabaseError           events.db cannot be used
│   ├── NotADatabaseError   the file is something else
│   ├── NewerSchemaError    a newer hookfuse wrote it
│   ├── DamagedFileError    it is not what was written: a page, an index, an event, a payload, the schema
│   ├── LostCommitsError    what was committed to it is not there any more, or it is not there at all
│   └── DiskFullError       nothing more can be written
├── ShortageError           this machine lacks something for the moment: open files, memory, threads
├── RedisAwayError          the Redis that is configured does not answer, or not as it should
├── ConfigurationError      hookfuse.toml or the environment is wrong
├── DocumentError           a file that a person gave is wrong (TOML, JSON)
├── UrlInvalidError         a URL that no request can be sent to
├── HeaderInvalidError      a custom header that may not go out
├── MailAddressInvalidError what no mail can be sent to
├── NotFoundError           an id that the registry or the queue does not know
├── RejectedError           a value over a limit or outside what is allowed
│   └── EventNameInvalidError   the name of an event is not resource.action
├── ConflictError           a stream has moved on since it was read
└── DamagedLogError         the log misses an event, or holds one that cannot be read
    └── UnknownEventError   its type or form is not known to this version
"""

from dataclasses import dataclass

__all__ = [
    "ConfigurationError",
    "ConflictError",
    "DaemonRunningError",
    "DamagedFileError",
    "DamagedLogError",
    "DatabaseError",
    "DiskFullError",
    "DocumentError",
    "EventNameInvalidError",
    "EventStoreError",
    "HeaderInvalidError",
    "HomeError",
    "Lack",
    "LostCommitsError",
    "MailAddressInvalidError",
    "NewerSchemaError",
    "NotADatabaseError",
    "NotFoundError",
    "RedisAwayError",
    "RejectedError",
    "ShortageError",
    "UnknownEventError",
    "UrlInvalidError",
]


class EventStoreError(Exception):
    """Root of all errors of the store; its text is one line for a person."""


class HomeError(EventStoreError):
    """The home folder cannot be made, read or written."""


class DaemonRunningError(HomeError):
    """Another daemon holds this home."""


class DatabaseError(EventStoreError):
    """The database file cannot be used."""


class NotADatabaseError(DatabaseError):
    """The file is not an SQLite database."""


class NewerSchemaError(DatabaseError):
    """A newer hookfuse has written this database."""


class DamagedFileError(DatabaseError):
    """The file is not what was written; the text names the first fault, and what repairs it."""


class LostCommitsError(DatabaseError):
    """What was committed is not there any more: a person decides how to go on."""


class DiskFullError(DatabaseError):
    """Nothing more can be written; the text says whether what was being written may be there."""


@dataclass(frozen=True, slots=True)
class Lack:
    """What is short, and what a person can do about it; `is_of_machine`: it may help to give something up here."""

    what: str
    fix: str
    is_of_machine: bool = True


class ShortageError(EventStoreError):
    """This machine lacks something for the moment (`lack`): what was to be done can be done again later."""

    def __init__(self, lack: Lack, doing: str) -> None:
        lacks = "is short of" if lack.is_of_machine else "lacks"
        super().__init__(f"{doing}: this machine {lacks} {lack.what}: {lack.fix}")
        self.lack = lack


class RedisAwayError(EventStoreError):
    """The Redis that is configured does not answer, or not as it should."""


class ConfigurationError(EventStoreError):
    """The configuration file or the environment is wrong."""


class DocumentError(EventStoreError):
    """A file that a person gave is malformed; the text says which and where."""


class UrlInvalidError(EventStoreError, ValueError):
    """A URL that no request can be sent to, whatever the settings are; the text never has its path or query."""


class MailAddressInvalidError(EventStoreError, ValueError):
    """What no mail can be sent to; the text says why, in one line of ASCII."""


class HeaderInvalidError(EventStoreError, ValueError):
    """A custom header is malformed or not the app's to set; the text names it and never shows its value."""


class NotFoundError(EventStoreError):
    """An id that is not known here."""


class RejectedError(EventStoreError):
    """A value over a limit or outside what is allowed."""


class EventNameInvalidError(RejectedError):
    """The name of an event is not of the form resource.action."""


class ConflictError(EventStoreError):
    """A stream is not at the version that the writer expected."""


class DamagedLogError(EventStoreError):
    """The log misses an event, or holds one that cannot be read; the text names its position."""


class UnknownEventError(DamagedLogError):
    """An event type or schema number that this version cannot read."""
