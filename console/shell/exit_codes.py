"""Exit codes: what a script can tell from how a command ended."""

from enum import IntEnum

__all__ = ["ExitCode", "exit_code_of"]


class ExitCode(IntEnum):
    """How a command ended. Those from 128 on are what a shell calls an end by a signal."""

    OK = 0
    DIFFERENT = 1
    """`replay verify` has found that a live table says something else than the events (as diff and cmp end)."""
    USAGE = 2
    """A command or option that there is not, or a value that it cannot have."""
    BAD_INPUT = 3
    """A file, a value or the configuration is wrong."""
    NOT_FOUND = 4
    """An organization, app, installation or delivery that is not known."""
    HOME = 5
    """The home folder cannot be used."""
    ALREADY_RUNNING = 6
    """Another daemon holds the home."""
    DATABASE = 7
    """The database, or the Redis that is asked, cannot be used; a full disk, or too few open files, is one reason."""
    CRASHED = 8
    """The daemon gave up: its actors crashed too often."""
    PROBE_FAILED = 9
    """A test delivery did not succeed, or no daemon was there to send it."""
    OUTPUT_LOST = 10
    """The command has done its work, and what it had to say could not be written."""
    FAULT_FOUND = 11
    """A check (such as `doctor` or `policy check`) has done its work, and found a fault."""
    DAMAGED_LOG = 12
    """The event log misses an event, or holds one that was changed or cannot be read."""
    FAILED = 70
    """Something unexpected (EX_SOFTWARE of sysexits.h)."""
    INTERRUPTED = 130
    """Ctrl-C."""
    BROKEN_PIPE = 141
    """Nobody reads the output any more."""


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the exit code for an error; one that is not foreseen is FAILED."""
    # The store takes 200 ms to import: whoever has an error of it has paid that already.
    from eventstore import errors  # noqa: PLC0415

    codes: tuple[tuple[type[errors.EventStoreError], ExitCode], ...] = (
        (errors.DaemonRunningError, ExitCode.ALREADY_RUNNING),  # a HomeError too, so it comes first
        (errors.HomeError, ExitCode.HOME),
        (errors.DatabaseError, ExitCode.DATABASE),
        (errors.ShortageError, ExitCode.DATABASE),
        (errors.RedisAwayError, ExitCode.DATABASE),
        (errors.DamagedLogError, ExitCode.DAMAGED_LOG),
        (errors.NotFoundError, ExitCode.NOT_FOUND),
        (errors.DocumentError, ExitCode.BAD_INPUT),
        (errors.RejectedError, ExitCode.BAD_INPUT),
        (errors.ConfigurationError, ExitCode.BAD_INPUT),
    )
    return next((code for error_class, code in codes if isinstance(error, error_class)), ExitCode.FAILED)
