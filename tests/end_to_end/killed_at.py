"""A daemon that kills itself as soon as something has happened on the way of a disabling.

`python -m tests.end_to_end.killed_at MOMENT ARGUMENTS...` runs hookfuse with these arguments. With `hold FILE` before
the moment it does not die, but writes the file and stands still: whoever waits for the file kills it.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import runner
from actors.delivery.installation import InstallationActor
from actors.journal import transactions
from actors.journal.journal import JournalActor
from actors.mail.mailer import MailerActor
from actors.supervisor.supervisor import SupervisorActor

__all__ = ["MOMENTS"]

Deed = Callable[[], None]


def _before(owner: Any, name: str) -> Callable[[Deed], None]:
    def prepare(die: Deed) -> None:
        real = getattr(owner, name)

        @wraps(real)
        def dying(*arguments: Any, **named: Any) -> Any:
            die()
            return real(*arguments, **named)

        setattr(owner, name, dying)

    return prepare


def _after(owner: Any, name: str) -> Callable[[Deed], None]:
    def prepare(die: Deed) -> None:
        real = getattr(owner, name)

        @wraps(real)
        def dying(*arguments: Any, **named: Any) -> Any:
            result = real(*arguments, **named)
            die()
            return result

        setattr(owner, name, dying)

    return prepare


# What has happened when it dies, in the order of the way.
MOMENTS: dict[str, Callable[[Deed], None]] = {
    "the failure is recorded": _before(InstallationActor, "_learn"),
    "the review is asked for": _before(SupervisorActor, "_review"),
    "the review has begun": _before(transactions, "review"),
    "the disabling is appended": _after(transactions, "review"),
    "the disabling is committed": _after(JournalActor, "_decide"),
    "the installation is answered": _before(SupervisorActor, "_say"),
    "a mail is handed over": _after(MailerActor, "_hand_over"),
    "a mail is recorded": _after(MailerActor, "_record"),
}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stand_still(file: Path) -> Deed:
    def deed() -> None:
        file.touch()
        threading.Event().wait()

    return deed


def main() -> None:
    """Run hookfuse until the moment."""
    arguments = sys.argv[1:]
    deed = _die
    if arguments[0] == "hold":
        deed = _stand_still(Path(arguments[1]))
        arguments = arguments[2:]
    MOMENTS[arguments[0]](deed)
    sys.argv = ["hookfuse", *arguments[1:]]
    runner.main()


if __name__ == "__main__":
    main()
