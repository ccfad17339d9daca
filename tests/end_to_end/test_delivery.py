"""From a command in one process to a request at a receiver in another."""

import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

from tests.end_to_end.stage import ATTACHMENT, LIMIT_S, PATIENT, Stage, installation_id
from tests.end_to_end.waiting import hear, wait_for_requests, wait_until

_ALERT = ("alert", "--app", "5", "--organization", "17", "--incident", "3", "--action", "9", "--status", "critical")


def _write_attachment(stage: Stage) -> str:
    path = stage.home.parent / "alert.json"
    path.write_text(json.dumps(ATTACHMENT))
    return str(path)


def _the_one(stage: Stage) -> dict[str, Any]:
    (request,) = stage.receiver.seen()
    return request


def test_an_alert_arrives_with_the_body_of_the_flow(stage: Stage) -> None:
    stage.apply({5: "/200"})
    stage.run(*_ALERT, "--attachment", _write_attachment(stage))

    stage.run("run", "--drain")

    expected = {
        "action": "critical",
        "installation": {"uuid": installation_id(5)},
        "data": ATTACHMENT,
        "actor": {"type": "application", "id": "sentry", "name": "Sentry"},
    }
    assert _the_one(stage)["method"] == "POST"
    assert _the_one(stage)["body"] == json.dumps(expected, separators=(",", ":"))


def test_an_alert_is_signed_in_both_ways(stage: Stage) -> None:
    stage.apply({5: "/200"})
    stage.run(*_ALERT, "--attachment", _write_attachment(stage))

    stage.run("run", "--drain")

    headers, body = _the_one(stage)["headers"], _the_one(stage)["body"]
    assert headers["sentry-hook-resource"] == "metric_alert"
    assert headers["sentry-hook-signature"] == hmac.new(b"secret-5", body.encode(), hashlib.sha256).hexdigest()
    assert headers["sentry-hook-timestamp"] == headers["webhook-timestamp"]
    assert Webhook(b"secret-5").verify(body, headers) == json.loads(body)


def test_custom_headers_are_sent_and_never_written_down(stage: Stage) -> None:
    stage.apply({5: "/500"}, headers='["X-Token: s3cret-value"]')
    stage.configure("[retry]\nschedule = []\n")
    stage.run(*_ALERT, "--attachment", _write_attachment(stage))

    stage.run("run", "--drain")

    assert _the_one(stage)["headers"]["x-token"] == "s3cret-value"
    told = stage.run("events", "--json").stdout + stage.run("requests", "--json").stdout
    told += (stage.home / "logs" / "hookfuse.jsonl").read_text() + stage.run(
        "show", installation_id(5), "--json"
    ).stdout
    assert "X-Token" in told
    assert "s3cret-value" not in told
    assert "secret-5" not in told


def test_a_retry_has_the_same_delivery_id_and_a_new_request_id(stage: Stage) -> None:
    stage.apply({5: "/500"})
    stage.configure("[retry]\nschedule = [0, 0]\n")
    stage.run(*_ALERT, "--attachment", _write_attachment(stage))

    stage.run("run", "--drain")

    headers = [request["headers"] for request in stage.receiver.seen()]
    assert len(headers) == 3
    assert len({header["webhook-id"] for header in headers}) == 1
    assert len({header["request-id"] for header in headers}) == 3
    (dead,) = stage.json("deliveries", "--state", "dead")
    assert dead["delivery_id"] == headers[0]["webhook-id"]
    assert dead["attempts"] == 3


def test_a_dead_delivery_can_be_sent_again_under_its_id(stage: Stage) -> None:
    stage.apply({5: "/500"})
    stage.configure("[retry]\nschedule = []\n")
    stage.run(*_ALERT, "--attachment", _write_attachment(stage))
    stage.run("run", "--drain")
    (dead,) = stage.json("deliveries", "--state", "dead")

    stage.apply({5: "/200"})
    stage.run("deliveries", "resend", dead["delivery_id"])
    stage.run("run", "--drain")

    assert [request["path"] for request in stage.receiver.seen()] == ["/500", "/200"]
    assert {request["headers"]["webhook-id"] for request in stage.receiver.seen()} == {dead["delivery_id"]}
    assert stage.json("deliveries") == []


