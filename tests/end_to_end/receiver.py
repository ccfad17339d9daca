"""A receiver as a process of its own: `python receiver.py LOG`, prints its port, ends when its standard input does.

The path says what it answers: /200, /500, /410, /302 and so on; /flaky fails every third request; /random every
second one, by chance; /told answers the code in the file LOG.told, 200 without it; /hang never answers.
Each request is one JSON line in LOG, written before the answer is.
"""

import asyncio
import json
import random
import sys
from pathlib import Path
from typing import IO


def _answer(path: str, count: int, dice: random.Random, told: Path) -> int:
    if path[1:].isdigit():
        return int(path[1:])
    if path == "/told":
        return int(told.read_text()) if told.exists() else 200
    fails = {"/flaky": count % 3 == 0, "/random": dice.random() < 0.5}
    return 500 if fails.get(path, False) else 200


async def _serve(log: IO[str]) -> None:
    counts: dict[str, int] = {}
    dice = random.Random(7)

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
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    with Path(sys.argv[1]).open("a") as _log:
        asyncio.run(_serve(_log))
