"""The files that one delivery and one disabling walk through, in the order in which they are first entered.

`walk.py CHECKOUT` prints them for the code of that checkout. The sender is a double: `webhook` is not among them.
"""

import importlib
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(sys.argv[1]).resolve()
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]


class Walk:
    """What is entered: files in their order, which actor gets which message, and how often a policy is evaluated."""

    def __init__(self) -> None:
        self.files: dict[str, None] = {}
        self.messages: list[str] = []
        self.evaluations = 0

    def note(self, frame: FrameType, event: str, _argument: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event != "call" or not path.is_relative_to(ROOT) or path.suffix != ".py":
            return
        name = path.relative_to(ROOT)
        if name.parts[0] not in ("actors", "eventstore"):
            return
        self.files.setdefault(str(name), None)
        function, arguments = frame.f_code.co_name, list(frame.f_locals.values())
        self.evaluations += function in ("evaluate", "judge") and path.stem in ("evaluation", "verdict")
        if function == "receive" and frame.f_code.co_argcount == 2:
            self.messages.append(f"{type(arguments[0]).__name__.removesuffix('Actor')} {type(arguments[1]).__name__}")

    @contextmanager
    def walking(self) -> Iterator[None]:
        """Note what is entered within the block."""
        sys.setprofile(self.note)
        try:
            yield
        finally:
            sys.setprofile(None)


def main() -> None:
    """Walk through both, and print what is entered."""
    lived = importlib.import_module("lived")
    stage_module: Any = lived.stage_module
    delivery, disabling = Walk(), Walk()
    with tempfile.TemporaryDirectory() as folder:
        stage = stage_module.Stage(Path(folder))
        stage.register(stage_module.ONE)
        works = stage_module.Works(stage, is_warned=False)
        mailer = stage.mailer(lived.Memory())
        stage.run()
        with delivery.walking():
            stage.enqueue(stage_module.ONE)
            works.look_around()
        works.receiver.answer = stage_module.SERVER_ERROR
        stage.clock.advance(days=9)
        stage.wear_out(failures=3, days=3)
        stage.enqueue(stage_module.ONE)
        with disabling.walking():
            works.look_around()
            mailer.tell(lived.CheckOutbox())
            stage.run()
        stage.close()
    for name, walk in (("delivery", delivery), ("disabling", disabling)):
        print(f"A {name}: {len(walk.files)} files, the policy evaluated {walk.evaluations} times.\n")
        print(", ".join(f"`{one}`" for one in walk.files))
        print("\nMessages: " + ", ".join(walk.messages) + "\n")


if __name__ == "__main__":
    main()
