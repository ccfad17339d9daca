"""What 256 endpoints that send the worst they can cost at once, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.webhook.servers import make_certificate, serving
from tests.webhook.test_hostile_answers import TLS_VERSIONS, tls_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.webhook.servers import Client

AT_ONCE = 256
LIMIT_BYTES = 48 * 1024 * 1024

# Sends once, then to all at once; prints by how many bytes its peak is above what it had before.
_SCRIPT = """
import json, re, sys, threading
from webhook import AddressGuard, Sender, Timeouts, WebhookRequest
url, ca_file, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
guard = AddressGuard(["127.0.0.0/8"], allow_http=True)
sender = Sender(guard, ca_file=ca_file or None, resolve=lambda _: ["127.0.0.1"])
classes = []
def send(path, total_s):
    request = WebhookRequest(url=url + path, secrets=("s",), event_name="a.b", body=b"{}", delivery_id="d",
                             timeouts=Timeouts(60, 60, total_s))
    classes.append(str(sender.send(request).error_class))
def peak():  # not ru_maxrss, which begins with that of the process that started this one
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
send("/idle", 30)
before = peak()
threads = [threading.Thread(target=send, args=("/worst", 20)) for _ in range(count)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps([peak() - before, sorted(set(classes[1:]))]))
"""

_HEADERS = b"".join(b"X-%02d: " % number + b"a" * 640 + b"\r\n" for number in range(98))
_WORST = {
    "long head and long body": b"HTTP/1.1 200 OK\r\n" + _HEADERS + b"Content-Length: 65536\r\n\r\n" + b"a" * 65_535,
    "one long header": b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 65_000,
    "interim answers": b"HTTP/1.1 103 E\r\nX-A: b\r\n\r\n" * 2500,
    "tiny chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"2\r\naa\r\n" * 32_000,
    "a long trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: " + b"a" * 65_000,
}


@pytest.mark.parametrize(
    ("worst", "version"), [*((worst, None) for worst in _WORST), ("long head and long body", "tls 1.3")]
)
def test_256_of_the_worst_at_once_stay_below_their_cap(tmp_path: Path, worst: str, version: str | None) -> None:
    asked = 0

    def behave(client: Client) -> None:
        nonlocal asked
        request = client.read_request()
        if b"/idle" in request:
            client.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        with suppress(OSError):
            client.sock.sendall(_WORST[worst])
            asked += 1
            while asked < AT_ONCE and not client.stopping.wait(0.05):
                pass  # all hold what they were sent

    certificate = make_certificate(tmp_path)
    tls = None if version is None else tls_of(certificate, TLS_VERSIONS[version])
    with serving(behave, tls) as server:
        url = f"http://127.0.0.1:{server.port}" if tls is None else f"https://localhost:{server.port}"
        arguments = (url, "" if tls is None else str(certificate), str(AT_ONCE))
        done = subprocess.run((sys.executable, "-c", _SCRIPT, *arguments), capture_output=True, check=True, text=True)
    more_bytes, classes = json.loads(done.stdout)
    print(f"{worst}, {version}: {more_bytes / 2**20:.1f} MB")

    assert more_bytes <= LIMIT_BYTES
    assert set(classes) <= {"protocol", "deadline"}
