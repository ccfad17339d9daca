"""What a page of the docs has people type, typed."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.waiting import wait_until

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    """Return a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@dataclass(frozen=True)
class Terminal:
    """A shell in the root folder, with a home and a port for the receiver in the place of those that the pages name."""

    home: Path
    port: int

    def section(self, page: str, title: str) -> str:
        """Return a section of a page as it is to be typed here."""
        text = (ROOT / page).read_text(encoding="utf-8")
        _, found, rest = text.partition(f"\n## {title}\n")
        assert found, f"{page} has no section {title!r}"
        return rest.partition("\n## ")[0].replace(".hookfuse", str(self.home)).replace("8080", str(self.port))

    def type(self, command: str, code: int = 0) -> str:
        """Return what the commands say, errors too; insist on the exit code of the last one, and on 0 of all others."""
        words = ["bash", "-ec", command]
        done = subprocess.run(words, capture_output=True, text=True, env=self._environment, cwd=ROOT, check=False)
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def type_until(self, command: str, wanted: str) -> str:
        """Type a command again and again until what it says has a match."""
        said = ""

        def is_said() -> bool:
            nonlocal said
            said = self.type(command)
            return re.search(wanted, said, re.MULTILINE) is not None

        wait_until(is_said, f"{command}: {wanted}")
        return said

    @contextmanager
    def started(self, command: str) -> Iterator[Iterator[str]]:
        """Start a command as in a terminal of its own; yield its lines. Ctrl-C ends it."""
        words = ["bash", "-c", f"exec {command.strip()} 2>&1"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=self._environment, cwd=ROOT) as process:
            assert process.stdout is not None
            try:
                yield (line.rstrip("\n") for line in process.stdout)
            finally:
                process.terminate()

    @property
    def _environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return os.environ | {"HOOKFUSE_HOME": str(self.home), "PATH": path}


def typed(section: str) -> list[str]:
    """Return the blocks that a section has people type."""
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def answered(section: str) -> list[str]:
    """Return the blocks that a section says come back."""
    return re.findall(r"```text\n(.*?)```", section, re.DOTALL)
