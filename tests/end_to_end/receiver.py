"""A receiver as a process of its own: `python receiver.py LOG`, prints its port, ends when its standard input does.

The path says what it answers: /200, /500, /410, /302 and so on; /once fails the first request; /flaky every third;
/random every second one, by chance; /told answers the code in the file LOG.told, 200 without it; /hang never answers.
Each request is one JSON line in LOG, written before the answer is. A number on standard input holds back the answers
to all requests after the first so many, until it is told another; that it has understood it says by the same line.
"""

import asyncio
import json
import math
import random
import sys
from itertools import count
from pathlib import Path
from typing import IO


class _Gate:
    """Lets the answers to the first so many requests out."""

    def __init__(self) -> None:
        self._limit = math.inf
        self._moved = asyncio.Event()

    async def pass_through(self, number: int) -> None:
        while number > self._limit:
            await self._moved.wait()

    def move(self, limit: float) -> None:
        self._limit = limit
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
        _say(f"{limit:g}")


def _obey(gate: _Gate, loop: asyncio.AbstractEventLoop) -> None:
    for line in sys.stdin:
        loop.call_soon_threadsafe(gate.move, float(line))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _answer(path: str, number: int, dice: random.Random, told: Path) -> int:
    if path[1:].isdigit():
        return int(path[1:])
    if path == "/told":
        return int(told.read_text()) if told.exists() else 200
    fails = {"/once": number == 1, "/flaky": number % 3 == 0, "/random": dice.random() < 0.5}
    return 500 if fails.get(path, False) else 200


async def _serve(log: IO[str]) -> None:
    counts: dict[str, int] = {}
    numbers = count(1)
    dice = random.Random(7)
    gate = _Gate()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                method, path, _ = lines[0].split(" ")
                headers = {
                    name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                counts[path] = counts.get(path, 0) + 1
                log.write(
                    json.dumps({"method": method, "path": path, "headers": headers, "body": body.decode()}) + "\n"
                )
                log.flush()
                await gate.pass_through(next(numbers))
                if path == "/hang":
                    await asyncio.sleep(3600)
                code = _answer(path, counts[path], dice, Path(log.name + ".told"))
                writer.write(f"HTTP/1.1 {code} X\r\nContent-Length: 2\r\nLocation: /200\r\n\r\nok".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, limit=2**22)
    _say(str(server.sockets[0].getsockname()[1]))
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, _obey, gate, loop)


if __name__ == "__main__":
    with Path(sys.argv[1]).open("a") as _log:
        asyncio.run(_serve(_log))
