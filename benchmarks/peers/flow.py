"""The flow of a delivery as a task: build, sign, POST, count the day in Redis, push the request log.

It is what the original's task does, and generous to it: an app's URL and secret are at hand, a thread keeps its
session and its connections, and nothing is done about what is broken.
"""

import hmac
import json
import os
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import redis
import requests

from benchmarks.addresses import addresses_of, endpoint_url

__all__ = ["deliver", "redis_socket", "work_folder"]

TIMEOUT_S = 5.0
_DAYS_30_S = 30 * 86_400
_LOG_ROWS = 100

_local = threading.local()
_actor = {"type": "application", "id": "sentry", "name": "Sentry"}


class _Request(NamedTuple):
    url: str
    body: bytes
    headers: dict[str, str]


def redis_socket() -> str:
    """Return the path of the socket on which the peers' Redis listens."""
    return os.environ["BENCHMARK_REDIS"]


def work_folder() -> str:
    """Return the folder for what a peer keeps in files."""
    return os.environ["BENCHMARK_FOLDER"]


_port = int(os.environ.get("BENCHMARK_PORT", "0"))
_addresses = addresses_of(int(os.environ.get("BENCHMARK_ADDRESSES", "1")))
_redis = redis.Redis(unix_socket_path=os.environ.get("BENCHMARK_REDIS", ""))


def deliver(installation_number: int, event_name: str, attachment_json: str) -> None:
    """Do all of it, once."""
    resource, _, action = event_name.partition(".")
    app_id = organization_id = installation_number + 1
    body = _body(action, installation_number, attachment_json)
    request = _Request(
        endpoint_url(_addresses, _port, installation_number), body, _headers(resource, f"secret of app {app_id}", body)
    )
    code, field = _post(request)
    key = f"sentry-app-error:{app_id}:{organization_id}:"
    if field:
        _count(key, field)
    if field in ("error_count", "timeout_count"):
        _check(key)
    _log(app_id, event_name, code, request)


def _body(action: str, installation_number: int, attachment_json: str) -> bytes:
    document = {
        "action": action,
        "installation": {"uuid": f"{installation_number:08x}-0000-4000-8000-000000000000"},
        "data": json.loads(attachment_json),
        "actor": _actor,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _headers(resource: str, secret: str, body: bytes) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "Request-ID": uuid.uuid4().hex,
        "Sentry-Hook-Resource": resource,
        "Sentry-Hook-Timestamp": str(int(time.time())),
        "Sentry-Hook-Signature": hmac.digest(secret.encode(), body, "sha256").hex(),
    }


def _post(request: _Request) -> tuple[int, str]:
    """Return the status code and the field of the buffer that counts it, if one does (docs/original.md, section 3)."""
    try:
        answer = _session().post(
            request.url, data=request.body, headers=request.headers, timeout=TIMEOUT_S, allow_redirects=False
        )
    except (requests.Timeout, requests.ConnectionError):
        return 0, "timeout_count"
    code = answer.status_code
    if code < 300:
        return code, "success_count"
    return code, "error_count" if 400 <= code < 500 and code != 429 else ""


def _session() -> requests.Session:
    if not hasattr(_local, "session"):
        _local.session = requests.Session()
    session: requests.Session = _local.session
    return session


def _count(key: str, field: str) -> None:
    today = key + datetime.now(UTC).date().isoformat()
    pipeline = _redis.pipeline()
    pipeline.hincrby(today, field, 1)
    pipeline.expire(today, _DAYS_30_S)
    pipeline.execute()


def _check(key: str) -> bool:
    """Look at the days of the buffer, as the original does after each failure; nothing is disabled here."""
    today = datetime.now(UTC).date()
    pipeline = _redis.pipeline()
    for day in range(7):
        pipeline.hgetall(key + (today - timedelta(days=day)).isoformat())
    days = pipeline.execute()
    return any(int(day.get(b"timeout_count", 0)) >= 1000 for day in days) or all(
        int(day.get(b"error_count", 0)) and not int(day.get(b"success_count", 0)) for day in days
    )


def _log(app_id: int, event_name: str, code: int, request: _Request) -> None:
    is_error = code >= 400 or code == 0
    row: dict[str, object] = {"date": datetime.now(UTC).isoformat(), "response_code": code, "webhook_url": request.url}
    if is_error:
        excerpt = request.body[:1024].decode(errors="replace")
        row |= {"request_headers": request.headers, "request_body": excerpt, "response_body": ""}
    pipeline = _redis.pipeline()
    for kind in ("request", "error") if is_error else ("request",):
        log_key = f"sentry-app-webhook-{kind}:{{{app_id}}}:{event_name}"
        pipeline.lpush(log_key, json.dumps(row))
        pipeline.ltrim(log_key, 0, _LOG_ROWS - 1)
        pipeline.expire(log_key, _DAYS_30_S)
    pipeline.execute()
