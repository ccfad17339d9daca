"""Running the command line: every error becomes one line and an exit code."""

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import click

from console.output.printable import one_line
from console.shell.exit_codes import ExitCode, exit_code_of

__all__ = ["run_command_line"]

_NAME = "hookfuse"


def run_command_line(group: click.Command, arguments: Sequence[str] | None = None, clock: object = None) -> NoReturn:
    """Run a command of the group and end the process.

    A command that returns an ExitCode ends with it. An error is one line on standard error; HOOKFUSE_DEBUG=1
    adds the traceback to one that was not foreseen. `clock` is the one that commands see (None = the machine's).
    """
    if "_HOOKFUSE_COMPLETE" in os.environ:  # a shell asks click for completions
        group.main(prog_name=_NAME)
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    code = _run(group, list(sys.argv[1:] if arguments is None else arguments), clock)
    sys.exit(int(code))


def _run(group: click.Command, arguments: list[str], clock: object) -> int:
    try:
        with group.make_context(_NAME, list(arguments), obj=clock) as context:  # click empties the list
            result = group.invoke(context)
        _flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        return _show_usage(error)
    except (KeyboardInterrupt, EOFError, click.Abort):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return ExitCode.BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the last one who can say something about it
        return _show_error(_of_no_text(error, arguments) or error)
    return result if isinstance(result, int) else ExitCode.OK


def _flush() -> None:
    if "console.output.tables" in sys.modules:  # nothing else prints what could be lost
        sys.modules["console.output.tables"].flush_output()


def _open_closed_streams() -> None:
    """Take the place of what the caller has closed (`>&-`), or a file that is opened next would be taken for it.

    Standard output is one that can't be written: a command that had something to say must not end as if it had.
    """
    for name, mode in (("stdin", "r"), ("stdout", "r"), ("stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDONLY if mode == "r" else os.O_WRONLY)
            stream = open(descriptor, "r" if name == "stdin" else "w", encoding="utf-8")  # noqa: PTH123, SIM115 - until the end
            setattr(sys, name, stream)


def _show_usage(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    context = error.ctx if isinstance(error, click.UsageError) else None
    where = context.command_path if context else _NAME
    _say(f"{where.removeprefix(_NAME).strip()}: {error.format_message()} (see {where} --help)".removeprefix(": "))
    return error.exit_code


def _of_no_text(error: Exception, arguments: Sequence[str]) -> Exception | None:
    """Return the error that says which argument is not text: a file may be named so, but nothing in the database."""
    if not isinstance(error, UnicodeEncodeError):
        return None
    for argument in arguments:
        if any("\udc80" <= character <= "\udcff" for character in argument):  # bytes, as os.fsdecode keeps them
            from eventstore.errors import RejectedError  # noqa: PLC0415 - whoever got so far has imported it

            return RejectedError(f"{argument[:60]!r} is not UTF-8, and every name and key is")
    return None


def _show_error(error: Exception) -> int:
    from console.output.tables import OutputLostError  # noqa: PLC0415 - whoever printed something has imported it

    if isinstance(error, OutputLostError):
        _silence_stdout()
        _say(f"done, but the output could not be written: {error}")
        return ExitCode.OUTPUT_LOST
    # The store takes 200 ms to import; whoever got so far has done it.
    from eventstore.common.shortage import DISK, lack_of, raise_shortage  # noqa: PLC0415
    from eventstore.errors import EventStoreError  # noqa: PLC0415
    from eventstore.sqlite.database import explained  # noqa: PLC0415

    try:
        if lack_of(error) != DISK:  # that one is the output's, as often as not
            raise_shortage(error, "not done")
        with explained():  # SQLite's own errors too
            raise error  # noqa: TRY301
    except EventStoreError as known:
        _say(str(known))
        return exit_code_of(known)
    except OSError as environment:  # such as a full disk behind standard output
        _say(_environment_text(environment))
        _show_traceback()
        _silence_stdout()
        return _environment_code(environment)
    except Exception as unknown:  # noqa: BLE001 - as above
        _say(f"{type(unknown).__name__}: {unknown}: this is a bug (HOOKFUSE_DEBUG=1 shows where)")
        _show_traceback()
    return ExitCode.FAILED


def _environment_text(error: OSError) -> str:
    """Return which file the system refused and why, without the number and the quotes of Python's own text."""
    if error.filename is None:
        return error.strerror or str(error)
    return f"{os.fsdecode(error.filename)}: cannot be used ({error.strerror})"


def _environment_code(error: OSError) -> ExitCode:
    """Choose the code by whose file it was: the home's, or one that was named; a full disk has one of its own."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ExitCode.DATABASE
    if error.filename is None or isinstance(error.filename, int):
        return ExitCode.FAILED
    home = os.path.abspath(os.environ.get("HOOKFUSE_HOME") or ".hookfuse")  # noqa: PTH100 - a path may be one that no Path takes
    path = os.path.abspath(os.fsdecode(error.filename))  # noqa: PTH100 - as above
    return ExitCode.HOME if path == home or path.startswith(home + os.sep) else ExitCode.BAD_INPUT


def _say(text: str) -> None:
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{_NAME}: {one_line(text)}\n")
        sys.stderr.flush()


def _show_traceback() -> None:
    if os.environ.get("HOOKFUSE_DEBUG", "") in ("", "0"):
        return
    import traceback  # noqa: PLC0415 - only who looks for a bug needs it

    traceback.print_exc()


def _silence_stdout() -> None:
    """Discard what is still buffered, so that the interpreter's own flush finds no broken pipe."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
