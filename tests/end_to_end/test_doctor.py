"""`hookfuse doctor` with a real mail server and a real home, beside a daemon that runs."""

import json

from tests.end_to_end.stage import Stage


def test_doctor_tries_the_mail_server_and_sends_nothing_to_an_endpoint(stage: Stage) -> None:
    stage.apply({1: "/ok"})
    (stage.home / "hookfuse.toml").chmod(0o600)

    with stage.daemon():
        found = json.loads(stage.run("doctor", "--json", "--mail-to", "you@acme.example").stdout)

    levels = {one["subject"]: one["level"] for one in found if one["subject"] in ("mail", "endpoints", "database")}
    assert levels == {"mail": "good", "endpoints": "good", "database": "good"}
    assert [mail["to"] for mail in stage.mail_server.seen()] == [["you@acme.example"]]
    assert stage.receiver.seen() == []


def test_a_fault_is_exit_code_11(stage: Stage) -> None:
    stage.apply({1: "/ok"})
    stage.home.chmod(0o755)

    done = stage.run("doctor", code=11)

    assert "others may read" in done.stdout
    assert "chmod 700" in done.stdout