def test_a_redirect_is_the_answer_and_is_not_followed(stage: Stage) -> None:
    stage.apply({5: "/302"})
    stage.configure("[retry]\nschedule = []\n")
    stage.run(*_ALERT, "--attachment", _write_attachment(stage))

    stage.run("run", "--drain")

    assert _the_one(stage)["path"] == "/302"
    (event,) = stage.json("events", "--type", "delivery.failed")
    assert event["data"]["status_code"] == 302
    assert event["data"]["error_class"] == "redirect"


def test_a_private_address_is_refused_unless_it_is_allowed(stage: Stage) -> None:
    stage.apply({5: "/200"})
    (stage.home / "hookfuse.toml").write_text("[guard]\nallow_http = true\n")
    stage.run(*_ALERT, "--attachment", _write_attachment(stage))

    stage.run("run", "--drain")

    assert stage.receiver.seen() == []
    assert [event["type"] for event in stage.json("events", "--installation", installation_id(5))][1:] == [
        "delivery.blocked",
        "delivery.exhausted",
    ]


def test_draining_leaves_what_is_planned_for_later(stage: Stage) -> None:
    stage.apply({5: "/500"})
    stage.configure("[retry]\nschedule = [3600]\n")
    stage.run(*_ALERT, "--attachment", _write_attachment(stage))

    stage.run("run", "--drain")

    (waiting,) = stage.json("deliveries")
    assert (waiting["state"], waiting["attempts"]) == ("waiting", 1)


def test_the_python_function_queues_from_any_process(stage: Stage) -> None:
    stage.apply({5: "/200"})
    program = (
        "from eventstore import send_incident_alert_notification as send\n"
        "print(send(sentry_app_id=5, action_id=9, incident_id=3, new_status=2, organization_id=17,"
        " incident_attachment_json='{}', notification_uuid='n-1'))\n" * 2
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"HOOKFUSE_HOME": str(stage.home)},
        capture_output=True,
        text=True,
        check=True,
    )

    stage.run("run", "--drain")

    assert done.stdout.split() == ["True", "True"]
    assert json.loads(_the_one(stage)["body"])["action"] == "resolved"


def test_a_running_daemon_delivers_what_another_process_queues(stage: Stage) -> None:
    stage.apply({5: "/200"})
    with stage.daemon():
        stage.send([(5, "issue.created"), (5, "issue.resolved")])

        wait_until(lambda: len(stage.receiver.seen()) == 2, "two requests at the receiver")


def test_a_running_daemon_follows_the_registry_and_the_switch(stage: Stage) -> None:
    stage.apply({5: "/200"})
    with stage.daemon():
        stage.send([(5, "issue.created")])
        wait_until(stage.receiver.seen, "a request at the old path")
        stage.apply({5: "/204"})
        stage.send([(5, "issue.created")])
        wait_until(lambda: len(stage.receiver.seen()) == 2, "a request at the new path")
        stage.run("disable", installation_id(5), "--reason", "maintenance")
        stage.send([(5, "issue.created")])
        wait_until(lambda: stage.look("deliveries", "--state", "missed"), "a missed delivery")
        stage.run("enable", installation_id(5), "--reason", "maintenance is over")
        stage.send([(5, "issue.assigned")])
        wait_until(lambda: len(stage.receiver.seen()) == 3, "a request after enabling")

    paths = [request["path"] for request in stage.receiver.seen()]
    assert paths == ["/200", "/204", "/204"]


