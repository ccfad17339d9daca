"""From bad days to a disabled installation, its audit entry and its mails."""

from replay.check.verification import verify
from tests.end_to_end.history import fail_for_days
from tests.end_to_end.stage import LIMIT_S, Server, Stage, installation_id
from tests.end_to_end.waiting import wait_until

_OWNERS = ("ann@acme.example", "bob@acme.example")


def test_a_broken_integration_is_disabled_with_evidence_audit_and_mails(stage: Stage) -> None:
    stage.apply({5: "/500", 6: "/200"}, owners=_OWNERS)
    stage.configure("[retry]\nschedule = []\n")
    fail_for_days(stage.home, 5, days=2)
    stage.send([(5, "issue.created"), (6, "issue.created")])

    stage.run("run", "--drain")

    shown = stage.json("show", installation_id(5))
    assert shown["state"] == "disabled"
    assert [(day["success"], day["error"], day["timeout"]) for day in shown["buffer"]] == [
        (0, 5, 0),
        (0, 5, 0),
        (0, 1, 0),
    ]
    (disabled,) = stage.json("events", "--type", "installation.disabled")
    assert disabled["data"]["cause"] == "policy"
    assert (disabled["data"]["evidence"]["policy"], disabled["data"]["evidence"]["rule"]) == ("balanced", "no-success")
    audit, _applied = stage.json("audit")
    assert (audit["event"], audit["actor"], audit["target"]) == (
        "internal-integration.disable",
        "system",
        "organization:17",
    )
    assert audit["data"] == {"name": "App 5"}
    warnings = [mail for mail in stage.mail_server.seen() if mail["subject"].endswith("to being disabled")]
    mails = [mail for mail in stage.mail_server.seen() if mail not in warnings]
    assert sorted(mail["to"][0] for mail in mails) == list(_OWNERS)
    assert {mail["subject"] for mail in mails} == {"Action required: Fix your App 5 integration"}
    assert sorted(mail["to"][0] for mail in warnings) == list(_OWNERS), "one warning for each owner"
    assert stage.json("show", installation_id(6))["state"] == "active"


def test_after_disabling_nothing_is_sent_and_what_comes_is_kept(stage: Stage) -> None:
    stage.apply({5: "/410"})
    stage.send([(5, "issue.created")])
    stage.run("run", "--drain")

    stage.send([(5, "issue.resolved")] * 3)
    stage.run("run", "--drain")

    assert len(stage.receiver.seen()) == 1
    assert [one["event"] for one in stage.json("deliveries", "--state", "missed")] == ["issue.resolved"] * 3
    assert len(stage.json("events", "--type", "delivery.missed")) == 3
    assert len(stage.mail_server.seen()) == 1


def test_the_original_rule_does_not_take_500_for_broken(stage: Stage) -> None:
    stage.apply({5: "/500"})
    stage.configure('[retry]\nschedule = []\n[policy]\nname = "sentry-2024"\n')
    fail_for_days(stage.home, 5, days=6)
    stage.send([(5, "issue.created")])

    stage.run("run", "--drain")

    assert stage.json("show", installation_id(5))["state"] == "active"


def test_the_original_rule_disables_after_seven_days_of_404(stage: Stage) -> None:
    stage.apply({5: "/404"})
    stage.configure('[retry]\nschedule = []\n[policy]\nname = "sentry-2024"\n')
    fail_for_days(stage.home, 5, days=6, status_code=404, failures_a_day=1)
    stage.send([(5, "issue.created")])

    stage.run("run", "--drain")

    (disabled,) = stage.json("events", "--type", "installation.disabled")
    assert disabled["data"]["evidence"]["rule"] == "seven-error-days"


def test_enabling_by_hand_starts_with_an_empty_buffer(stage: Stage) -> None:
    stage.apply({5: "/500"})
    stage.configure("[retry]\nschedule = []\n")
    fail_for_days(stage.home, 5, days=3)
    stage.send([(5, "issue.created")])
    stage.run("run", "--drain")

    stage.run("enable", installation_id(5), "--reason", "fixed", "--by", "ann")
    stage.send([(5, "issue.created")])
    stage.run("run", "--drain")

    shown = stage.json("show", installation_id(5))
    assert shown["state"] == "active"
    assert [(day["success"], day["error"]) for day in shown["buffer"]] == [(0, 1)]
    assert [(one["event"], one["actor"]) for one in stage.json("audit")] == [
        ("internal-integration.enable", "person:ann"),
        ("internal-integration.disable", "system"),
        ("registry.apply", "person:ops"),
    ]


def test_a_published_app_is_disabled_only_where_that_is_configured(stage: Stage) -> None:
    stage.apply({5: "/410"}, status='"published"')
    stage.send([(5, "issue.created")])
    stage.run("run", "--drain")
    before = stage.json("show", installation_id(5))["state"]

    stage.configure('[disabling]\napps = "all"\n')
    stage.send([(5, "issue.created")])
    stage.run("run", "--drain")

    assert before == "active"
    assert stage.json("show", installation_id(5))["state"] == "disabled"


def test_mails_wait_for_a_mail_server_that_is_away(stage: Stage) -> None:
    away = Stage(stage.home, stage.receiver, Server(_closed_port(), stage.mail_server.log))
    away.configure("[mail]\nretry = [0.05]\n")
    away.apply({5: "/410"}, owners=_OWNERS)
    away.send([(5, "issue.created")])
    with away.daemon() as daemon:
        wait_until(lambda: away.json("events", "--type", "mail.failed"), "a failed hand-over")
        daemon.terminate()
        assert daemon.wait(LIMIT_S) == 0
    assert away.json("status")["mails"]["requested"] == 2

    stage.configure()
    stage.run("run", "--drain")

    failed = {event["data"]["mail_id"] for event in stage.json("events", "--type", "mail.failed")}
    sent = [event["data"]["mail_id"] for event in stage.json("events", "--type", "mail.sent")]
    assert failed <= set(sent)
    assert sorted(mail["to"][0] for mail in stage.mail_server.seen()) == list(_OWNERS)


def test_every_projection_is_what_the_events_add_up_to(stage: Stage) -> None:
    stage.apply({5: "/flaky", 6: "/404", 7: "/302", 8: "/200"})
    stage.configure("[retry]\nschedule = [0, 0]\n")
    stage.send([(app, "issue.created") for app in (5, 6, 7, 8)] * 10)

    stage.run("run", "--drain")

    assert verify(stage.home / "events.db").differences == ()


def _closed_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
