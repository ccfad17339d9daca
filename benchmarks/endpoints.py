"""The receiver process as the harness sees it: where the installations' endpoints are, and what came there."""

import sys
from pathlib import Path
from typing import Self

from benchmarks.addresses import addresses_of, endpoint_url
from benchmarks.arrivals import Arrival, ArrivalsReader
from benchmarks.process_group import BenchmarkError, ProcessGroup
from benchmarks.receiver import Answering

__all__ = ["Endpoints"]


class Endpoints:
    """Owns a receiver. Installation n has the path /hook/n, and with several addresses one of them."""

    def __init__(
        self,
        folder: Path,
        answering: Answering | None = None,
        *,
        capacity: int = 1_000_000,
        addresses: int = 1,
        port: int = 0,
    ) -> None:
        answering = answering or Answering()
        self.silent_every = answering.silent_every
        arrivals = folder / "arrivals"
        arrivals.unlink(missing_ok=True)
        self.addresses = addresses_of(addresses)
        self.process = ProcessGroup(
            "receiver",
            [
                *(sys.executable, "-m", "benchmarks.receiver", "--arrivals", str(arrivals)),
                *("--capacity", str(capacity), "--addresses", str(addresses), "--port", str(port)),
                *("--silent-every", str(answering.silent_every), "--failing", str(answering.failing)),
                *("--hanging-up", str(answering.hanging_up), "--ignoring", str(answering.ignoring)),
            ],
            folder=folder,
            settings={},
        )
        try:
            self.port = int(self.process.first_line())
        except BaseException:
            self.process.kill()
            raise
        self.arrivals = ArrivalsReader(arrivals)

    def url(self, installation_number: int) -> str:
        """Return the webhook URL of an installation."""
        return endpoint_url(self.addresses, self.port, installation_number)

    def is_silent(self, installation_number: int) -> bool:
        """Return whether an installation is never answered."""
        return bool(self.silent_every) and installation_number % self.silent_every == 0

    def healthy(self) -> list[Arrival]:
        """Read what has come to the installations that are answered."""
        return [arrival for arrival in self.arrivals.read() if not self.is_silent(arrival.path_number)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.process.stop()
        if complaints := self.process.last_words():
            raise BenchmarkError(f"the receiver was sent what it does not understand{complaints}")