def test_a_second_daemon_on_the_same_home_is_refused(stage: Stage) -> None:
    stage.apply({5: "/200"})
    with stage.daemon() as first:
        wait_until(lambda: stage.look("status")["daemon_pid"] == first.pid, "the first daemon runs")

        refused = stage.run("run", code=6)

        assert refused.stderr.count("\n") == 1
        assert f"process {first.pid}" in refused.stderr
        assert first.poll() is None


def test_sigterm_lets_what_is_in_flight_finish_and_exits_with_0(stage: Stage, systemd: socket.socket) -> None:
    stage.apply({5: "/200", 6: "/204"})
    stage.configure(f"{PATIENT}[daemon]\nstop_s = {LIMIT_S}\n")
    stage.receiver.answer_first(0)
    stage.send([(5, "issue.created")])
    with stage.daemon() as daemon:
        wait_for_requests(stage.receiver, 1)
        daemon.send_signal(signal.SIGTERM)
        hear(systemd, "STOPPING=1")
        stage.send([(6, "issue.created")])
        stage.receiver.answer_first()

        assert daemon.wait(LIMIT_S) == 0

    succeeded = stage.json("events", "--type", "delivery.succeeded")
    assert 200 in {event["data"]["status_code"] for event in succeeded}
    assert len(succeeded) + len(stage.json("deliveries", "--state", "waiting")) == 2


def test_each_attempt_is_one_line_in_the_log(stage: Stage) -> None:
    stage.apply({5: "/500"})
    stage.configure("[retry]\nschedule = [0]\n")
    stage.send([(5, "issue.created")])

    stage.run("run", "--drain")

    lines = [line for line in stage.log_lines() if line["event"] == "delivery_attempted"]
    assert [(line["attempt"], line["outcome"], line["status_code"]) for line in lines] == [
        (1, "failed", 500),
        (2, "failed", 500),
    ]
    assert {line["delivery_id"] for line in lines} == {stage.json("deliveries")[0]["delivery_id"]}


def test_files_are_for_their_owner_only(stage: Stage) -> None:
    stage.apply({5: "/410"})
    stage.configure("[smtp]\n".replace("[smtp]\n", ""))
    stage.send([(5, "issue.created")])
    stage.run("run", "--drain")

    modes = {path: path.stat().st_mode & 0o777 for path in [stage.home, *stage.home.rglob("*")]}

    written_by_hookfuse = {path: mode for path, mode in modes.items() if path != stage.home / "hookfuse.toml"}
    assert {oct(mode) for path, mode in written_by_hookfuse.items() if path.is_dir()} == {"0o700"}
    assert {oct(mode) for path, mode in written_by_hookfuse.items() if not path.is_dir()} == {"0o600"}
    assert isinstance(stage.home, Path)


def test_a_daemon_whose_database_is_taken_away_says_so_and_ends(stage: Stage) -> None:
    stage.apply({5: "/200"})
    with stage.daemon() as daemon:
        wait_until(lambda: stage.look("status")["daemon_pid"] == daemon.pid, "the daemon runs")
        (stage.home / "events.db").unlink()

        assert daemon.wait(LIMIT_S) == 7
        assert daemon.stderr is not None
        said = daemon.stderr.read()
        assert "was removed or replaced" in said or "is missing, and there was a database here" in said


def test_what_is_queued_is_said_to_be_queued_when_the_output_cannot_be_written(stage: Stage) -> None:
    stage.apply({5: "/200"})
    line = json.dumps({"installation": installation_id(5), "event": "issue.created", "data": {}})

    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            stage.command("send", "--batch", "-"),
            input=line,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 10
    assert done.stderr.startswith("hookfuse: done, but")
    assert len(stage.json("deliveries")) == 1


def test_a_daemon_without_a_standard_error_delivers_all_the_same(stage: Stage) -> None:
    stage.apply({5: "/200"})
    stage.send([(5, "issue.created")])

    with Path("/dev/full").open("w") as full:
        done = subprocess.run(stage.command("run", "--drain"), stderr=full, stdout=full, check=False)

    assert done.returncode == 0
    assert len(stage.receiver.seen()) == 1
