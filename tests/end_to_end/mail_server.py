"""A mail server as a process of its own: `python mail_server.py LOG`, prints its port, ends when its input does.

Each mail is one JSON line in LOG, written before it is accepted.
"""

import asyncio
import json
import sys
from email import message_from_bytes, policy
from pathlib import Path
from typing import IO, Any

from aiosmtpd.smtp import SMTP


class _Keeper:
    def __init__(self, log: IO[str]) -> None:
        self._log = log

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        message = message_from_bytes(envelope.content, policy=policy.default)
        body = message.get_body(("plain",))
        mail = {
            "to": envelope.rcpt_tos,
            "subject": message["Subject"],
            "message_id": message["Message-ID"],
            "text": body.get_content() if body else "",
        }
        self._log.write(json.dumps(mail) + "\n")
        self._log.flush()
        return "250 OK"


async def _serve(log: IO[str]) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(_Keeper(log), hostname="mail.example"), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    with Path(sys.argv[1]).open("a") as _log:
        asyncio.run(_serve(_log))
