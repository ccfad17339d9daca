"""A receiver to try hookfuse with: python3 examples/receiver.py SECRET_FILE [PORT [STATUS]]."""  # noqa: INP001

import base64
import hmac
import json
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# --- verifying ---
TOLERANCE_S = 300


def verify_sentry(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Check Sentry-Hook-Signature, which covers exactly the body's bytes; header names are in lower case."""
    expected = hmac.digest(secret.encode(), body, "sha256").hex()
    return hmac.compare_digest(expected.encode(), headers.get("sentry-hook-signature", "").encode())


def verify_standard(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Check webhook-signature, which covers id, timestamp and body; an old request is refused."""
    delivery_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or len(timestamp) > 12 or abs(time.time() - int(timestamp)) > TOLERANCE_S:
        return False
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.digest(secret.encode(), signed, "sha256"))
    return any(hmac.compare_digest(expected, one.encode()) for one in headers.get("webhook-signature", "").split())


# --- end ---


def make_handler(secret: str, status: int) -> type[BaseHTTPRequestHandler]:
    """Return a handler that checks both signatures, tells what came, and answers with the status."""
    known_ids: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            is_genuine = verify_sentry(secret, headers, body) and verify_standard(secret, headers, body)
            answer = status if is_genuine else 401
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()
            if not is_genuine:
                say(f"refused with {answer}: the signatures do not hold")
                return
            delivery_id = headers["webhook-id"]
            again = " again" if delivery_id in known_ids else ""
            known_ids.add(delivery_id)
            event = f"{headers['sentry-hook-resource']}.{json.loads(body)['action']}"
            say(f"{event}, delivery {delivery_id}{again}: both signatures hold, answered {answer}")

        def log_message(self, *_arguments: object) -> None:
            """Log nothing: do_POST has printed it."""

    return Handler


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve on 127.0.0.1 until Ctrl-C."""
    if not 2 <= len(sys.argv) <= 4:
        sys.exit("usage: python3 examples/receiver.py SECRET_FILE [PORT [STATUS]]")
    path, port, status = (*sys.argv[1:], *("8080", "200")[len(sys.argv) - 2 :])
    with ThreadingHTTPServer(("127.0.0.1", int(port)), make_handler(Path(path).read_text(), int(status))) as server:
        say(f"listening on http://127.0.0.1:{server.server_port}/, answering {status}")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("stopped")


if __name__ == "__main__":
    main()
